"""Whether the prices of the chat chain's orders fit what a block takes for them.

`just bench prices` takes a minute. Every family's golden vectors are run again, those that nothing
refuses. An order takes the processor time of judging and running it in memory, and for each entry
of its own what reading, or reading and writing, one of half a million takes on LevelDB in blocks of
2,000: `read_us` and `write_us`. What all orders of a block share, such as parameters and pools, is
left out. Each time is the least of many, of a machine that verifies an envelope in 64 µs (ADR 13).
The peer is a transfer on the currency chain to a stranger, with both accounts of its own: ADR 13
prices transfers by what they take where accounts are shared, and accepts as much as this. Off is
what takes 1.5 times as long for its price as this transfer, or less than two thirds of a
microsecond a unit. A report does the latter: nine tenths of its price are for what later blocks do,
which `just bench chat` measures. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Final, TypedDict, cast

from abci_chat.machine import MACHINE as CHAT
from abci_chat.state import pools
from abci_currency.machine import MACHINE as CURRENCY
from benchmarks import tree
from benchmarks.report import finish
from dchat.kernel import accounts, codec, machine, tx
from dchat.kernel.machine import Block, Machine
from dchat.kernel.store import Draft
from dchat.node.storage import Storage
from tests.fakes.memory import MemoryState, at_height

VECTORS: Final = Path(__file__).parents[1] / "tests" / "vectors"
FILES: Final = (
    "beacon",
    "channels",
    "chat",
    "governance",
    "moderation",
    "posts",
    "recovery",
    "reputation",
    "rotation",
)
LEAVES: Final = 500_000
RUNS: Final = 60
BLOCKS: Final = 12
ENVELOPE_US: Final = 64
OFF: Final = 1.5
SHARED: Final = frozenset(
    {
        "params",
        "supply",
        "chain",
        "work",
        "draw",
        "case_count",
        "jury_queue",
        "jury_roll",
        "total_weight",
        "proposal_count",
        "decision_count",
        "upgrade",
    }
)
"""Words whose one entry, or few, all orders of a block have in common."""
_POOLS: Final = frozenset(accounts.key(pool) for pool in pools.NAMES)


class Vector(TypedDict):
    """What a golden vector has; see tests/vectors/README.md."""

    pre: dict[str, str]
    tx: str
    height: int
    code: int
    cost_used: int
    post: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Rates:
    """What one entry takes, and how much slower than the reference this machine is now."""

    read_us: float
    write_us: float
    slowness: float


@dataclass(frozen=True, slots=True)
class Order:
    """What one vector takes."""

    name: str
    cost: int
    judge_us: float
    run_us: float
    reads: int
    writes: int

    def us(self, rates: Rates) -> float:
        """Return the whole, on the reference machine."""
        entries = rates.read_us * self.reads + rates.write_us * self.writes
        return (self.judge_us + self.run_us + entries) / rates.slowness


class Noted:
    """A state that notes the entries asked for."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self.asked = set[bytes]()

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key."""
        self.asked.add(key)
        return self._state.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries under prefix."""
        for key, value in self._state.scan(prefix):
            self.asked.add(key)
            yield key, value


def main() -> None:
    """Measure every vector, and hold it against its price."""
    rates = measured_rates()
    paid = next(measured(CURRENCY, each) for each in vectors("currency"))
    peer = replace(paid, reads=0, writes=2)  # fees are shared out once a block
    a_unit = peer.us(rates) / peer.cost
    orders = [measured(CHAT, each) for name in FILES for each in vectors(name)]
    dearest = {each.name: each for each in sorted(orders, key=lambda each: each.us(rates))}
    units = {name: each.us(rates) / each.cost for name, each in dearest.items()}
    off = {name: round(each, 2) for name, each in units.items() if is_off(each, a_unit)}
    for name, _ in sorted(units.items(), key=lambda pair: pair[1]):
        show(dearest[name], rates, "off" if name in off else "")
    show(peer, rates, "peer")
    middle = median(units.values())
    report: dict[str, object] = {
        "name": "prices",
        "value": round(middle, 2),
        "unit": "us a cost unit, the median of the chat chain's families",
        "peer": "a transfer to a stranger on the currency chain",
        "peer_value": round(a_unit, 2),
        "ratio": round(middle / a_unit, 2),
        "read_us": round(rates.read_us / rates.slowness, 1),
        "write_us": round(rates.write_us / rates.slowness, 1),
        "slowness": round(rates.slowness, 2),
        "off": off,
        "us_a_unit": {name: round(each, 2) for name, each in units.items()},
    }
    finish(report, write_baseline="--write-baseline" in sys.argv)


def is_off(us_a_unit: float, peer_us: float) -> bool:
    """Tell whether a unit is much more than what a transfer's is, or much less than it stands for.

    A unit stands for one microsecond.
    """
    return us_a_unit > OFF * peer_us or us_a_unit < 1 / OFF


def show(order: Order, rates: Rates, note: str) -> None:
    """Print what an order takes, and its price."""
    took, entries = order.us(rates), f"{order.reads} read, {order.writes} written"
    each = f"{took / order.cost:5.2f} us a unit"
    print(f"{order.name:22} {took:6.0f} us {order.cost:5} units {each}  {entries}  {note}")


def vectors(name: str) -> Iterator[Vector]:
    """Yield what nothing refuses of one file."""
    cases = cast("list[Vector]", json.loads((VECTORS / f"{name}.json").read_text()))
    yield from (each for each in cases if each["code"] == 0)


def measured(rules: Machine, vector: Vector) -> Order:
    """Return what an order takes in memory, and what it asks of the state."""
    raw = bytes.fromhex(vector["tx"])
    entries = {bytes.fromhex(key): bytes.fromhex(held) for key, held in vector["pre"].items()}
    judged = machine.read(rules, raw)
    if isinstance(judged, machine.Outcome):
        raise SystemExit(judged.reason)
    state = known_to(MemoryState(entries), judged.signed.envelope)
    block, nothing = (Block(at_height(vector["height"]), txs) for txs in ((raw,), ()))
    known = {raw: machine.verify(machine.read(rules, raw))}
    noted = Noted(state)
    did = machine.run_block(rules, noted, block, known)
    with_it = us(lambda: machine.run_block(rules, state, block, known))
    without = us(lambda: machine.run_block(rules, state, nothing, {}))
    return Order(
        rules.families[cast("int", judged.signed.envelope.body[0])].name,
        vector["cost_used"],
        us(lambda: machine.verify(machine.read(rules, raw))),
        with_it - without,
        len([key for key in noted.asked if not is_shared(key) and key not in did.writes]),
        len([key for key in did.writes if not is_shared(key)]),
    )


def known_to(state: MemoryState, envelope: tx.Envelope) -> MemoryState:
    """Return a state that has the sender's key: who signs for the first time takes 50 us more."""
    draft = Draft(state)
    held = accounts.load(draft, envelope.sender)
    accounts.save(draft, envelope.sender, replace(held, public_key=envelope.public_key))
    return state.after(draft.writes())


def is_shared(key: bytes) -> bool:
    """Tell whether all orders of a block have the entry in common."""
    return key in _POOLS or codec.unpack_array(key)[0] in SHARED


def measured_rates() -> Rates:
    """Return what entries take on disk, the reads of a write included."""
    with tempfile.TemporaryDirectory(prefix="dchat-prices-") as place:
        storage, chance = Storage.open(Path(place), keep=2), Random(1)
        numbers = range(0, LEAVES, LEAVES // 2)
        for first in numbers:
            some = range(first, first + LEAVES // 2)
            tree.commit(storage, {tree.key(at): chance.randbytes(200) for at in some})
        storage.settle()
        spans = [written_us(storage, chance) for _ in range(BLOCKS)]
        read = min(read_us(storage, chance) for _ in range(BLOCKS))
        storage.close()
    return Rates(read, min(spans), envelope_us() / ENVELOPE_US)


def written_us(storage: Storage, chance: Random) -> float:
    """Return what one entry of a block takes that is read and written."""
    changes: Mapping[bytes, bytes | None] = {
        tree.key(at): chance.randbytes(200) for at in chance.sample(range(LEAVES), tree.BLOCK)
    }
    view, start = storage.working(), time.thread_time_ns()
    for key in changes:
        view.get(key)
    storage.commit(storage.stage(storage.height + 1, changes))
    return (time.thread_time_ns() - start) / 1_000 / tree.BLOCK


def read_us(storage: Storage, chance: Random) -> float:
    """Return what one entry takes that is only read."""
    numbers = chance.sample(range(LEAVES), tree.BLOCK)
    view, start = storage.latest(), time.thread_time_ns()
    for at in numbers:
        view.get(tree.key(at))
    return (time.thread_time_ns() - start) / 1_000 / tree.BLOCK


def envelope_us() -> float:
    """Return what decoding and verifying a small transaction takes."""
    raw = bytes.fromhex(next(vectors("chat"))["tx"])

    def verify() -> None:
        if not tx.holds(tx.decode(raw)):
            raise SystemExit("a golden vector is not signed")

    return us(verify)


def us(work: Callable[[], object]) -> float:
    """Return the least of the thread's microseconds that work takes."""
    spans: list[int] = []
    for _ in range(RUNS):
        start = time.thread_time_ns()
        work()
        spans.append(time.thread_time_ns() - start)
    return min(spans) / 1_000


if __name__ == "__main__":
    main()
