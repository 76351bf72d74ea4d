"""RocksDB as a store, by rocksdict. Batches are written with fsync; every block read is checked.

rocksdict's `Snapshot` reads single keys at its version, but iterates over the latest one. An
iterator is bound to the version at which it was made, so a reader here is both: the snapshot for
single keys, the iterator for ranges, made together while no write goes on.
Source: ADR 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, cast
from weakref import WeakSet

import rocksdict

from dchat.kernel.errors import InvariantBroken
from dchat.node.stores.backend import Reader, StoreUnusable, Tuning, Write
from dchat.node.stores.faults import broken_off, unopened, unwritten
from dchat.node.stores.folder import prepare

NAME: Final = "rocksdb"
BLOOM_BITS: Final = 10
COMPACTION_THREADS: Final = 2
# Kept of RocksDB's own log of what it did, which is of no use to an operator.
LOG_FILES: Final = 2
LOG_BYTES: Final = 1 << 20
# A range is read in runs, each with the iterator held: the first short, as it may be all there is.
FIRST_RUN: Final = 2
LONGEST_RUN: Final = 256
# rocksdict raises a bare Exception, for a key that is absent too.
_ABSENT: Final = "key not found"

Entries = list[tuple[bytes, bytes]]


class _Cursor(Protocol):
    def seek(self, key: bytes) -> None: ...
    def seek_for_prev(self, key: bytes) -> None: ...
    def next(self) -> None: ...
    def prev(self) -> None: ...
    def valid(self) -> bool: ...
    def status(self) -> None: ...
    def key(self) -> bytes: ...
    def value(self) -> bytes: ...


class _Snapshot(Protocol):
    def __getitem__(self, key: bytes) -> bytes: ...


class _Batch(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...


class _Database(Protocol):
    def get(self, key: bytes) -> bytes | None: ...
    def snapshot(self) -> _Snapshot: ...
    def iter(self) -> _Cursor: ...
    def write(self, write_batch: object, write_opt: object) -> None: ...
    def compact_range(self, begin: bytes, end: bytes) -> None: ...
    def close(self) -> None: ...


class _RocksReader:
    """One version of the store. Holds database files open until it is dropped or shut."""

    __slots__ = ("__weakref__", "_cursor", "_lock", "_path", "_snapshot")

    def __init__(self, snapshot: _Snapshot, cursor: _Cursor, path: Path) -> None:
        self._snapshot: _Snapshot | None = snapshot
        self._cursor: _Cursor | None = cursor
        self._path = path
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key. Raises: StoreDamaged."""
        snapshot = self._snapshot
        if snapshot is None:
            raise InvariantBroken(f"{self._path} is read after it was closed")
        try:
            return snapshot[key]
        except Exception as fault:
            if str(fault) == _ABSENT:
                return None
            raise unopened(self._path, str(fault)) from fault

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop. Raises: StoreDamaged."""
        size = FIRST_RUN
        while start < stop:
            run = self._backward(start, stop, size) if reverse else self._forward(start, stop, size)
            yield from run
            if len(run) < size:
                return
            start, stop = (start, run[-1][0]) if reverse else (run[-1][0] + b"\0", stop)
            size = min(2 * size, LONGEST_RUN)

    def shut(self) -> None:
        """Let go of the database's files."""
        with self._lock:
            self._snapshot = self._cursor = None

    def _forward(self, start: bytes, stop: bytes, size: int) -> Entries:
        found: Entries = []
        with self._lock:
            cursor = self._held()
            cursor.seek(start)
            while cursor.valid() and len(found) < size:
                key = cursor.key()
                if key >= stop:
                    return found
                found.append((key, cursor.value()))
                cursor.next()
            self._checked(cursor)
        return found

    def _backward(self, start: bytes, stop: bytes, size: int) -> Entries:
        found: Entries = []
        with self._lock:
            cursor = self._held()
            cursor.seek_for_prev(stop)
            if cursor.valid() and cursor.key() == stop:
                cursor.prev()
            while cursor.valid() and len(found) < size:
                key = cursor.key()
                if key < start:
                    return found
                found.append((key, cursor.value()))
                cursor.prev()
            self._checked(cursor)
        return found

    def _held(self) -> _Cursor:
        if self._cursor is None:
            raise InvariantBroken(f"{self._path} is read after it was closed")
        return self._cursor

    def _checked(self, cursor: _Cursor) -> None:
        """Raise StoreDamaged if the cursor stopped at damage and not at the end."""
        try:
            cursor.status()
        except Exception as fault:
            raise unopened(self._path, str(fault)) from fault


class RocksStore:
    """One open RocksDB directory; see `backend.Backend`."""

    __slots__ = ("_database", "_fault", "_path", "_readers", "_synced", "_writing", "where")

    def __init__(self, database: _Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._fault: StoreUnusable | None = None
        self._readers: WeakSet[_RocksReader] = WeakSet()
        self._synced = rocksdict.WriteOptions()
        self._synced.sync = True
        self._writing = Lock()
        self.where = str(path)

    def get(self, key: bytes) -> bytes | None:
        """Return the latest value at key. Raises: StoreDamaged."""
        try:
            return self._database.get(key)
        except Exception as fault:
            raise unopened(self._path, str(fault)) from fault

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop now. Raises: StoreDamaged."""
        yield from self.snapshot().entries(start, stop, reverse=reverse)

    def write(self, writes: Iterable[Write]) -> None:
        """Make the writes in one synced batch. Raises: StoreUnusable.

        After a failure the log may end in half a batch, which only opening it again cuts off.
        """
        if self._fault:
            raise broken_off(self._fault)
        batch = rocksdict.WriteBatch(raw_mode=True)
        put, delete = cast("_Batch", batch).put, cast("_Batch", batch).delete
        for key, value in writes:
            if value is None:
                delete(key)
            else:
                put(key, value)
        with self._writing:
            try:
                self._database.write(batch, self._synced)
            except Exception as fault:
                self._fault = unwritten(self._path, str(fault))
                raise self._fault from fault

    def snapshot(self) -> Reader:
        """Return the store as it is now."""
        with self._writing:
            reader = _RocksReader(self._database.snapshot(), self._database.iter(), self._path)
            self._readers.add(reader)
        return reader

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was removed between start and stop."""
        self._database.compact_range(start, stop)

    def close(self) -> None:
        """Release files and lock, those that readers still hold among them."""
        with self._writing:
            for reader in list(self._readers):
                reader.shut()
            # Closing flushes first. What a full disk does not take is in the log already.
            with suppress(Exception):
                self._database.close()


def open_store(path: Path, tuning: Tuning) -> RocksStore:
    """Return the store in directory path, which is created if it is empty or not there.

    Raises: StoreUnusable, StoreLocked, StoreDamaged.
    """
    fresh = prepare(path, NAME)
    options = _options(tuning, fresh=fresh)
    try:
        database = rocksdict.Rdict(str(path), options)
    except Exception as fault:
        raise unopened(path, str(fault)) from fault
    return RocksStore(cast("_Database", cast("object", database)), path)


def _options(tuning: Tuning, *, fresh: bool) -> rocksdict.Options:
    tables = rocksdict.BlockBasedOptions()
    tables.set_block_cache(rocksdict.Cache(tuning.cache_bytes))
    tables.set_bloom_filter(BLOOM_BITS, block_based=False)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(fresh)
    options.set_paranoid_checks(enabled=True)
    # A log that is bent in the middle is refused; a last batch that was cut short is left out.
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_block_based_table_factory(tables)
    # Most of the state is hashes, which do not shrink.
    options.set_compression_type(rocksdict.DBCompressionType.none())
    options.set_level_compaction_dynamic_level_bytes(v=True)
    options.set_write_buffer_size(tuning.write_buffer_bytes)
    options.set_max_background_jobs(tuning.compaction_threads or COMPACTION_THREADS)
    options.set_max_open_files(tuning.max_open_files or -1)
    options.set_keep_log_file_num(LOG_FILES)
    options.set_max_log_file_size(LOG_BYTES)
    options.set_stats_dump_period_sec(0)
    return options
