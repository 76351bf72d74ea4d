"""The only place that reads the time; everything else is handed it."""

from __future__ import annotations

import time
from typing import Protocol

from dchat.kernel.ids import EpochMs


class Clock(Protocol):
    """Gives the time; tests pass one they set by hand."""

    def now(self) -> EpochMs:
        """Return milliseconds since 1970 UTC."""
        ...


class SystemClock:
    """The machine's own clock, which may step backwards when it is corrected."""

    def now(self) -> EpochMs:
        """Return milliseconds since 1970 UTC."""
        return EpochMs(time.time_ns() // 1_000_000)


def monotonic_ms() -> int:
    """Return milliseconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic_ns() // 1_000_000


def monotonic_ns() -> int:
    """Return nanoseconds of the same clock, for work that takes microseconds."""
    return time.monotonic_ns()
