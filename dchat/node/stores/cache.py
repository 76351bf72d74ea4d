"""What is kept in memory of the latest version, up to a bound: pages, and what was read of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from types import MappingProxyType
from typing import Final

from dchat.node.stores.backend import Reader

MAX_MEMO_BYTES: Final = 16 << 20

# What a block wrote: each key with its value, None where it was removed.
Known = Mapping[bytes, bytes | None]
NOTHING: Final[Known] = MappingProxyType({})

# Beside the page itself: two byte-string heads, the name, a place in an ordered dictionary.
ENTRY_BYTES: Final = 250

_NO_PAGES: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class PageCache:
    """The newest pages: of the longest names, the one written longest ago goes first.

    A page has sixteen below it, which together are asked for as often as it is. The committer
    writes nearly all that it reads, so only what was written is kept. Any thread may get a page
    while one updates.
    """

    __slots__ = ("_tiers", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        # By length of name. To take the first of a plain dictionary is to walk past all that went.
        self._tiers: dict[int, OrderedDict[bytes, bytes]] = {}

    def get(self, name: bytes) -> bytes | None:
        """Return the page, None if it is not kept."""
        return self._tiers.get(len(name), _NO_PAGES).get(name)

    def update(self, pages: Known) -> None:
        """Keep the pages, forget those that are None, and drop others until the bound holds."""
        for name, page in pages.items():
            tier = self._tiers.get(len(name))
            if tier is None:
                tier = self._tiers[len(name)] = OrderedDict()
            held = tier.pop(name, None)
            if held is not None:
                self.used_bytes -= len(held) + ENTRY_BYTES
            if page is not None:
                tier[name] = page
                self.used_bytes += len(page) + ENTRY_BYTES
        for _, tier in sorted(self._tiers.items(), reverse=True):
            while tier and self.used_bytes > self.limit_bytes:
                _, page = tier.popitem(last=False)
                self.used_bytes -= len(page) + ENTRY_BYTES


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
