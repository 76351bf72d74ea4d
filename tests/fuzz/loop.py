"""A fuzzer that needs nothing but Python: same seed, same inputs; what is new is built upon.

An input that has an outcome that none had before joins those that new inputs are made from.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.fuzz.target import Target

MOST_KEPT: Final = 2000


@dataclass
class Tally:
    """What became of the inputs so far."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    slowest_s: float = 0.0
    slowest: bytes = b""

    @property
    def inputs(self) -> int:
        """How many inputs were judged."""
        return self.outcomes.total()


def judge(target: Target, data: bytes, tally: Tally) -> bool:
    """Count what becomes of data; True if it had not happened before. Raises: the finding."""
    started = time.thread_time()
    try:
        outcome = target.judge(data)
    except BaseException as finding:
        finding.add_note(f"{target.name}: {len(data)} bytes: {data.hex()}")
        raise
    took_s = time.thread_time() - started
    if took_s > tally.slowest_s:
        tally.slowest_s, tally.slowest = took_s, data
    tally.outcomes[outcome] += 1
    return tally.outcomes[outcome] == 1


def inputs(target: Target, rng: Random, kept: list[bytes]) -> Iterator[bytes]:
    """The seeds, and then for ever what can be made of those in `kept`."""
    yield from target.seeds
    while True:
        yield mutated(target, rng, rng.choice(kept), rng.choice(kept))


def mutated(target: Target, rng: Random, data: bytes, other: bytes) -> bytes:
    """One to four changes to data, now and then begun with a piece of another input."""
    if rng.randrange(8) == 0:
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(target.mutators)(rng, data)
    return data[: target.max_bytes]


def run(target: Target, count: int, seed: int = 0) -> Tally:
    """Judge `count` inputs. Raises: the finding, with its input in a note."""
    tally, rng = Tally(), Random(seed)
    kept = list(target.seeds)
    for data in inputs(target, rng, kept):
        if tally.inputs >= count:
            break
        if judge(target, data, tally) and len(kept) < MOST_KEPT:
            kept.append(data)
    return tally
