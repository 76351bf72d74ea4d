"""LevelDB as a store, by plyvel. Batches are written with fsync; every block read is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol, cast

import plyvel  # pyright: ignore[reportMissingTypeStubs] - typed by the protocols below

from dchat.node.stores.backend import Reader, StoreUnusable, Tuning, Write, refuse
from dchat.node.stores.faults import broken_off, unopened, unwritten
from dchat.node.stores.folder import prepare

BLOOM_BITS: Final = 10
NAME: Final = "leveldb"
# What is mapped stays open: to open a table again costs ten times as much as to read from it.
MAX_OPEN_FILES: Final = 1000
TABLE_BYTES: Final = 8 << 20


class _Batch(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def write(self) -> None: ...


class _Reads(Protocol):
    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None: ...
    def iterator(
        self, *, start: bytes, stop: bytes, reverse: bool, verify_checksums: bool
    ) -> Iterator[tuple[bytes, bytes]]: ...


class _Database(_Reads, Protocol):
    def snapshot(self) -> _Reads: ...
    def write_batch(self, *, sync: bool) -> _Batch: ...
    def compact_range(self, *, start: bytes, stop: bytes) -> None: ...
    def close(self) -> None: ...


_Error: Final = cast("type[Exception]", plyvel.Error)


class _LevelReader:
    __slots__ = ("_path", "_reads")

    def __init__(self, reads: _Reads, path: Path) -> None:
        self._reads = reads
        self._path = path

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key. Raises: StoreDamaged."""
        try:
            return self._reads.get(key, verify_checksums=True)
        except _Error as fault:
            raise unopened(self._path, _reason(fault)) from fault

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop. Raises: StoreDamaged."""
        if start >= stop:
            return
        try:
            yield from self._reads.iterator(
                start=start, stop=stop, reverse=reverse, verify_checksums=True
            )
        except _Error as fault:
            raise unopened(self._path, _reason(fault)) from fault


class LevelStore(_LevelReader):
    """One open LevelDB directory; see `backend.Backend`."""

    __slots__ = ("_database", "_fault", "where")

    def __init__(self, database: _Database, path: Path) -> None:
        super().__init__(database, path)
        self._database = database
        self._fault: StoreUnusable | None = None
        self.where = str(path)

    def write(self, writes: Iterable[Write]) -> None:
        """Make the writes in one synced batch. Raises: StoreUnusable.

        After a failure the log may end in half a batch, which only opening it again cuts off.
        """
        if self._fault:
            raise broken_off(self._fault)
        batch = self._database.write_batch(sync=True)
        put, delete = batch.put, batch.delete
        for key, value in writes:
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            batch.write()
        except _Error as fault:
            self._fault = unwritten(self._path, _reason(fault))
            raise self._fault from fault

    def snapshot(self) -> Reader:
        """Return the store as it is now."""
        return _LevelReader(self._database.snapshot(), self._path)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was removed between start and stop."""
        self._database.compact_range(start=start, stop=stop)

    def close(self) -> None:
        """Release files and lock."""
        self._database.close()


def open_store(path: Path, tuning: Tuning) -> LevelStore:
    """Return the store in directory path, which is created if it is empty or not there.

    Raises: StoreUnusable, StoreLocked, StoreDamaged.
    """
    refuse(NAME, compaction_threads=tuning.compaction_threads)
    fresh = prepare(path, NAME)
    try:
        database = cast("_Database", _open(path, tuning, fresh=fresh))
    except _Error as fault:
        raise unopened(path, _reason(fault)) from fault
    return LevelStore(database, path)


def _open(path: Path, tuning: Tuning, *, fresh: bool) -> object:
    return cast(
        "object",
        plyvel.DB(  # pyright: ignore[reportUnknownMemberType] - plyvel has no types
            str(path),
            create_if_missing=fresh,
            paranoid_checks=True,
            bloom_filter_bits=BLOOM_BITS,
            lru_cache_size=tuning.cache_bytes,
            write_buffer_size=tuning.write_buffer_bytes,
            max_open_files=tuning.max_open_files or MAX_OPEN_FILES,
            max_file_size=TABLE_BYTES,
            compression=None,
        ),
    )


def _reason(fault: Exception) -> str:
    """Return LevelDB's own words, which plyvel hands over as bytes."""
    first = cast("object", fault.args[0]) if fault.args else b""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(fault)
