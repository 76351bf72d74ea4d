"""What it takes to begin the currency chain with a million accounts and 100,000 delegations.

`just bench genesis` takes a minute or two. A hundred validators vote. Measured are the processor's
seconds from InitChain to the commit of the first block, both included, and the memory they take at
most. The peer is the same accounts on the chat chain, without stake. The last line is one JSON
object; with `--write` it becomes the baseline, and `--accounts N` takes another number.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from abci_chat.machine import MACHINE as CHAT
from abci_currency import genesis as currency
from abci_currency.genesis import Beginning, Bond, Founder, Rules, Terms
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.state.stake import POWER_UNIT
from benchmarks.report import finish
from dchat.kernel import genesis, signing
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.machine import Machine
from dchat.kernel.params import DEFAULT
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2
from dchat.node.storage import Storage
from tests.fakes.consensus import GENESIS_S, wrapped

VALIDATORS = 100
SELF_STAKE = Amount(1_000_000 * POWER_UNIT)
STAKE = Amount(1_000 * POWER_UNIT)
FUNDS = Amount(2_000_000 * POWER_UNIT)
KIB = 1024


def main() -> None:
    """Begin both chains, each in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    ours, theirs = measured("currency", chosen.accounts), measured("chat", chosen.accounts)
    print(f"currency: {ours}\nchat: {theirs}")
    report: dict[str, object] = {
        "name": "genesis",
        "value": ours["cpu_s"],
        "unit": f"s of one processor to begin with {chosen.accounts} accounts",
        "peer": "as many accounts without stake, on the chat chain",
        "peer_value": theirs["cpu_s"],
        "ratio": round(ours["cpu_s"] / theirs["cpu_s"], 2),
        "figures": ours,
    }
    finish(report, write_baseline=chosen.write)


def measured(chain: str, accounts: int) -> dict[str, float]:
    """Return what it takes; the genesis is made by another process, whose memory is not counted."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "init-chain"
        maker = spawn.Process(target=make, args=(chain, accounts, place))
        maker.start()
        maker.join()
        answer, question = spawn.Pipe(duplex=False)
        loader = spawn.Process(target=load, args=(chain, place, question))
        loader.start()
        found: dict[str, float] = answer.recv()
        loader.join()
    return found


def make(chain: str, accounts: int, place: Path) -> None:
    """Write what CometBFT would send: a delegator among ten accounts."""
    ids = sorted(AccountId(hashlib.sha256(b"%d" % at).digest()) for at in range(accounts))
    held = genesis.Genesis(DEFAULT, tuple(genesis.Allocation(each, FUNDS) for each in ids))
    bonds = [Bond(who, ids[at % VALIDATORS], STAKE) for at, who in enumerate(ids[VALIDATORS::10])]
    founders = [founder(at, who) for at, who in enumerate(ids[:VALIDATORS])]
    begun = Beginning(held, Rules(), tuple(founders), tuple(bonds))
    state = currency.SHAPE.encode(begun) if chain == "currency" else genesis.SHAPE.encode(held)
    members = [
        pb.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)
        for key, power in currency.powers(begun).items()
    ]
    request = pb.RequestInitChain(
        time=Timestamp(seconds=GENESIS_S),
        chain_id="bench",
        initial_height=1,
        validators=members,
        app_state_bytes=wrapped(state),
    )
    place.write_bytes(request.SerializeToString())


def founder(number: int, operator: AccountId) -> Founder:
    """Return a validator with a key that nobody else has."""
    key = signing.public_key(number.to_bytes(32, "big"))
    return Founder(operator, key, f"validator {number}", Terms(), Amount(1), SELF_STAKE)


def load(chain: str, place: Path, answer: Connection) -> None:
    """Begin the chain, and tell what that took."""
    request = pb.RequestInitChain.FromString(place.read_bytes())
    rules: Machine = CURRENCY if chain == "currency" else CHAT
    with closing(Storage.open(place.with_name("state"))) as storage:
        node = Node(rules, storage)
        began = time.process_time()
        node.init_chain(request)
        ready = time.process_time()
        first = Timestamp(seconds=GENESIS_S + 1)
        node.finalize_block(pb.RequestFinalizeBlock(height=1, time=first))
        node.commit(pb.RequestCommit())
        ended = time.process_time()
    answer.send(
        {
            "cpu_s": round(ended - began, 1),
            "init_chain_s": round(ready - began, 1),
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB,
            "request_mib": place.stat().st_size // KIB // KIB,
        }
    )


if __name__ == "__main__":
    main()
