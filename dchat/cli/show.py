"""How values reach a person or a program: aligned text, or one JSON document, on stdout."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

import typer

from dchat.kernel.amounts import show_amount
from dchat.kernel.ids import Amount
from dchat.node.rfc3339 import show_time

Leaf = str | int | bool | bytes | None
Value = Leaf | Sequence["Value"] | Mapping[str, "Value"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

INDENT: Final = "  "
NOTHING: Final = "-"
NS_PER_MS: Final = 1_000_000
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, which is how far the calendar goes."""


def show(value: Value, *, as_json: bool = False) -> None:
    """Print `value`; bytes appear as lower-case hex in both forms."""
    typer.echo(json.dumps(plain(value), ensure_ascii=True) if as_json else text(value))


def text(value: Value) -> str:
    """`value` as lines of `name: value`, nested ones indented; lists as tables or by entry."""
    return "\n".join(_lines(value))


def tokens(units: int) -> str:
    """Return base units as people read amounts: `0.25 DCHAT`."""
    return f"{show_amount(Amount(units))} DCHAT"


def percent(basis_points: int) -> str:
    """Return a fraction as people read it: `5%`, `0.25%`."""
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02}".rstrip("0").rstrip(".") + "%"


def moment(time_ms: int) -> str | None:
    """Return a time of the chain, None for 0: not set; beyond the year 9999 is never."""
    if time_ms > LAST_MS:
        return "never"
    return show_time(time_ms * NS_PER_MS) if time_ms else None


def printable(line: str) -> str:
    """`line` without characters that could steer the terminal or reorder what it shows.

    Control, format and line separator characters become their escape: text from a peer, a file
    name or a chain must not move the cursor, recolour or hide the rest of the line.
    """
    return "".join(
        char if not unicodedata.category(char).startswith(("C", "Zl", "Zp")) else _escape(char)
        for char in line
    )


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def plain(value: Value) -> object:
    """`value` as JSON knows it: byte strings become lower-case hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value


def _lines(value: Value) -> Iterator[str]:
    if isinstance(value, str | bytes) or not isinstance(value, Mapping | Sequence):
        yield _leaf(value)
    elif not value:
        yield NOTHING
    elif isinstance(value, Mapping):
        yield from _mapping_lines(value)
    else:
        yield from _list_lines(value)


def _mapping_lines(fields: Mapping[str, Value]) -> Iterator[str]:
    width = max(len(name) for name in fields) + 1
    for name, entry in fields.items():
        if _is_block(entry):
            yield f"{name}:"
            yield from (INDENT + line for line in _lines(entry))
        else:
            yield f"{name + ':':<{width}} {next(_lines(entry))}"


def _list_lines(entries: Sequence[Value]) -> Iterator[str]:
    rows = _rows(entries)
    if rows:
        yield from _table_lines(rows)
        return
    for entry in entries:
        first, *rest = _lines(entry)
        yield f"- {first}"
        yield from (INDENT + line for line in rest)


def _rows(entries: Sequence[Value]) -> list[Mapping[str, Value]]:
    """Return the entries as rows if all have the same fields and nothing nested, else nothing."""
    rows = [entry for entry in entries if isinstance(entry, Mapping)]
    alike = len(rows) == len(entries) and all(row.keys() == rows[0].keys() for row in rows)
    flat = not any(_is_block(value) for row in rows for value in row.values())
    return rows if alike and flat else []


def _table_lines(rows: Sequence[Mapping[str, Value]]) -> Iterator[str]:
    """Yield a head and one line a row, columns aligned."""
    head = list(rows[0])
    cells = [head, *([next(_lines(row[name])) for name in head] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(head))]
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        yield "  ".join(padded).rstrip()


def _is_block(value: Value) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _leaf(value: Leaf) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.hex() if isinstance(value, bytes) else printable(str(value))
