"""Record 200 blocks of each chain under a real CometBFT: `python -m tests.vectors.record`.

Read by replay.py. The transactions are drawn with a fixed seed; heights, times and which block
took which transaction are CometBFT's, so every run records another, equally good chain.
"""

from __future__ import annotations

import base64
import json
import random
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_chat.txs import identity
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import codec, signing, tx
from dchat.kernel.ids import Amount, ChainId
from dchat.kernel.machine import Machine
from dchat.node.rfc3339 import parse_time
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import ALICE, BOB, CAROL, FUNDS, Person, envelope
from tests.vectors.write import RELAYS

HERE = Path(__file__).parent
BLOCKS = 200
PEOPLE = (ALICE, BOB, CAROL)
NS_PER_MS = 1_000_000
Body = tuple[codec.Raw, ...]


def currency_bodies(dice: random.Random) -> Iterator[Body]:
    while True:
        to, amount = dice.choice(PEOPLE).id, dice.choice((0, 1, 5, 70, 3 * FUNDS))
        yield transfer.FAMILY.body(
            transfer.Transfer(to, Amount(max(amount, 1)), "x" * (amount % 9))
        )


def chat_bodies(dice: random.Random) -> Iterator[Body]:
    while True:
        handle = dice.choice(("alice", "bob", "carol_1"))
        inbox = signing.public_key(dice.randbytes(32))
        yield dice.choice(
            (
                identity.REGISTER.body(
                    identity.RegisterIdentity(handle, inbox, RELAYS[:1], dice.randbytes(32))
                ),
                identity.UPDATE_RELAYS.body(identity.UpdateRelays(RELAYS[: dice.randint(1, 2)])),
                identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(dice.randbytes(32))),
            )
        )


def record(machine: Machine, bodies: Iterator[Body], dice: random.Random) -> dict[str, object]:
    genesis = genesis_bytes()
    with tempfile.TemporaryDirectory() as home:
        solo = Solo(Path(home), f"abci_{machine.name}", genesis)
        solo.start()
        try:
            solo.wait_for_height(1)
            _drive(solo, bodies, dice)
            blocks = [_block(solo, height) for height in range(1, BLOCKS + 1)]
            last = solo.app_hash_after(BLOCKS).hex()
        finally:
            solo.stop(signal.SIGKILL)
    return {
        "chain_id": solo.chain_id,
        "genesis": base64.b64encode(genesis).decode(),
        "blocks": blocks,
        "last_app_hash": last,
    }


def _drive(solo: Solo, bodies: Iterator[Body], dice: random.Random) -> None:
    nonces = dict.fromkeys(PEOPLE, 0)
    while solo.height() <= BLOCKS:
        who = dice.choice(PEOPLE)
        if solo.submit(_signed(solo, who, next(bodies), nonces[who]))["code"] == 0:
            nonces[who] += 1
        if dice.randint(0, 2) == 0:
            solo.wait_for_height(solo.height() + 1)


def _signed(solo: Solo, who: Person, body: Body, nonce: int) -> bytes:
    changed = replace(
        envelope(who, body, nonce),
        chain_id=ChainId(solo.chain_id),
        fee=Amount(400),
        cost_limit=400,
        valid_until_height=5000,
    )
    return tx.build(changed, who.seed)


def _block(solo: Solo, height: int) -> dict[str, object]:
    block = solo.rpc("block", height=str(height))["block"]
    return {
        "height": height,
        "time_ms": parse_time(block["header"]["time"]) // NS_PER_MS,
        "proposer": block["header"]["proposer_address"],
        "app_hash_before": block["header"]["app_hash"].lower(),
        "txs": block["data"]["txs"],
    }


def main() -> None:
    """Write both recordings anew."""
    for machine, bodies in ((CURRENCY, currency_bodies), (CHAT, chat_bodies)):
        dice = random.Random(machine.name)
        recording = record(machine, bodies(dice), dice)
        text = json.dumps(recording, indent=0)
        (HERE / f"recorded-{machine.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
