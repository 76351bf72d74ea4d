"""Committed state as everyone reads it, and the draft that a transaction writes into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, cast

from dchat.kernel.codec import Shape

T = TypeVar("T")


class State(Protocol):
    """An ordered key space that can be read."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield every entry whose key begins with prefix, in ascending order of key."""
        ...


class Record(Protocol):
    """A frozen value that knows its one encoding."""

    def encode(self) -> bytes:
        """Return the bytes that the state keeps."""
        ...


class Draft:
    """Copy-on-write view of a state: reads see earlier writes, dropping it undoes them.

    What a block writes many times over, such as an account, is put as a record and encoded once.
    """

    __slots__ = ("_base", "_writes")

    def __init__(self, base: State) -> None:
        self._base = base
        self._writes: dict[bytes, bytes | Record | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, own writes first."""
        return _encoded(self.peek(key))

    def peek(self, key: bytes) -> bytes | Record | None:
        """Return what was put at key, or the value that the committed state has there."""
        if key in self._writes:
            return self._writes[key]
        base = self._base
        return base.peek(key) if isinstance(base, Draft) else base.get(key)

    def put(self, key: bytes, value: bytes | Record) -> None:
        """Write value at key, in this draft only."""
        self._writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove key, in this draft only; one that is not there stays so."""
        self._writes[key] = None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries under prefix in ascending order, own writes in place."""
        mine = sorted(key for key in self._writes if key.startswith(prefix))
        theirs = self._base.scan(prefix)
        below = next(theirs, None)
        for key in mine:
            while below is not None and below[0] < key:
                yield below
                below = next(theirs, None)
            if below is not None and below[0] == key:
                below = next(theirs, None)
            value = _encoded(self._writes[key])
            if value is not None:
                yield key, value
        while below is not None:
            yield below
            below = next(theirs, None)

    def writes(self) -> Mapping[bytes, bytes | None]:
        """Return what this draft changes: a value, or None for a removal."""
        return {key: _encoded(value) for key, value in self._writes.items()}

    @property
    def is_touched(self) -> bool:
        """Tell whether anything was written in this draft, or removed."""
        return bool(self._writes)

    def fork(self) -> Draft:
        """Return an empty draft on top of this one."""
        return Draft(self)

    def merge(self, child: Draft) -> None:
        """Take over everything that child, a fork of this draft, has written."""
        self._writes.update(child._writes)


def read(state: State, key: bytes, shape: Shape[T]) -> T | None:
    """Return the record at key, as it was put or decoded, None where there is none.

    All that is ever put there is bytes that shape encoded, or records of its type.
    """
    found = state.peek(key) if isinstance(state, Draft) else state.get(key)
    if isinstance(found, bytes):
        return shape.decode_own(found)
    return cast("T | None", found)


def _encoded(value: bytes | Record | None) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else value.encode()
