"""How far this machine's clock is from the validators', told from the headers they agree on.

A header's time is the weighted median of the votes for the block before it. So the moment at which
we first hear of block H, on our own clock, is about the time that header H + 1 will carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NS: Final = 1_000_000_000
WORTH_SAYING_S: Final = 10
"""CometBFT refuses blocks 60 s ahead of its clock; NTP keeps a machine within a fraction of one."""
STRIKES: Final = 3
"""So many blocks in a row must say so: a node that was held up hears late of a few."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Block `height` was decided between these two readings of our clock, nanoseconds."""

    height: int
    earliest_ns: int
    latest_ns: int


@dataclass(slots=True)
class Skew:
    """What is known so far. `seconds` is how far our clock is ahead; 0 while that is little."""

    seconds: int = 0
    height: int = 0
    asked_ns: int = 0
    strikes: int = 0
    pending: Heard | None = None

    def heard(self, height: int, asked_ns: int, answered_ns: int) -> None:
        """Take in the node's latest block, and our clock before and after we asked for it."""
        if height > self.height > 0 and self.pending is None:
            self.pending = Heard(height, self.asked_ns, answered_ns)
        self.height, self.asked_ns = height, asked_ns

    def judge(self, height: int, time_ns: int) -> None:
        """Compare a header's time with when we heard of the block before it."""
        known = self.pending
        if known is None or height <= known.height:
            return
        if height == known.height + 1:
            self._count(known.earliest_ns - time_ns, known.latest_ns - time_ns)
        self.pending = None

    def forget(self) -> None:
        """Begin again: the node catches up with old blocks, which say nothing of now."""
        self.height, self.pending, self.strikes = 0, None, 0

    def _count(self, least_ns: int, most_ns: int) -> None:
        """Take the smallest difference that fits between the two bounds."""
        sign = 1 if least_ns > 0 else -1
        apart_ns = 0 if least_ns <= 0 <= most_ns else min(abs(least_ns), abs(most_ns))
        seconds = sign * (apart_ns // NS)
        self.strikes = self.strikes + 1 if abs(seconds) >= WORTH_SAYING_S else 0
        if self.strikes == 0 or self.strikes >= STRIKES:
            self.seconds = seconds if self.strikes else 0
