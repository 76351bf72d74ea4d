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
from pathlib import Path

from dchat.kernel.ids import Amount, ChainId, Cost, Height
from dchat.node.rfc3339 import parse_time
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.orders import CHAINS, PEOPLE, Chain, ordered
from tests.vectors.replay import BLOCKS, HERE, RecordedBlock, RecordedValidator, Recording

NS_PER_MS = 1_000_000
PRICE = 400


def record(name: str, home: Path) -> Recording:
    """What a chain decides while people send it orders."""
    solo = Solo(home, f"abci_{name}", genesis_bytes())
    solo.start()
    try:
        solo.wait_for_height(1)
        _drive(solo, CHAINS[name])
        return taken(solo, BLOCKS)
    finally:
        solo.stop(signal.SIGKILL)


def taken(solo: Solo, last: int) -> Recording:
    """The first blocks of a running chain, up to the height `last`."""
    return Recording(
        chain_id=solo.chain_id,
        genesis=base64.b64encode(solo.app_state).decode(),
        validator=RecordedValidator(public_key=solo.voter.public_key.hex(), power=solo.voter.power),
        last_app_hash=solo.app_hash_after(last).hex(),
        blocks=[_block(solo, height) for height in range(1, last + 1)],
    )


def _drive(solo: Solo, chain: Chain) -> None:
    dice = random.Random(chain.machine.name)
    nonces = dict.fromkeys(PEOPLE, 0)
    while solo.height() <= BLOCKS:
        who = dice.choice(PEOPLE)
        order = ordered(
            chain,
            who=who,
            seed=dice.randrange(2**32),
            nonce=nonces[who],
            chain_id=ChainId(solo.chain_id),
            fee=Amount(PRICE),
            cost_limit=Cost(PRICE),
            valid_until_height=Height(5000),
        )
        if solo.submit(order)["code"] == 0:
            nonces[who] += 1
        if dice.randint(0, 2) == 0:
            solo.wait_for_height(solo.height() + 1)


def _block(solo: Solo, height: int) -> RecordedBlock:
    found = solo.rpc("block", height=str(height))
    block = found["block"]
    return RecordedBlock(
        height=height,
        time_ms=parse_time(block["header"]["time"]) // NS_PER_MS,
        hash=found["block_id"]["hash"],
        proposer=block["header"]["proposer_address"],
        app_hash_before=block["header"]["app_hash"].lower(),
        txs=block["data"]["txs"],
    )


def main() -> None:
    """Write both recordings anew."""
    for name in CHAINS:
        with tempfile.TemporaryDirectory() as home:
            text = json.dumps(record(name, Path(home)), indent=0)
        (HERE / f"recorded-{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
