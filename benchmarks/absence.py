"""What it costs a block to know who signed the one before: a hundred validators, a third down.

`just bench absence` takes seconds. Each figure is the median of many runs of the hook on entries in
memory: all sign; a third begins to be away, with nothing missed before or every other height of the
window; stays away; returns. The peer is what streaks spare: reading and writing a bit for each
validator. The last line is one JSON object; with `--write` it becomes the baseline.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from statistics import median

from abci_currency import keys, params
from abci_currency.hooks import votes
from abci_currency.state import presence
from benchmarks.report import finish
from dchat.kernel.ids import Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft, State
from tests.fakes.memory import MemoryState
from tests.fakes.voters import UNIT, address, block, founded, operator

VALIDATORS = 100
THIRD = tuple(range(VALIDATORS // 3))
RUNS = 200
WINDOW = params.SLASHING.default.missed_blocks_window
BITS = bytes(32)


class Sorted(MemoryState):
    """Entries of which a scan touches only those it yields."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        super().__init__(entries)
        self._keys = sorted(self.entries)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries under prefix in ascending order."""
        for at in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[at].startswith(prefix):
                return
            yield self._keys[at], self.entries[self._keys[at]]


def main() -> None:
    """Measure every case."""
    fresh = Sorted(dict(founded(*[1000 * UNIT] * VALIDATORS).scan(b"")))
    away = after(fresh, block(10, THIRD, VALIDATORS))
    figures = {
        "all_sign": timed(hook(block(10, of=VALIDATORS)), fresh),
        "third_begins": timed(hook(block(10, THIRD, VALIDATORS)), fresh),
        "third_begins_full": timed(hook(block(WINDOW, THIRD, VALIDATORS)), flapping(fresh)),
        "third_stays_away": timed(hook(block(11, THIRD, VALIDATORS)), away),
        "third_returns": timed(hook(block(20, of=VALIDATORS)), away),
        "bit_each": timed(bit_each, fresh),
    }
    print(*(f"{name} {us} µs" for name, us in figures.items()))
    report: dict[str, object] = {
        "name": "absence",
        "value": figures["third_stays_away"],
        "unit": f"µs a block with a third of {VALIDATORS} validators down",
        "peer": "to write a bit for every validator",
        "peer_value": figures["bit_each"],
        "ratio": round(figures["third_stays_away"] / figures["bit_each"], 4),
        "us": figures,
    }
    finish(report, write_baseline="--write" in sys.argv)


def hook(context: BlockContext) -> Callable[[Draft], object]:
    """Return the hook, for a block."""
    return lambda draft: votes.count(draft, context)


def after(state: MemoryState, context: BlockContext) -> Sorted:
    """Return the state after a block."""
    draft = Draft(state)
    votes.count(draft, context)
    return Sorted(state.after(draft.writes()).entries)


def flapping(state: State) -> Sorted:
    """Return a state in which a third has missed every other height of the window."""
    draft = Draft(state)
    for height in range(1, WINDOW - 1):
        away = THIRD if height % 2 else ()
        presence.observe(draft, Height(height), {address(at): None for at in away})
    return Sorted(dict(draft.scan(b"")))


def bit_each(draft: Draft) -> None:
    """Do what a bitmap would: 256 heights in a record, one bit of each validator's changed."""
    for at in range(VALIDATORS):
        key = keys.missed(operator(at), 0)
        bits = int.from_bytes(draft.get(key) or BITS, "big") | 1
        draft.put(key, bits.to_bytes(32, "big"))


def timed(step: Callable[[Draft], object], state: State) -> float:
    """Return the median of what a step takes on a draft of its own, in microseconds."""
    spans: list[int] = []
    for _ in range(RUNS):
        draft = Draft(state)
        start = time.perf_counter_ns()
        step(draft)
        spans.append(time.perf_counter_ns() - start)
    return round(median(spans) / 1_000, 1)


if __name__ == "__main__":
    main()
