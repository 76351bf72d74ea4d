from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.ids import EpochMs
from relay.core.limits import Bucket, Meters, Rate, full, take

RATE = Rate(per_minute=60, burst=3)
START = EpochMs(1_000_000)


def test_a_burst_is_free_and_the_next_must_wait_for_one_token() -> None:
    meters = Meters(RATE, 8)

    waits = [meters.take(b"peer", 1, START) for _ in range(4)]

    assert waits == [0, 0, 0, 1000]


def test_waiting_as_told_is_enough() -> None:
    meters = Meters(RATE, 8)
    meters.take(b"peer", 3, START)

    assert meters.take(b"peer", 1, EpochMs(START + 999)) == 1
    assert meters.take(b"peer", 1, EpochMs(START + 1000)) == 0


def test_a_wait_is_rounded_up() -> None:
    rate = Rate(per_minute=7, burst=1)
    empty, _ = take(full(rate, START), rate, 1, START)

    _, wait_ms = take(empty, rate, 1, START)
    _, too_early = take(empty, rate, 1, EpochMs(START + 8_571))
    _, on_time = take(empty, rate, 1, EpochMs(START + wait_ms))

    assert (wait_ms, too_early, on_time) == (8_572, 1, 0)


def test_peers_do_not_pay_for_each_other() -> None:
    meters = Meters(RATE, 8)
    meters.take(b"one", 3, START)

    assert meters.take(b"other", 3, START) == 0


def test_a_clock_that_steps_back_gains_nothing() -> None:
    bucket, _ = take(full(RATE, START), RATE, 3, START)

    back, wait_ms = take(bucket, RATE, 1, EpochMs(START - 60_000))

    assert (back.level, wait_ms) == (0, 1000)


def test_a_cost_above_the_burst_is_paid_by_a_full_bucket() -> None:
    after, wait_ms = take(full(RATE, START), RATE, 100, START)

    assert (after.level, wait_ms) == (0, 0)


def test_the_least_recently_seen_is_forgotten() -> None:
    meters = Meters(RATE, 2)
    meters.take(b"old", 3, START)
    meters.take(b"new", 3, START)
    meters.take(b"newest", 3, START)

    assert len(meters) == 2
    assert meters.take(b"new", 1, START) == 1000
    assert meters.take(b"old", 1, START) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-500, 5_000)), max_size=60))
def test_nobody_gets_more_than_burst_and_rate(steps: list[tuple[int, int]]) -> None:
    bucket, now, spent, latest = full(RATE, START), int(START), 0, int(START)

    for cost, pause in steps:
        now += pause
        latest = max(latest, now)
        bucket, wait_ms = take(bucket, RATE, cost, EpochMs(now))
        spent += 0 if wait_ms else min(cost, RATE.burst)

    assert isinstance(bucket, Bucket)
    assert (
        spent <= RATE.burst + sum(max(pause, 0) for _, pause in steps) * RATE.per_minute // 60_000
    )
