"""What is kept in memory of the latest version, up to a bound: pages, and what was read of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dchat.node.stores.backend import Reader

MAX_MEMO_BYTES: Final = 16 << 20

# Beside the page itself: two byte-string heads, the name, the pair, a slot of the dictionary.
ENTRY_BYTES: Final = 250

# The height of the block that wrote a page, u64be, and the page.
Stamped = tuple[bytes, bytes]


class PageCache:
    """Pages for the committer alone: the least recently used go first. Not thread-safe.

    Each is kept beside its stamp, so that nothing is copied where it is read.
    """

    __slots__ = ("_pages", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._pages: dict[bytes, Stamped] = {}

    def get(self, name: bytes) -> Stamped | None:
        """Return the page with its stamp and make it the most recently used one."""
        page = self._pages.pop(name, None)
        if page is not None:
            self._pages[name] = page
        return page

    def put(self, name: bytes, stamp: bytes, page: bytes) -> None:
        """Keep the page, dropping others until the bound holds."""
        self.drop(name)
        self._pages[name] = (stamp, page)
        self.used_bytes += len(page) + ENTRY_BYTES
        while self.used_bytes > self.limit_bytes:
            self.drop(next(iter(self._pages)))

    def drop(self, name: bytes) -> None:
        """Forget the page, if it is there."""
        held = self._pages.pop(name, None)
        if held is not None:
            self.used_bytes -= len(held[1]) + ENTRY_BYTES


class Memo:
    """A reader of one version that remembers what was asked, until its bound is reached.

    A block's checks, its execution and its record of old values ask for the same keys. One version
    never changes, so nothing is ever invalidated: the next one gets a memo of its own. Safe in any
    thread: at worst two of them ask the same.
    """

    __slots__ = ("_known", "_reader", "_room_bytes")

    def __init__(
        self,
        reader: Reader,
        known: Mapping[bytes, bytes | None] | None = None,
        limit_bytes: int = MAX_MEMO_BYTES,
    ) -> None:
        """Read from reader; known is what the block before has just written."""
        self._reader = reader
        self._known = dict(known or {})
        self._room_bytes = limit_bytes

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none. Raises: StoreDamaged."""
        try:
            return self._known[key]
        except KeyError:
            value = self._reader.get(key)
        if self._room_bytes > 0:
            self._known[key] = value
            self._room_bytes -= len(key) + len(value or b"") + ENTRY_BYTES
        return value

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop, always from the reader."""
        return self._reader.entries(start, stop, reverse=reverse)
