"""Times survive to the nanosecond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.headers import MAX_TIME_NS, MIN_TIME_NS
from dchat.node.rfc3339 import parse_time, show_time


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("2026-01-31T12:00:00.123456789Z", 1_769_860_800_123_456_789),
        ("0001-01-01T00:00:00Z", MIN_TIME_NS),
        ("9999-12-31T23:59:59.999999999Z", MAX_TIME_NS),
    ],
)
def test_time_goes_both_ways(text: str, time_ns: int) -> None:
    assert (parse_time(text), show_time(time_ns)) == (time_ns, text)


@given(st.integers(MIN_TIME_NS, MAX_TIME_NS))
def test_every_time_of_a_header_survives(time_ns: int) -> None:
    assert parse_time(show_time(time_ns)) == time_ns


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "now",
        None,
        5,
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-13-01T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:01Z",
        "2026-01-31T12:00:60Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
    ],
)
def test_other_text_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_time(raw)
