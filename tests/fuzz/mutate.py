"""Inputs made from inputs: bytes cut, copied and changed; values exchanged; encodings stretched."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any, Final

import msgpack

EDGES: Final = tuple(
    sorted(
        {
            n + d
            for n in (0, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**63, 2**64)
            for d in (-1, 0, 1)
        }
    )
)
ODD_BYTES: Final = (0x00, 0x01, 0x7F, 0x80, 0x90, 0xC0, 0xC1, 0xC4, 0xC7, 0xD9, 0xDC, 0xDF, 0xFF)
ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    1.5,
    b"",
    "",
    "\u0665",
    [],
    [[]],
    {},
    {"": 0},
)
ODD_TEXTS: Final = (
    "",
    "-1",
    "1e6",
    "\u0661",
    "\x00",
    "null",
    "9" * 40,
    "0x1",
    " ",
    "../",
    "é",
    "\u202e",
)
INTEGERS: Final = {
    0: (-(2**31), 2**31 - 1),
    1: (-(2**63), 2**63 - 1),
    2: (0, 2**32 - 1),
    3: (0, 2**64 - 1),
}
"""Ranges of protobuf's int32, int64, uint32 and uint64, in the order of their types."""
DEPTH: Final = 300
"""Levels of nesting that no parser here should follow."""


def change_bytes(rng: Random, data: bytes) -> bytes:  # noqa: PLR0911 -- a table
    """One cut, copy, insertion or change anywhere."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 1, 1, 2, 4, 8, 32, 64)))
    match rng.randrange(7):
        case 0:
            return data[:at] + data[end:]
        case 1:
            return data[:end] + data[at:]
        case 2:
            return data[:at] + rng.randbytes(end - at) + data[end:]
        case 3:
            return data[:at] + bytes([rng.choice(ODD_BYTES)]) + data[at:]
        case 4:
            return data[:at]
        case 5 if at < len(data):
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case _:
            return data[:at] + bytes([rng.choice(ODD_BYTES)]) + data[at + 1 :]


def change_text(rng: Random, data: bytes) -> bytes:
    """A character exchanged, doubled or dropped, or an odd piece of text put in."""
    text = data.decode(errors="replace")
    at = rng.randrange(len(text) + 1)
    piece = rng.choice((*ODD_TEXTS, text[at : at + 8], chr(rng.randrange(32, 127))))
    match rng.randrange(4):
        case 0:
            text = text[:at] + piece + text[at:]
        case 1:
            text = text[:at] + text[at + 1 :]
        case 2:
            text = text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
        case _:
            text = text[:at] + piece + text[at + len(piece) :]
    return text.encode(errors="replace")


def change_values(rng: Random, data: bytes) -> bytes:
    """The msgpack value in data with one part exchanged, now and then in a longer encoding."""
    try:
        value = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return change_bytes(rng, data)
    changed = change_tree(rng, value) if rng.randrange(5) else value
    try:
        return stretched(rng, changed) if rng.randrange(4) == 0 else msgpack.packb(changed)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return b"\x91" * DEPTH + b"\xc0"


def change_json(rng: Random, data: bytes) -> bytes:
    """The JSON value in data with one part exchanged, dropped or doubled."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return change_text(rng, data)
    changed = change_tree(rng, value)
    return json.dumps(changed, default=lambda raw: raw.hex()).encode(errors="replace")


def change_message(rng: Random, message: Any) -> None:
    """One field of a protobuf message exchanged, in it or in a message that it holds."""
    present = [field for field, _ in message.ListFields()]
    fields = present if present and rng.randrange(4) else message.DESCRIPTOR.fields
    if not fields:
        return
    field = rng.choice(fields)
    if field.is_repeated:
        _change_repeated(rng, getattr(message, field.name), field)
    elif field.message_type:
        change_message(rng, getattr(message, field.name))
    else:
        setattr(message, field.name, _scalar(rng, field, getattr(message, field.name)))


def _change_repeated(rng: Random, values: Any, field: Any) -> None:
    if values and rng.randrange(3) == 0:
        del values[rng.randrange(len(values))]
    elif values and rng.randrange(2):
        values.extend([rng.choice(values)] * rng.choice((1, 1, 3)))
    elif not field.message_type:
        values.append(_scalar(rng, field, values[0] if values else b""))
    elif values:
        change_message(rng, rng.choice(values))
    else:
        values.add()


def _scalar(rng: Random, field: Any, value: Any) -> Any:
    """Another value that the field can hold."""
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return change_bytes(rng, value)
        case field.CPPTYPE_STRING:
            return change_text(rng, value.encode() if value else b"").decode(errors="replace")
        case field.CPPTYPE_BOOL:
            return not value
        case field.CPPTYPE_ENUM:
            return rng.choice((0, 1, 2, 3, 99, -1))
        case kind:
            least, most = INTEGERS.get(kind - field.CPPTYPE_INT32, (0, 0))
            return rng.choice([edge for edge in EDGES if least <= edge <= most])


def change_tree(rng: Random, value: Any) -> Any:
    """The value with one part of it changed, somewhere."""
    if isinstance(value, list) and value and rng.randrange(6):
        return _change_list(rng, value)
    if isinstance(value, dict) and value and rng.randrange(6):
        return _change_table(rng, value)
    return _other(rng, value)


def _change_list(rng: Random, values: list[Any]) -> list[Any]:
    at, other = rng.randrange(len(values)), rng.randrange(len(values))
    match rng.randrange(8):
        case 0:
            return values[:at] + values[at + 1 :]
        case 1:
            return [*values[:at], values[other], *values[at:]]
        case 2:
            swapped = list(values)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return swapped
        case _:
            return [*values[:at], change_tree(rng, values[at]), *values[at + 1 :]]


def _change_table(rng: Random, table: dict[Any, Any]) -> dict[Any, Any]:
    name, other = rng.choice(list(table)), rng.choice(list(table))
    match rng.randrange(10):
        case 0:
            return {key: value for key, value in table.items() if key != name}
        case 1:
            return {**table, name: table[other]}
        case 2:
            return {**table, str(name) + "x": table[name]}
        case _:
            return {**table, name: change_tree(rng, table[name])}


def _other(rng: Random, value: Any) -> Any:  # noqa: PLR0911 -- a table
    if rng.randrange(4) == 0:
        return rng.choice(ODD_VALUES)
    match value:
        case bool():
            return not value
        case int():
            return rng.choice((*EDGES, value + 1, value - 1, value ^ 1 << rng.randrange(64)))
        case bytes():
            return change_bytes(rng, value)
        case str():
            return change_text(rng, value.encode(errors="replace")).decode(errors="replace")
        case list() | tuple() | dict():
            return _nested(rng, value)
        case _:
            return rng.choice(EDGES)


def _nested(rng: Random, value: Any) -> Any:
    for _ in range(rng.choice((1, 8, DEPTH))):
        value = [value]
    return value


def stretched(rng: Random, value: Any) -> bytes:  # noqa: PLR0911 -- a table
    """A msgpack encoding of value, each head perhaps longer than it need be."""
    match value:
        case bool() | None | float():
            return msgpack.packb(value)
        case int():
            return _stretched_number(rng, value)
        case bytes():
            return _head(rng, len(value), (0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I")) + value
        case str():
            raw = value.encode(errors="replace")
            return _head(rng, len(raw), (0xD9, ">B"), (0xDA, ">H"), (0xDB, ">I")) + raw
        case list() | tuple():
            inside = b"".join(stretched(rng, part) for part in value)
            return _head(rng, len(value), (0xDC, ">H"), (0xDD, ">I")) + inside
        case dict():
            parts = [part for pair in value.items() for part in pair]
            inside = b"".join(stretched(rng, part) for part in parts)
            return _head(rng, len(value), (0xDE, ">H"), (0xDF, ">I")) + inside
        case _:
            return b"\xc1"


def _stretched_number(rng: Random, number: int) -> bytes:
    unsigned = ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
    signed = ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q"))
    if not -(2**63) <= number < 2**64:
        return b"\xcf" + bytes(8)
    return _head(rng, number, *(signed if number < 0 or rng.randrange(4) == 0 else unsigned))


def _head(rng: Random, number: int, *forms: tuple[int, str]) -> bytes:
    """The number in one of the forms that hold it, the last if none does."""
    fitting = [form for form in forms if _fits(number, form[1])] or [forms[-1]]
    tag, layout = rng.choice(fitting)
    mask = (1 << 8 * struct.calcsize(layout)) - 1
    room = number if _fits(number, layout) else number & mask >> 1
    return bytes([tag]) + struct.pack(layout, room)


def _fits(number: int, layout: str) -> bool:
    try:
        struct.pack(layout, number)
    except struct.error:
        return False
    return True
