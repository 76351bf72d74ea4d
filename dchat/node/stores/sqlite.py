"""SQLite as a store: one table in WAL mode, every commit with fsync, every value with a checksum.

    entry.key      the key
    entry.value    u32be CRC-32 of key | value, then the value

A reader is a connection inside a read transaction. As one is always open, SQLite by itself would
never begin its write-ahead log anew: `_fold` lets go of those that are at the latest version for
the moment it takes. Other processes are kept out by a lock on the file LOCK.
Source: ADR 11.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Final, cast
from weakref import WeakSet, finalize
from zlib import crc32

from dchat.kernel.errors import InvariantBroken
from dchat.node.stores.backend import (
    Reader,
    StoreDamaged,
    StoreLocked,
    StoreUnusable,
    Tuning,
    Write,
    refuse,
)
from dchat.node.stores.faults import unopened, unwritten
from dchat.node.stores.folder import SQLITE_FILE, prepare

NAME: Final = "sqlite"
# A page of the tree, 1 to 2 kB, fits into a leaf of the table without a chain of its own.
PAGE_BYTES: Final = 8192
IDLE_READERS: Final = 2
READER_CACHE_KIB: Final = 512
FIRST_RUN: Final = 2
LONGEST_RUN: Final = 256
_SUM: Final = Struct(">I")
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
)
_GET: Final = "SELECT value FROM entry WHERE key = ?"
_UP: Final = "SELECT key, value FROM entry WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_DOWN: Final = "SELECT key, value FROM entry WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?"
_PUT: Final = "INSERT OR REPLACE INTO entry VALUES (?, ?)"
_DELETE: Final = "DELETE FROM entry WHERE key = ?"

Row = tuple[bytes, bytes]


class _SqliteReader:
    """One version of the store; holds it until it is dropped or shut."""

    __slots__ = ("__weakref__", "_connection", "_path", "lock", "version")

    def __init__(self, connection: sqlite3.Connection, path: Path, version: int) -> None:
        self._connection = connection
        self._path = path
        self.lock = Lock()
        self.version = version

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key. Raises: StoreDamaged."""
        rows = self._rows(_GET, (key,))
        return self._checked(key, cast("bytes", rows[0][0])) if rows else None

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop. Raises: StoreDamaged."""
        size = FIRST_RUN
        while start < stop:
            rows = cast("list[Row]", self._rows(_DOWN if reverse else _UP, (start, stop, size)))
            for key, held in rows:
                yield key, self._checked(key, held)
            if len(rows) < size:
                return
            start, stop = (start, rows[-1][0]) if reverse else (rows[-1][0] + b"\0", stop)
            size = min(2 * size, LONGEST_RUN)

    def release(self) -> None:
        """Leave the version, for `hold` to enter the latest one. The lock must be held."""
        self._connection.rollback()

    def hold(self) -> None:
        """Stay with what is the latest version now. The lock must be held."""
        self._connection.execute("BEGIN")
        self._connection.execute(_GET, (b"",)).fetchall()

    def shut(self) -> None:
        """Close the connection."""
        with self.lock:
            self._connection.close()

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            with self.lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.ProgrammingError as fault:
            raise InvariantBroken(f"{self._path} is read after it was closed") from fault
        except sqlite3.Error as fault:
            raise unopened(self._path, str(fault)) from fault

    def _checked(self, key: bytes, held: bytes) -> bytes:
        value = held[_SUM.size :]
        if held[: _SUM.size] != _SUM.pack(crc32(value, crc32(key))):
            raise StoreDamaged(f"the store in {self._path} is damaged: a value's checksum is wrong")
        return value


class SqliteStore:
    """One open SQLite directory; see `backend.Backend`."""

    def __init__(self, path: Path, lock_file: int, tuning: Tuning) -> None:
        """Open the file in a locked directory. Raises: sqlite3.Error."""
        self._path = path
        self._lock_file = lock_file
        self._log_bytes = tuning.write_buffer_bytes
        self._writer = _writer(path, tuning)
        self._writing = Lock()
        self._version = 0
        self._readers: WeakSet[_SqliteReader] = WeakSet()
        # Appended to wherever a reader is dropped, in whatever thread: no lock may be taken there.
        self._dropped: deque[sqlite3.Connection] = deque()
        self._idle: list[sqlite3.Connection] = []
        self.where = str(path)

    def get(self, key: bytes) -> bytes | None:
        """Return the latest value at key. Raises: StoreDamaged."""
        return self.snapshot().get(key)

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop now. Raises: StoreDamaged."""
        yield from self.snapshot().entries(start, stop, reverse=reverse)

    def write(self, writes: Iterable[Write]) -> None:
        """Make the writes in one transaction, which is on disk on return. Raises: StoreUnusable."""
        with self._writing:
            try:
                self._fold()
                self._apply(writes)
            except sqlite3.Error as fault:
                raise unwritten(self._path, str(fault)) from fault
            self._version += 1

    def snapshot(self) -> Reader:
        """Return the store as it is now."""
        with self._writing:
            self._collect()
            try:
                connection = self._idle.pop() if self._idle else _connect(self._path)
                reader = _SqliteReader(connection, self._path, self._version)
                reader.hold()
            except sqlite3.Error as fault:
                raise unopened(self._path, str(fault)) from fault
            self._readers.add(reader)
            finalize(reader, self._dropped.append, connection).atexit = False
        return reader

    def compact(self, start: bytes, stop: bytes) -> None:
        """Do nothing: SQLite writes new entries where old ones were removed."""

    def setting(self, name: str) -> object:
        """Return what SQLite says of one of its settings for the connection that writes."""
        return self._writer.execute(f"PRAGMA {name}").fetchone()[0]

    def close(self) -> None:
        """Release file and lock, and what readers still hold."""
        with self._writing:
            if self._lock_file < 0:
                return
            for reader in list(self._readers):
                reader.shut()
            self._collect()
            for connection in (*self._idle, self._writer):
                connection.close()
            os.close(self._lock_file)
            self._lock_file = -1

    def _apply(self, writes: Iterable[Write]) -> None:
        run = self._writer.execute
        run("BEGIN IMMEDIATE")
        try:
            for key, value in writes:
                if value is None:
                    run(_DELETE, (key,))
                else:
                    run(_PUT, (key, _SUM.pack(crc32(value, crc32(key))) + value))
            self._writer.commit()
        except BaseException:
            self._writer.rollback()
            raise

    def _fold(self) -> None:
        """Bring a long log into the table, so that the next write begins it anew."""
        self._collect()
        log = self._path / f"{SQLITE_FILE}-wal"
        if not log.exists() or log.stat().st_size < self._log_bytes:
            return
        with ExitStack() as held:
            current = [reader for reader in list(self._readers) if reader.version == self._version]
            for reader in current:
                held.enter_context(reader.lock)
                reader.release()
                held.callback(reader.hold)
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _collect(self) -> None:
        """Take back the connections of readers that were dropped."""
        while self._dropped:
            connection = self._dropped.popleft()
            with suppress(sqlite3.ProgrammingError):  # the reader was shut before it was dropped
                connection.rollback()
                if len(self._idle) < IDLE_READERS:
                    self._idle.append(connection)
                else:
                    connection.close()


def open_store(path: Path, tuning: Tuning) -> SqliteStore:
    """Return the store in directory path, which is created if it is empty or not there.

    Raises: StoreUnusable, StoreLocked, StoreDamaged.
    """
    refuse(NAME, max_open_files=tuning.max_open_files, compaction_threads=tuning.compaction_threads)
    prepare(path, NAME)
    lock_file = _lock(path)
    try:
        return SqliteStore(path, lock_file, tuning)
    except sqlite3.Error as fault:
        os.close(lock_file)
        raise unopened(path, str(fault)) from fault


def _lock(path: Path) -> int:
    """Return the locked file LOCK, open. Raises: StoreLocked, StoreUnusable."""
    lock_file = -1
    try:
        lock_file = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(lock_file)
        raise StoreLocked(f"{path} is in use by another process") from fault
    except OSError as fault:
        raise StoreUnusable(f"cannot use {path}: {fault.strerror}") from fault
    return lock_file


def _connect(path: Path, settings: Iterable[str] = ()) -> sqlite3.Connection:
    """Return a connection with these settings. Raises: sqlite3.Error."""
    connection = sqlite3.connect(
        path / SQLITE_FILE, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    try:
        for setting in (f"cache_size = -{READER_CACHE_KIB}", *settings):
            connection.execute(f"PRAGMA {setting}").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _writer(path: Path, tuning: Tuning) -> sqlite3.Connection:
    """Return the connection that writes, the table made. Raises: sqlite3.Error."""
    connection = _connect(
        path,
        (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            "journal_size_limit = 0",
            "secure_delete = OFF",
            f"cache_size = -{tuning.cache_bytes >> 10}",
        ),
    )
    try:
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
