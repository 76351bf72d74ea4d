"""The state after one block, read from the latest one with the undo log laid over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from dchat.kernel.merkle import patch, tree
from dchat.kernel.merkle.proof import Proof, prove
from dchat.node.stores import undo
from dchat.node.stores.backend import Reader, prefix_end

# What the names of values and of pages begin with, in the store and in its undo log.
VALUE: Final = b"v"
PAGE: Final = b"p"


class StateView:
    """The state after one block; it stays as it is while later blocks are committed."""

    __slots__ = ("_pages", "_reader", "_undone", "height")

    def __init__(self, reader: Reader, height: int, undone: Iterable[int]) -> None:
        self.height = height
        self._reader = reader
        self._undone = tuple(undone)
        self._pages = Pages(self._page)

    @property
    def app_hash(self) -> bytes:
        """The root hash of the tree over this state."""
        return tree.root(self._pages)

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none."""
        return self._read(VALUE + key)

    def prove(self, key: bytes) -> Proof:
        """Return the proof of what get(key) returns, against app_hash."""
        return prove(self._pages, key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield every entry whose key begins with prefix, in ascending order of key."""
        start, stop = VALUE + prefix, prefix_end(VALUE + prefix)
        older: dict[bytes, bytes | None] = {}
        for height in self._undone:
            for name, old in undo.between(self._reader, height, start, stop):
                older.setdefault(name, old)
        for name, value in _overlaid(self._reader.entries(start, stop), older):
            yield name[1:], value

    def _read(self, name: bytes) -> bytes | None:
        for height in self._undone:
            found = undo.find(self._reader, height, name)
            if found is not None:
                return found[1]
        return self._reader.get(name)

    def _page(self, page_key: bytes) -> bytes | None:
        """Return the page as it was: patches lead back to it, or up to where it began anew."""
        name = PAGE + page_key
        patches: list[bytes] = []
        for height in self._undone:
            found = undo.find(self._reader, height, name)
            if found is None:
                continue
            if found[1] is None:
                return None
            patches.append(found[1])
            if patch.is_whole(found[1]):
                return patch.restore(b"", len(page_key), patches[::-1])
        page = self._reader.get(name)
        return page if page is None else patch.restore(page, len(page_key), patches[::-1])


class Pages:
    """The tree's pages behind any way to read one."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read

    def get(self, page_key: bytes, /) -> bytes | None:
        """Return the page with this name, None where there is none."""
        return self._read(page_key)


def _overlaid(
    entries: Iterator[tuple[bytes, bytes]], older: Mapping[bytes, bytes | None]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries with older values in place of newer ones, ascending."""
    names = iter(sorted(older))
    name = next(names, None)
    for current in entries:
        while name is not None and name < current[0]:
            yield from _present(name, older[name])
            name = next(names, None)
        if name == current[0]:
            continue
        yield current
    while name is not None:
        yield from _present(name, older[name])
        name = next(names, None)


def _present(name: bytes, value: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if value is not None:
        yield name, value
