"""What orders on the chat chain cost as it grows from ten thousand identities to a million.

    just bench chat [--sizes N …] [--rounds N] [--filled DIRECTORY] [--write-baseline]

Each size is a database of its own with a channel to ten people. Filling them takes some minutes,
and 10 GB of memory for a million; with `--filled` they are kept there for the next time. Then all
sizes take turns at one block of each kind of order. A block is judged from raw bytes, signatures
included, executed, staged and committed; measured is the processor time of the thread that does it,
the median of the rounds in microseconds an order. Beside it stand the entries of the state that an
order reads and writes, its share of what the block itself does included, and the parts: `judge_us`,
`run_us`, and `state_us` for staging and committing. A look-up is a handle and its identity, each
with proof. `growth` is the largest size to the smallest. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import handles
from benchmarks import community, errands
from benchmarks.community import Community
from benchmarks.counted import Counted
from benchmarks.errands import BATCHES, CASES, EACH, Build, Desk
from benchmarks.report import finish
from dchat.kernel import contribution, machine
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult
from dchat.node.storage import Storage
from tests.fakes.memory import CHAIN

SIZES: Final = (10_000, 100_000, 1_000_000)
ROUNDS: Final = 7
LOOK_UPS: Final = 200
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
    "commit_handle_by_work": Step(errands.commit_by_work),
    "register_by_work": Step(errands.register_by_work),
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
    "draw_jury": Step(errands.reveal, CASES),
    "give_verdict": Step(errands.give_verdict, CASES),
    "decide": Step(errands.nothing, CASES, VERDICTS_OVER_MS),
    "settle": Step(errands.nothing, CASES, VERDICTS_OVER_MS),
    "nothing": Step(errands.nothing, 1),
}
LOOK_UP: Final = "look_up"


@dataclass(slots=True)
class Took:
    """Microseconds an order, by round."""

    judge: list[float] = field(default_factory=list[float])
    run: list[float] = field(default_factory=list[float])
    state: list[float] = field(default_factory=list[float])
    cost: float = 0
    reads: float = 0
    writes: float = 0

    def figures(self) -> Figures:
        """Return the medians, and what is the same in each round."""
        whole = [sum(spans) for spans in zip(self.judge, self.run, self.state, strict=True)]
        return {
            "us": round(median(whole), 1),
            "judge_us": round(median(self.judge), 1),
            "run_us": round(median(self.run), 1),
            "state_us": round(median(self.state), 1),
            "cost_units": round(self.cost, 1),
            "reads": round(self.reads, 2),
            "writes": round(self.writes, 2),
        }


@dataclass(slots=True)
class Town:
    """One size, and what was measured on it."""

    desk: Desk
    took: dict[str, Took] = field(default_factory=lambda: {name: Took() for name in STEPS})
    looked_up: list[float] = field(default_factory=list[float])
    waited: list[float] = field(default_factory=list[float])
    """The same look-ups by the clock."""


def main() -> None:
    """Fill every size, and let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--filled", type=Path)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dchat-chat-") as place:
        filled = chosen.filled or Path(place) / "filled"
        towns = {size: opened(size, filled, Path(place) / str(size)) for size in chosen.sizes}
        for number in range(chosen.rounds + 1):
            measure_round(list(towns.values()), is_first=number == 0)
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
        unfinished.rename(before)
        print(f"{size} people filled in {time.process_time() - start:.0f} s of CPU", flush=True)
    shutil.copytree(before, place)
    return Town(Desk(people, Storage.open(place)))


def measure_round(towns: list[Town], *, is_first: bool) -> None:
    """Let the towns take turns at each step; the first round warms up, and counts entries."""
    gc.collect()
    gc.freeze()
    for name, step in STEPS.items():
        for town in towns:
            carry_out(town, name, step, is_first=is_first)
    for town in towns:
        look_up(town, is_first=is_first)
    towns.append(towns.pop(0))


def carry_out(town: Town, name: str, step: Step, *, is_first: bool) -> None:
    """Make one block and note what it took."""
    desk, took = town.desk, town.took[name]
    raws = step.build(desk)
    desk.now = EpochMs(desk.now + step.after_ms)
    height = Height(desk.storage.height + 1)
    hashed = community.hashed(b"block", height)
    context = BlockContext(CHAIN, height, desk.now, community.PROPOSER, block_hash=hashed)
    block = Block(context, raws)
    if is_first:
        counted = Counted(desk.storage.working())
        did = machine.run_block(MACHINE, counted, block, {})
        took.reads, took.writes = counted.reads / step.each, len(did.writes) / step.each
    spans, did = timed(desk.storage, block)
    refused = [each.reason for each in did.outcomes if each.code]
    if refused:
        raise SystemExit(f"{name} was refused: {refused[0]}")
    took.cost = sum(each.cost_used for each in did.outcomes) / step.each
    if not is_first:
        for phase, span in zip((took.judge, took.run, took.state), spans, strict=True):
            phase.append(span / step.each)


def timed(storage: Storage, block: Block) -> tuple[tuple[float, ...], BlockResult]:
    """Return what judging, running and keeping a block take, in microseconds, and what it did."""
    _, txs = contribution.split(block.txs)
    marks = [time.thread_time_ns()]
    known = {raw: machine.verify(machine.read(MACHINE, raw)) for raw in txs}
    marks.append(time.thread_time_ns())
    did = machine.run_block(MACHINE, storage.working(), block, known)
    marks.append(time.thread_time_ns())
    storage.commit(storage.stage(block.context.height, did.writes))
    marks.append(time.thread_time_ns())
    return tuple([(end - start) / 1_000 for start, end in pairwise(marks)]), did


def look_up(town: Town, *, is_first: bool) -> None:
    """Look people up by their handles: record and proof of the handle, and of the identity."""
    desk, view = town.desk, town.desk.storage.latest()
    for at in [desk.chance.randrange(desk.community.people) for _ in range(LOOK_UPS)]:
        clock, cpu = time.perf_counter_ns(), time.thread_time_ns()
        name = community.name_of(at)
        owner = handles.owner(view, name)
        if owner is None or view.get(keys.identity(owner)) is None:
            raise SystemExit(f"{name} is missing")
        for key in (keys.handle(handles.skeleton(name)), keys.identity(owner)):
            view.prove(key).encode()
        if not is_first:
            town.looked_up.append((time.thread_time_ns() - cpu) / 1_000)
            town.waited.append((time.perf_counter_ns() - clock) / 1_000)


def report(towns: dict[int, Town]) -> dict[str, object]:
    """Return all that was measured."""
    curve = {size: figures_of(town) for size, town in towns.items()}
    least, most = curve[min(curve)], curve[max(curve)]
    growth = {name: round(each["us"] / least[name]["us"], 3) for name, each in most.items()}
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


def whole(parts: Iterable[float]) -> float:
    """Return the sum of figures."""
    return round(sum(parts), 1)


def figures_of(town: Town) -> dict[str, Figures]:
    """Return what was measured on one size."""
    found = {name: took.figures() for name, took in town.took.items()}
    found[LOOK_UP] = {
        "us": round(median(town.looked_up), 1),
        "p99_us": percentile(town.looked_up, 99),
        "clock_p50_us": percentile(town.waited, 50),
        "clock_p99_us": percentile(town.waited, 99),
    }
    return found


def percentile(spans: list[float], percent: int) -> float:
    """Return the span below which so many percent are."""
    return round(quantiles(spans, n=100)[percent - 1], 1)


if __name__ == "__main__":
    main()
