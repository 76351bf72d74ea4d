"""One encrypted SQLite file that one process at a time may open.

SQLCipher with a raw 256-bit key (no password stretching: the key is derived already). Write-ahead
log, `synchronous=FULL`: what a transaction committed survives kill -9 and loss of power, which a
ratchet needs, because a step that comes back is a key used twice. Folder 0700, files 0600.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, cast

import sqlcipher3.dbapi2 as sqlcipher  # pyright: ignore[reportMissingTypeStubs] - has none

from dchat.kernel.errors import OperatorError

KEY_BYTES: Final = 32
Value = int | str | bytes | None
Row = tuple[Value, ...]


class StoreInUse(OperatorError):
    """Another process has the data directory open."""

    exit_code = 8
    hint = "quit the other dchat, or give this one another --data-dir"


class StoreUnreadable(OperatorError):
    """The database does not open with this identity's key."""

    exit_code = 9
    hint = "use the identity this data directory was made with, or another --data-dir"


class StoreTooNew(OperatorError):
    """A later release wrote the database."""

    exit_code = 10
    hint = "upgrade dchat, or give this one another --data-dir"


class _Connection(Protocol):
    """What we use of sqlcipher3's connection."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> _Cursor:
        """Run one statement."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class _Cursor(Protocol):
    """What we use of sqlcipher3's cursor."""

    rowcount: int

    def fetchall(self) -> list[Row]:
        """Return the rows left."""
        ...


class Database:
    """An open database; its methods may be called from any thread.

    Statements outside `transaction()` commit by themselves.
    """

    def __init__(self, connection: _Connection, lock_file: int) -> None:
        self._connection = connection
        self._lock_file = lock_file
        self._mutex = threading.RLock()
        self._depth = 0

    @classmethod
    def open(cls, folder: Path, key: bytes, schema: Sequence[str]) -> Database:
        """Open the database in `folder`, which is made where it is missing.

        `schema[n]` is the script that turns version n into n + 1; what is missing is run.
        Raises: StoreInUse, StoreUnreadable, StoreTooNew.
        """
        lock_file = _lock(folder)
        try:
            database = cls(_connect(folder / "messages.db", key), lock_file)
            database._migrate(schema)
        except BaseException:
            os.close(lock_file)
            raise
        return database

    def close(self) -> None:
        """Write everything back into the one file, and let others open it."""
        with self._mutex:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            os.close(self._lock_file)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All statements inside take effect together, or, if an error passes, none. Nests."""
        with self._mutex:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def rows(self, sql: str, *values: Value) -> list[Row]:
        """Return the rows that a query gives."""
        with self._mutex:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> Row | None:
        """Return the first row that a query gives, None if it gives none."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def change(self, sql: str, *values: Value) -> int:
        """Run a statement that writes; return how many rows it touched."""
        with self._mutex:
            return self._connection.execute(sql, values).rowcount

    def _migrate(self, schema: Sequence[str]) -> None:
        version = self._version()
        if version > len(schema):
            raise StoreTooNew(f"the database has version {version}, known are {len(schema)}")
        for target, script in enumerate(schema[version:], version + 1):
            with self.transaction():
                for statement in script.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={target}")

    def _version(self) -> int:
        found = self.row("PRAGMA user_version")
        return cast("int", found[0]) if found else 0


def _lock(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    lock_file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock_file)
        raise StoreInUse(f"{folder} is open in another process") from None
    return lock_file


def _connect(path: Path, key: bytes) -> _Connection:
    # SQLite would make it with the umask; its -wal and -shm files take the mode of this one
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = cast(
        "_Connection",
        sqlcipher.connect(str(path), isolation_level=None, check_same_thread=False),  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] - no stubs
    )
    try:
        connection.execute("PRAGMA cipher_log_level=NONE")
        connection.execute(f"PRAGMA key=\"x'{key.hex()}'\"")
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlcipher.DatabaseError:  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] - no stubs
        connection.close()
        raise StoreUnreadable(f"{path} does not open with this identity") from None
    return connection
