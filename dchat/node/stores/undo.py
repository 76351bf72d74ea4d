"""The undo log: what every block overwrote, so that a state before it can still be read.

A block's record is cut into chunks under the keys `"u" | u64be height | name of the first entry`.
A chunk is a run of entries, ascending by name:

    u16be name size | name | u32be 1 + old size, 0 if there was nothing | old

Keyed by height first, a block's record is written, read and removed as one run of keys.
Source: ADR 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from struct import Struct
from typing import Final

from dchat.node.stores.backend import Reader

PREFIX: Final = b"u"
CHUNK_BYTES: Final = 4 * 1024
_NAME: Final = Struct(">H")
_OLD: Final = Struct(">I")

Old = tuple[bytes, bytes | None]


def height_key(height: int) -> bytes:
    """Return what the keys of a block's record begin with."""
    return PREFIX + height.to_bytes(8, "big")


def record(height: int, replaced: Mapping[bytes, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that record these old values (None: there was nothing)."""
    head = height_key(height)
    first, size = b"", 0
    parts: list[bytes] = []
    for name in sorted(replaced):
        old = replaced[name]
        if not parts:
            first = name
        if old is None:
            parts += (_NAME.pack(len(name)), name, _OLD.pack(0))
            size += len(name)
        else:
            parts += (_NAME.pack(len(name)), name, _OLD.pack(len(old) + 1), old)
            size += len(name) + len(old)
        if size >= CHUNK_BYTES:
            yield head + first, b"".join(parts)
            parts.clear()
            size = 0
    if parts:
        yield head + first, b"".join(parts)


def entries(chunk: bytes) -> Iterator[Old]:
    """Yield the names and old values of a chunk, ascending."""
    at = 0
    while at < len(chunk):
        (size,) = _NAME.unpack_from(chunk, at)
        at += _NAME.size + size
        name = chunk[at - size : at]
        (marked,) = _OLD.unpack_from(chunk, at)
        at += _OLD.size
        if marked:
            yield name, chunk[at : at + marked - 1]
            at += marked - 1
        else:
            yield name, None


def find(reader: Reader, height: int, name: bytes) -> Old | None:
    """Return what the block at height replaced under name; None if it left it alone."""
    head = height_key(height)
    for _, chunk in reader.entries(head, head + name + b"\0", reverse=True):
        return next((old for old in entries(chunk) if old[0] == name), None)
    return None


def between(reader: Reader, height: int, start: bytes, stop: bytes) -> Iterator[Old]:
    """Yield what the block at height replaced in start <= name < stop, ascending."""
    head = height_key(height)
    first = head + start + b"\0"
    across = islice(reader.entries(head, first, reverse=True), 1)
    for _, chunk in chain(across, reader.entries(first, head + stop)):
        for old in entries(chunk):
            if start <= old[0] < stop:
                yield old


def keys_of(reader: Reader, height: int) -> Iterator[bytes]:
    """Yield the keys of a block's record."""
    return (key for key, _ in reader.entries(height_key(height), height_key(height + 1)))
