"""The state after one block, read from the latest one with the undo log laid over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Final

from dchat.kernel.merkle import patch, tree
from dchat.kernel.merkle.page import level_of
from dchat.kernel.merkle.proof import Proof, prove
from dchat.node.stores import undo
from dchat.node.stores.backend import Reader, StoreDamaged, prefix_end

# What the names of values begin with, in the store and in its undo log.
VALUE: Final = b"v"
# What every value and page begins with: the height of the block that wrote it, u64be.
STAMP_SIZE: Final = 8


# Where pages are looked for before the store is asked.
Pages = Callable[[bytes], bytes | None]


def _nothing_kept(_: bytes) -> bytes | None:
    return None


def stamp_of(height: int) -> bytes:
    """Return what the entries that the block at height writes begin with."""
    return height.to_bytes(STAMP_SIZE, "big")


class StateView:
    """The state after one block; it stays as it is while later blocks are committed.

    It holds a version of the store, so nothing in here may refer back to it: the version would stay
    until Python looks for cycles, which is many blocks later.
    """

    __slots__ = ("_kept", "_latest", "_reader", "_stamp", "height")

    def __init__(
        self, reader: Reader, height: int, latest: int, kept: Pages = _nothing_kept
    ) -> None:
        """Read the state after the block at height from a store whose latest block is given.

        kept gives pages as the newest block left them, which may be newer than latest.
        """
        self.height = height
        self._kept = kept
        self._latest = latest
        self._reader = reader
        self._stamp = stamp_of(height)

    @property
    def app_hash(self) -> bytes:
        """The root hash of the tree over this state."""
        return tree.root(_Pages(self._page))

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none."""
        name = VALUE + key
        entry = self._reader.get(name)
        if entry is not None and entry[:STAMP_SIZE] <= self._stamp:
            return entry[STAMP_SIZE:]
        for older in self._versions(name, entry):
            entry = older
        return None if entry is None else entry[STAMP_SIZE:]

    def prove(self, key: bytes) -> Proof:
        """Return the proof of what get(key) returns, against app_hash."""
        return prove(_Pages(self._page), key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield every entry whose key begins with prefix, in ascending order of key."""
        return ((key, value) for key, value in self.walk(prefix, b"") if value is not None)

    def walk(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the keys under prefix behind the key `after`, ascending, with their values.

        Also keys that only newer blocks have, or only older ones had, with None: what stands
        between two entries costs time, and who takes a few can stop where it gets too much.
        """
        start = VALUE + max(prefix, after + b"\0" if after else b"")
        stop = prefix_end(VALUE + prefix)
        for name, entry in _overlaid(
            self._reader.entries(start, stop), self._replaced(start, stop)
        ):
            yield name[len(VALUE) :], None if entry is None else entry[STAMP_SIZE:]

    def _replaced(self, start: bytes, stop: bytes) -> Iterator[undo.Old]:
        """Yield what newer blocks replaced in start <= name < stop, as it was at this height.

        Ascending by name, each once: of several blocks, the first says what was there.
        """
        blocks = [
            _tagged(height, undo.between(self._reader, height, start, stop))
            for height in range(self.height + 1, self._latest + 1)
        ]
        done: bytes | None = None
        for name, _, old in merge(*blocks):
            if name != done:
                yield name, old
            done = name

    def _page(self, name: bytes) -> bytes | None:
        """Return the page as it was: patches lead back to it from the latest one."""
        page = self._kept(name)
        if page is not None and page[:STAMP_SIZE] <= self._stamp:
            return page
        page = self._reader.get(name)
        if page is not None and page[:STAMP_SIZE] <= self._stamp:
            return page
        there = page is not None
        patches: list[bytes] = []
        for older in self._versions(name, page):
            there = older is not None
            if older is not None:
                patches.append(older)
        return patch.restore(page or b"", level_of(name), patches) if there else None

    def _versions(self, name: bytes, entry: bytes | None) -> Iterator[bytes | None]:
        """Yield what each newer block replaced under name, the latest first.

        An entry names the block that wrote it, so only where there is none are blocks searched.
        Raises: StoreDamaged if the log lacks what it must hold.
        """
        height = self._latest + 1
        while entry is None or entry[:STAMP_SIZE] > self._stamp:
            if entry is None:
                heights = range(height - 1, self.height, -1)
            else:
                heights = range(int.from_bytes(entry[:STAMP_SIZE], "big"), height)[:1]
            found = self._last_replaced(name, heights)
            if found is None and entry is None:
                return
            if found is None:
                raise StoreDamaged(f"the undo log lacks an entry that it must hold: {name!r}")
            height, entry = found
            yield entry

    def _last_replaced(
        self, name: bytes, heights: Iterable[int]
    ) -> tuple[int, bytes | None] | None:
        """Return the first of the heights that replaced name, and what was there before."""
        for height in heights:
            found = undo.find(self._reader, height, name)
            if found is not None:
                return height, found[1]
        return None


class _Pages:
    """The tree's pages behind any way to read one."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read

    def get(self, page_key: bytes, /) -> bytes | None:
        return self._read(page_key)


def _tagged(height: int, replaced: Iterator[undo.Old]) -> Iterator[tuple[bytes, int, bytes | None]]:
    return ((name, height, old) for name, old in replaced)


def _overlaid(
    entries: Iterator[tuple[bytes, bytes]], older: Iterator[undo.Old]
) -> Iterator[undo.Old]:
    """Yield the entries with older ones in place of newer ones, ascending."""
    replaced = next(older, None)
    for current in entries:
        while replaced is not None and replaced[0] < current[0]:
            yield replaced
            replaced = next(older, None)
        if replaced is not None and replaced[0] == current[0]:
            continue
        yield current
    while replaced is not None:
        yield replaced
        replaced = next(older, None)
