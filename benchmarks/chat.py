"""What orders on the chat chain cost as it grows from ten thousand identities to a million.

    just bench chat [--sizes N …] [--rounds N] [--filled DIRECTORY] [--write-baseline]

Each size is a database of its own with a channel to ten people. Filling them takes some minutes,
and 10 GB of memory for a million; with `--filled` they are kept there for the next time. Then all
sizes take turns at one block of each kind of order, as a validator's application sees it that
proposes the block: CheckTx of each order, PrepareProposal, ProcessProposal, FinalizeBlock, Commit.
Measured is the processor time of the thread that does it, in microseconds an order: `us` is the
least of the rounds, since what else goes on in the machine only adds. Beside it stand the entries
of the state that an order reads and writes, its share of what the block itself does included, and
the parts: `check_us`, `propose_us`, `finalize_us` and `commit_us`. A look-up is a handle and its
identity, each asked for by Query, its proof verified. `growth` compares the largest size with the
smallest round by round, and is the median of these ratios. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Final, TypeVar

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import handles, identities
from benchmarks import community, errands
from benchmarks.community import Community
from benchmarks.counted import Counted
from benchmarks.errands import BATCHES, CASES, EACH, WORKED, Build, Desk
from benchmarks.report import finish
from dchat.kernel import machine
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import Block, BlockContext
from dchat.kernel.merkle import proof
from dchat.kernel.params import MAX_BLOCK_BYTES
from dchat.node import queries
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from dchat.node.stores import leveldb
from dchat.node.stores.backend import Tuning
from tests.fakes.memory import CHAIN

T = TypeVar("T")

SIZES: Final = (10_000, 100_000, 1_000_000)
ROUNDS: Final = 10
MOST_ROUNDS: Final = errands.MOST_NEWCOMERS // (EACH + WORKED) - 1
"""As long as there are newcomers with credits."""
LOOK_UPS: Final = 200
WARMING_KEYS: Final = 150_000
SECOND_MS: Final = 1_000
VERDICTS_OVER_MS: Final = 11_000

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Step:
    """One block: what is ordered in it, and among how many its cost is divided."""

    build: Build
    each: int = EACH
    after_ms: int = SECOND_MS
    """Block time since the one before."""


STEPS: Final = {
    "commit_handle": Step(errands.commit_handle),
    "register": Step(errands.register),
    "commit_handle_by_work": Step(errands.commit_by_work, WORKED),
    "register_by_work": Step(errands.register_by_work, WORKED),
    "update_prekeys": Step(errands.update_prekeys),
    "add_device": Step(errands.add_device),
    "create_channel": Step(errands.create_channel),
    "join_channel": Step(errands.join_channel),
    "leave_channel": Step(errands.leave_channel),
    "commit_epoch": Step(errands.commit_epoch),
    "commit_hidden_epoch": Step(errands.commit_hidden_epoch),
    "post": Step(errands.post_alone),
    "batch_of_1000": Step(errands.post_batch, BATCHES),
    "cast_ballot": Step(errands.cast_ballot),
    "commit_ballot": Step(errands.commit_ballot),
    "report": Step(errands.report_account, CASES),
    "draw_jury": Step(errands.nothing, CASES),
    "give_verdict": Step(errands.give_verdict, CASES),
    "decide": Step(errands.nothing, CASES, VERDICTS_OVER_MS),
    "settle": Step(errands.nothing, CASES, VERDICTS_OVER_MS),
    "nothing": Step(errands.nothing, 1),
}
LOOK_UP: Final = "look_up"
PHASES: Final = ("check_us", "propose_us", "finalize_us", "commit_us")


@dataclass(slots=True)
class Took:
    """Microseconds an order, by round."""

    spans: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])
    """Of the phases."""
    cost: float = 0
    reads: float = 0
    writes: float = 0

    def wholes(self) -> list[float]:
        """Return what the phases took together, by round."""
        return [sum(spans) for spans in self.spans]

    def figures(self) -> Figures:
        """Return the least of the rounds, their median, and what is the same in each round."""
        whole = self.wholes()
        parts = [round(min(spans), 1) for spans in zip(*self.spans, strict=True)]
        return {
            "us": round(min(whole), 1),
            "median_us": round(median(whole), 1),
            **dict(zip(PHASES, parts, strict=True)),
            "cost_units": round(self.cost, 1),
            "reads": round(self.reads, 2),
            "writes": round(self.writes, 2),
        }


@dataclass(slots=True)
class Town:
    """One size, and what was measured on it."""

    desk: Desk
    node: Node
    took: dict[str, Took] = field(default_factory=lambda: {name: Took() for name in STEPS})
    looked_up: list[float] = field(default_factory=list[float])
    """The median of each round."""
    all_looked_up: list[float] = field(default_factory=list[float])


def main() -> None:
    """Fill every size, and let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS, choices=range(1, MOST_ROUNDS + 1))
    parser.add_argument("--filled", type=Path)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dchat-chat-") as place:
        filled = chosen.filled or Path(place) / "filled"
        towns = {size: opened(size, filled, Path(place) / str(size)) for size in chosen.sizes}
        turns = list(towns.values())
        for number in range(chosen.rounds + 1):
            measure_round(turns, is_first=number == 0)
            turns.append(turns.pop(0))
        for town in towns.values():
            town.desk.storage.close()
    finish(report(towns), write_baseline=chosen.write_baseline)


def opened(size: int, filled: Path, place: Path) -> Town:
    """Return a copy of the chain of that size, which is filled unless that was done before."""
    people = Community(size, newcomers=errands.MOST_NEWCOMERS)
    before = filled / str(size)
    if not before.exists():
        start = time.process_time()
        unfinished = before.with_suffix(".part")
        storage = Storage.open(unfinished, keep=1)
        people.fill(storage)
        storage.close()
        settle(unfinished)
        unfinished.rename(before)
        print(f"{size} people filled in {time.process_time() - start:.0f} s of CPU", flush=True)
    shutil.copytree(before, place)
    storage = warmed_up(place, people)
    return Town(Desk(people, storage), Node(MACHINE, storage, community.SECRET))


def settle(place: Path) -> None:
    """Lay the one big table that a fill leaves out in tables as a node that grew has them."""
    store = leveldb.open_store(place, Tuning())
    store.compact(b"", b"\xff")
    store.close()


def warmed_up(place: Path, people: Community) -> Storage:
    """Return an open store as a node has it that has been up for long.

    Its cache holds as many pages of the tree as it takes, and all tables were read from.
    """
    backend = leveldb.open_store(place, Tuning())
    storage = Storage.over(backend)
    chance = Random(0)
    some = {keys.key_log(people.somebody(chance), 0) for _ in range(WARMING_KEYS)}
    storage.commit(storage.stage(storage.height + 1, dict.fromkeys(some, b"")))
    backend.compact(b"", b"\xff")
    for _ in backend.entries(b"", b"\xff"):
        pass
    return storage


def measure_round(towns: list[Town], *, is_first: bool) -> None:
    """Let the towns take turns at each step; the first round warms up, and counts entries."""
    gc.collect()
    gc.freeze()
    for name, step in STEPS.items():
        for town in towns:
            carry_out(town, name, step, is_first=is_first)
    for town in towns:
        look_up(town, is_first=is_first)


def carry_out(town: Town, name: str, step: Step, *, is_first: bool) -> None:
    """Make one block and note what it took."""
    desk, took, node = town.desk, town.took[name], town.node
    raws = step.build(desk)
    desk.now = EpochMs(desk.now + step.after_ms)
    spans = list[float]()

    def timed(phase: Callable[[], T]) -> T:
        start = time.thread_time_ns()
        result = phase()
        spans.append((time.thread_time_ns() - start) / 1_000 / step.each)
        return result

    answers = timed(lambda: checked(node, raws))
    block = timed(lambda: proposed(town, raws))
    if is_first:
        count(desk, took, block, step.each)
    did = timed(lambda: node.finalize_block(block))
    timed(lambda: node.commit(pb.RequestCommit()))
    refused = [each.log for each in (*answers, *did.tx_results) if each.code]
    if refused or len(did.tx_results) < len(raws):
        raise SystemExit(f"{name} was refused: {[*refused, 'it has no place in the proposal'][0]}")
    took.cost = sum(each.gas_used for each in did.tx_results) / step.each
    if not is_first:
        took.spans.append(tuple(spans))


def checked(node: Node, raws: list[bytes]) -> list[pb.ResponseCheckTx]:
    """Let the node judge what comes from a mempool."""
    node.foresee(raws)
    return [node.check_tx(pb.RequestCheckTx(tx=raw)) for raw in raws]


def proposed(town: Town, raws: list[bytes]) -> pb.RequestFinalizeBlock:
    """Let the node propose a block and accept it, and return it as it is decided."""
    height = town.desk.storage.height + 1
    who = community.PROPOSER
    wish = pb.RequestPrepareProposal(
        txs=raws, max_tx_bytes=MAX_BLOCK_BYTES, height=height, proposer_address=who
    )
    txs = town.node.prepare_proposal(wish).txs
    offer = pb.RequestProcessProposal(txs=txs, height=height, proposer_address=who)
    if town.node.process_proposal(offer).status != pb.ResponseProcessProposal.ACCEPT:
        raise SystemExit("the proposer rejects its own proposal")
    block = pb.RequestFinalizeBlock(
        txs=txs, height=height, proposer_address=who, hash=community.hashed(b"block", height)
    )
    block.time.FromMilliseconds(town.desk.now)
    return block


def count(desk: Desk, took: Took, block: pb.RequestFinalizeBlock, each: int) -> None:
    """Run the block once more beside the chain, and note the entries that it reads and writes."""
    height = Height(block.height)
    context = BlockContext(CHAIN, height, desk.now, block.proposer_address, block_hash=block.hash)
    counted = Counted(desk.storage.working())
    did = machine.run_block(MACHINE, counted, Block(context, tuple(block.txs)), {})
    took.reads, took.writes = counted.reads / each, len(did.writes) / each


def look_up(town: Town, *, is_first: bool) -> None:
    """Look people up by their handles, as a client does, and keep the round's median."""
    desk, spans = town.desk, list[float]()
    for at in [desk.chance.randrange(desk.community.people) for _ in range(LOOK_UPS)]:
        start = time.thread_time_ns()
        name = community.name_of(at)
        key = keys.handle(handles.skeleton(name))
        owner = handles.HANDLE.decode(asked(desk.storage, key)).owner
        identities.IDENTITY.decode(asked(desk.storage, keys.identity(owner)))
        spans.append((time.thread_time_ns() - start) / 1_000)
    if not is_first:
        town.looked_up.append(median(spans))
        town.all_looked_up += spans


def asked(storage: Storage, key: bytes) -> bytes:
    """Return the value that a node's answer proves: the question parsed, its proof verified."""
    question = pb.RequestQuery(path=b"/store", data=key, prove=True).SerializeToString()
    found = queries.answer(MACHINE, storage, pb.RequestQuery.FromString(question))
    answer = pb.ResponseQuery.FromString(found.SerializeToString())
    shown = proof.Proof.decode(answer.proof_ops.ops[0].data)
    proof.verify(storage.app_hash, key, answer.value, shown)
    return answer.value


def report(towns: dict[int, Town]) -> dict[str, object]:
    """Return all that was measured."""
    curve = {size: figures_of(town) for size, town in towns.items()}
    least, most = curve[min(curve)], curve[max(curve)]
    growth = grown(towns[min(curve)], towns[max(curve)])
    for name, rate in growth.items():
        shown = "  ".join(f"{size}: {found[name]}" for size, found in curve.items())
        print(f"{name}: {rate}  {shown}")
    value, peer = (whole(each[name]["us"] for name in STEPS) for each in (most, least))
    return {
        "name": "chat",
        "value": value,
        "unit": f"us of processor for one order of each kind, at {max(curve)} identities",
        "peer": f"the same at {min(curve)} in the same run",
        "peer_value": peer,
        "ratio": round(value / peer, 3),
        "growth": growth,
        "figures": curve,
        "load_average": round(os.getloadavg()[0], 1),
    }


def grown(least: Town, most: Town) -> Figures:
    """Return the medians of how many times as much the larger one took in the same round."""
    found = {name: (took.wholes(), most.took[name].wholes()) for name, took in least.took.items()}
    found[LOOK_UP] = (least.looked_up, most.looked_up)
    return {
        name: round(median(after / before for before, after in zip(*rounds, strict=True)), 3)
        for name, rounds in found.items()
    }


def whole(parts: Iterable[float]) -> float:
    """Return the sum of figures."""
    return round(sum(parts), 1)


def figures_of(town: Town) -> dict[str, Figures]:
    """Return what was measured on one size."""
    found = {name: took.figures() for name, took in town.took.items()}
    found[LOOK_UP] = {
        "us": round(min(town.looked_up), 1),
        "median_us": round(median(town.looked_up), 1),
        "p99_us": percentile(town.all_looked_up, 99),
    }
    return found


def percentile(spans: list[float], percent: int) -> float:
    """Return the span below which so many percent are."""
    return round(quantiles(spans, n=100)[percent - 1], 1)


if __name__ == "__main__":
    main()
