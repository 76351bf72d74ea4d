from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.operator.skew import NS, STRIKES, Skew

MAX_OFF_S = 10**6


def told(off_s: float, samples: int = STRIKES, poll_s: float = 1.0, gap_s: float = 10.0) -> int:
    """What is said after so many blocks, `gap_s` apart, of a clock that is off by so much."""
    skew, poll_ns, off_ns = Skew(), int(poll_s * NS), int(off_s * NS)
    skew.heard(1, off_ns - poll_ns, off_ns)
    for height in range(2, samples + 2):
        decided_ns = int(height * gap_s * NS)
        skew.heard(height - 1, decided_ns + off_ns - poll_ns // 2, decided_ns + off_ns)
        skew.heard(height, decided_ns + off_ns, decided_ns + off_ns + poll_ns // 2)
        skew.judge(height + 1, decided_ns)
    return skew.seconds


@pytest.mark.parametrize("off_s", [0, 5, -5, 9])
def test_a_clock_that_is_nearly_right_is_not_mentioned(off_s: int) -> None:
    assert told(off_s) == 0


@pytest.mark.parametrize("off_s", [300, -300, 45])
def test_a_clock_that_is_far_off_is_told_with_its_sign(off_s: int) -> None:
    assert abs(told(off_s) - off_s) <= 1


def test_one_late_block_is_not_enough() -> None:
    assert told(300, samples=STRIKES - 1) == 0


def test_a_clock_that_was_set_right_is_forgiven_at_once() -> None:
    skew = Skew(seconds=300, strikes=5)
    skew.heard(1, 0, 1)
    skew.heard(2, 10 * NS, 11 * NS)

    skew.judge(3, 10 * NS)

    assert skew.seconds == 0


def test_a_header_that_is_not_the_next_one_says_nothing() -> None:
    skew = Skew()
    skew.heard(1, 0, 1)
    skew.heard(2, 500 * NS, 501 * NS)

    skew.judge(4, 0)

    assert (skew.pending, skew.strikes) == (None, 0)


def test_a_node_that_catches_up_begins_again() -> None:
    skew = Skew()
    skew.heard(1, 0, 1)
    skew.heard(2, 500 * NS, 501 * NS)

    skew.forget()
    skew.judge(3, 0)

    assert (skew.strikes, skew.seconds) == (0, 0)


@given(st.integers(-MAX_OFF_S, MAX_OFF_S), st.floats(0.1, 60))
def test_slow_polling_never_invents_a_difference(off_s: int, poll_s: float) -> None:
    assert abs(told(off_s, poll_s=poll_s)) <= abs(off_s)
