"""Fields of a settings file or an entry, read one by one into checked values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Final, TypeVar, cast

from abci_currency.params import BASIS_POINTS
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId, Amount
from dchat.node.units import parse_seconds

Fields = Mapping[str, object]
_DECADE_S: Final = 10 * 366 * 86_400
_KEY: Final = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


def known(fields: Fields, names: frozenset[str], where: str) -> None:
    """Return if every field has one of these names. Raises: ValueError."""
    unknown = sorted(fields.keys() - names)
    if unknown:
        listed = ", ".join(sorted(names))
        raise ValueError(f"{where}{unknown[0]} is no known key; known are {listed}")


def get(fields: Fields, name: str, read: Callable[[object], T], where: str) -> T:
    """Return the field, read. Raises: ValueError naming the field, also where it is missing."""
    if name not in fields:
        raise ValueError(f"{where}{name} is missing")
    try:
        return read(fields[name])
    except (ValueError, OperatorError) as fault:
        raise ValueError(f"{where}{name}: {fault}") from None


def either(fields: Fields, name: str, read: Callable[[object], T], where: str, *, default: T) -> T:
    """Return the field, read, or the default where it is missing. Raises: ValueError."""
    return get(fields, name, read, where) if name in fields else default


def account(raw: object) -> AccountId:
    """Return an account. Raises: ValueError, BadAccount."""
    return accounts.parse_account(text(raw))


def amount(raw: object) -> Amount:
    """Return base units of tokens that are a number, or text like 5, 0.25, 5000udchat.

    Raises: ValueError, BadAmount.
    """
    return parse_amount(str(raw) if type(raw) is int else text(raw))


def basis_points(raw: object) -> int:
    """Return a fraction from 0 to 1, of at most four decimals, in basis points.

    Raises: ValueError.
    """
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not isfinite(raw):
        raise ValueError(f"{raw!r} is not a fraction like 0.05")
    points = Decimal(str(raw)) * BASIS_POINTS
    if not 0 <= points <= BASIS_POINTS or points != int(points):
        raise ValueError(f"{raw} is not a fraction from 0 to 1 with at most four decimals")
    return int(points)


def seconds(raw: object) -> int:
    """Return seconds that are a number, or text like 14d. Raises: ValueError."""
    return number(parse_seconds(raw))("duration", 0, _DECADE_S)


def whole(raw: object) -> int:
    """Return an integer that is not negative. Raises: ValueError."""
    if type(raw) is not int or raw < 0:
        raise ValueError(f"{raw!r} is not a whole number")
    return raw


def key(raw: object) -> bytes:
    """Return 32 bytes. Raises: ValueError."""
    if not isinstance(raw, str) or not _KEY.fullmatch(raw):
        raise ValueError("not 64 lower-case hexadecimal digits")
    return bytes.fromhex(raw)


def text(raw: object) -> str:
    """Return printable text. Raises: ValueError."""
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError(f"{raw!r} is not printable text")
    return raw


def texts(raw: object, name: str) -> tuple[str, ...]:
    """Return a list of printable texts. Raises: ValueError."""
    if not isinstance(raw, list):
        raise ValueError(f"{name} is not a list")  # noqa: TRY004 - one class for bad files
    return tuple(text(each) for each in cast("list[object]", raw))


def number(raw: object) -> Callable[[str, int, int], int]:
    """Return what checks that raw is an integer within bounds. Raises: ValueError."""

    def bounded(name: str, least: int, most: int) -> int:
        if type(raw) is not int or not least <= raw <= most:
            raise ValueError(f"{name} is not an integer from {least} to {most}")
        return raw

    return bounded


def table(raw: object, name: str) -> Fields:
    """Return a table. Raises: ValueError."""
    if not isinstance(raw, dict):
        raise ValueError(f"{name} is not a table")  # noqa: TRY004 - one class for bad files
    return cast("Fields", raw)


def tables(fields: Fields, name: str) -> Sequence[Fields]:
    """Return the tables of a name, none where it is missing. Raises: ValueError."""
    raw = fields.get(name, [])
    if not isinstance(raw, list):
        raise ValueError(f"write [[{name}]], once for each")  # noqa: TRY004 - one class for bad files
    return [table(each, f"[[{name}]]") for each in cast("list[object]", raw)]
