"""What is kept in memory of the latest version, up to a bound: pages, and what was read of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from types import MappingProxyType
from typing import Final

from dchat.node.stores.backend import Reader

MAX_MEMO_BYTES: Final = 16 << 20

# What a block wrote: each key with its value, None where it was removed.
Known = Mapping[bytes, bytes | None]
NOTHING: Final[Known] = MappingProxyType({})

# Beside the page itself: two byte-string heads, the name, the pair, a slot of the dictionary.
ENTRY_BYTES: Final = 250


class PageCache:
    """Pages for the committer alone: the one written longest ago goes first. Not thread-safe.

    The committer writes nearly all that it reads, so reading need not change the order.
    """

    __slots__ = ("_pages", "get", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._pages: dict[bytes, bytes] = {}
        self.get = self._pages.get

    def put(self, name: bytes, page: bytes) -> None:
        """Keep the page, dropping others until the bound holds."""
        held = self._pages.pop(name, b"")
        self._pages[name] = page
        self.used_bytes += len(page) - len(held) if held else len(page) + ENTRY_BYTES
        while self.used_bytes > self.limit_bytes:
            self.drop(next(iter(self._pages)))

    def drop(self, name: bytes) -> None:
        """Forget the page, if it is there."""
        held = self._pages.pop(name, None)
        if held is not None:
            self.used_bytes -= len(held) + ENTRY_BYTES


class Memo:
    """A reader of one version that remembers what was asked, until its bound is reached.

    A block's checks, its execution and its record of old values ask for the same keys. One version
    never changes, so nothing is ever invalidated: the next one gets a memo of its own. Safe in any
    thread: at worst two of them ask the same.
    """

    __slots__ = ("_adding", "_known", "_reader", "_room_bytes", "_written")

    def __init__(
        self, reader: Reader, written: Known = NOTHING, limit_bytes: int = MAX_MEMO_BYTES
    ) -> None:
        """Read from reader; written is what the block before has just written."""
        self._reader = reader
        self._written = written
        self._known: dict[bytes, bytes | None] = {}
        self._room_bytes = limit_bytes
        self._adding = Lock()

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none. Raises: StoreDamaged."""
        if key in self._known:
            return self._known[key]
        if key in self._written:
            return self._written[key]
        value = self._reader.get(key)
        with self._adding:
            if self._room_bytes > 0 and key not in self._known:
                self._known[key] = value
                self._room_bytes -= len(key) + len(value or b"") + ENTRY_BYTES
        return value

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop, always from the reader."""
        return self._reader.entries(start, stop, reverse=reverse)
