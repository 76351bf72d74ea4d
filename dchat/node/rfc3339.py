"""RFC 3339 times in UTC as nanoseconds since the epoch, exactly, and back.

Python's own parser stops at microseconds; CometBFT signs nanoseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from dchat.kernel.wire import NS_PER_SECOND

_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(raw: object) -> int:
    """Return the nanoseconds since the epoch of a time that ends in Z. Raises: ValueError."""
    match = _TIME.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError("not an RFC 3339 time in UTC, like 2026-01-31T12:00:00Z")
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    seconds = (whole - _EPOCH) // timedelta(seconds=1)
    return seconds * NS_PER_SECOND + int((match[2] or "0").ljust(9, "0"))


def show_time(time_ns: int) -> str:
    """Return the time, without trailing zeros behind the point.

    time_ns lies in the years 1 to 9999, as kernel/headers.py checks.
    """
    seconds, nanos = divmod(time_ns, NS_PER_SECOND)
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds").partition("+")[0]
    return f"{whole}.{nanos:09}".rstrip("0").rstrip(".") + "Z"
