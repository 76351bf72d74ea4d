"""Durations and sizes as operators write them: bare in the key's unit, or with a suffix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

QUANTITY: Final = re.compile(r"([0-9]{1,18}) ?([A-Za-z]{1,3})")
DURATIONS_MS: Final[Mapping[str, int]] = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
SIZES: Final[Mapping[str, int]] = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def parse_milliseconds(value: object) -> object:
    """Read `3000` or `"3s"` as milliseconds. Raises: ValueError."""
    return _scaled(value, DURATIONS_MS) if isinstance(value, str) else value


def parse_seconds(value: object) -> object:
    """Read `300` or `"5m"` as whole seconds. Raises: ValueError."""
    if not isinstance(value, str):
        return value
    milliseconds = _scaled(value, DURATIONS_MS)
    if milliseconds % 1000:
        raise ValueError("must be whole seconds")
    return milliseconds // 1000


def parse_bytes(value: object) -> object:
    """Read `10485760` or `"10MiB"` as bytes. Raises: ValueError."""
    return _scaled(value, SIZES) if isinstance(value, str) else value


def _scaled(text: str, scale: Mapping[str, int]) -> int:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in scale:
        raise ValueError(f"must be a number, optionally with one of {', '.join(scale)}")
    return int(match[1]) * scale[match[2]]
