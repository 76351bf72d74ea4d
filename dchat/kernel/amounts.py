"""Checked arithmetic on amounts in base units, and amounts as people write them."""

from __future__ import annotations

import re
from typing import Final

from dchat.kernel.codec import MAX_U64
from dchat.kernel.errors import AmountTooLarge, OperatorError
from dchat.kernel.ids import Amount

DECIMALS: Final = 6
UNIT: Final = 10**DECIMALS
_WRITTEN: Final = re.compile(r"(\d{1,20})(?:\.(\d{1,6}))?(DCHAT)?", re.ASCII)
_BASE: Final = re.compile(r"(\d{1,20})udchat", re.ASCII)


class BadAmount(OperatorError):
    """The text is not an amount of tokens."""

    hint = "write whole tokens (5), up to six decimals (0.25), or base units (250000udchat)"


def add(left: Amount, right: Amount) -> Amount:
    """Return the sum. Raises: AmountTooLarge beyond 64 bits."""
    total = left + right
    if total > MAX_U64:
        raise AmountTooLarge(f"{left} + {right} base units exceed 64 bits")
    return Amount(total)


def parse_amount(text: str) -> Amount:
    """Return the base units of `5`, `0.25` or `250000udchat`. Raises: BadAmount."""
    if match := _BASE.fullmatch(text):
        return _bounded(int(match[1]), text)
    if match := _WRITTEN.fullmatch(text):
        decimals = (match[2] or "").ljust(DECIMALS, "0")
        return _bounded(int(match[1]) * UNIT + int(decimals), text)
    raise BadAmount(f"{text!r} is not an amount")


def _bounded(units: int, text: str) -> Amount:
    if units > MAX_U64:
        raise BadAmount(f"{text!r} is more than there can be")
    return Amount(units)


def show_amount(amount: Amount) -> str:
    """Return base units as tokens, without needless zeros: `5`, `0.25`."""
    whole, rest = divmod(amount, UNIT)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0") if rest else str(whole)
