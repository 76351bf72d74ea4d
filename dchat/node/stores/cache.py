"""Pages of the latest committed tree, kept in memory up to a bound; only the committer reads it."""

from __future__ import annotations

from typing import Final

# Beside the page itself: two byte-string heads, the name, a slot of the dictionary.
ENTRY_BYTES: Final = 200


class PageCache:
    """Least recently used pages go first. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_pages", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._pages: dict[bytes, bytes] = {}

    def get(self, name: bytes) -> bytes | None:
        """Return the page and make it the most recently used one."""
        page = self._pages.pop(name, None)
        if page is not None:
            self._pages[name] = page
        return page

    def put(self, name: bytes, page: bytes) -> None:
        """Keep the page, dropping others until the bound holds."""
        self.drop(name)
        self._pages[name] = page
        self.used_bytes += len(page) + ENTRY_BYTES
        while self.used_bytes > self.limit_bytes:
            self.drop(next(iter(self._pages)))

    def drop(self, name: bytes) -> None:
        """Forget the page, if it is there."""
        page = self._pages.pop(name, None)
        if page is not None:
            self.used_bytes -= len(page) + ENTRY_BYTES
