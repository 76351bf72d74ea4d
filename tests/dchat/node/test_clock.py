from __future__ import annotations

import time

from dchat.node.clock import SystemClock, monotonic_ms


def test_the_system_clock_gives_milliseconds_since_1970() -> None:
    before = int(time.time() * 1000)

    now = SystemClock().now()

    assert before - 1 <= now <= int(time.time() * 1000) + 1


def test_the_monotonic_clock_never_goes_back() -> None:
    assert monotonic_ms() <= monotonic_ms()
