"""A store that forgets everything: what a backend has to do, in the fewest lines."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from dchat.node.stores.backend import Reader, Write


class MemoryReader:
    """A store's entries at one moment."""

    def __init__(self, held: Mapping[bytes, bytes]) -> None:
        self.held = held

    def get(self, key: bytes) -> bytes | None:
        return self.held.get(key)

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self.held)
        chosen = keys[bisect_left(keys, start) : bisect_left(keys, stop)]
        return iter([(key, self.held[key]) for key in (reversed(chosen) if reverse else chosen)])


class MemoryStore(MemoryReader):
    """Writes replace the dictionary, so that a snapshot is the one that was there before."""

    where = "memory"

    def __init__(self, held: Mapping[bytes, bytes]) -> None:
        super().__init__(held)
        self._writing = Lock()

    def write(self, writes: Iterable[Write]) -> None:
        batch = list(writes)
        with self._writing:
            held = dict(self.held)
            for key, value in batch:
                if value is None:
                    held.pop(key, None)
                else:
                    held[key] = value
            self.held = held

    def snapshot(self) -> Reader:
        return MemoryReader(self.held)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Memory has no holes."""

    def close(self) -> None:
        """There is nothing to release."""
