"""The mailbox database's tables, and how a file gets from one version of them to the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError

MIGRATIONS: Final = (
    """
CREATE TABLE envelopes(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  mailbox_id BLOB NOT NULL,
  message_id BLOB NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  accepted_at_ms INTEGER NOT NULL,
  size_class INTEGER NOT NULL,
  ciphertext_hash BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  UNIQUE(mailbox_id, message_id)
);
CREATE INDEX envelopes_by_mailbox ON envelopes(mailbox_id, sequence);
CREATE INDEX envelopes_by_expiry ON envelopes(expires_at_ms);
CREATE TABLE tombstones(
  mark BLOB PRIMARY KEY,
  expires_at_ms INTEGER NOT NULL,
  accepted_at_ms INTEGER NOT NULL,
  ciphertext_hash BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX tombstones_by_expiry ON tombstones(expires_at_ms);
CREATE TABLE inboxes(
  inbox_key BLOB PRIMARY KEY,
  bundle BLOB,
  touched_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX inboxes_by_age ON inboxes(touched_at_ms);
CREATE TABLE one_time_keys(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  inbox_key BLOB NOT NULL,
  mark BLOB NOT NULL,
  one_time_key BLOB,
  taken_at_ms INTEGER,
  UNIQUE(inbox_key, mark)
);
CREATE INDEX one_time_keys_left ON one_time_keys(inbox_key, sequence)
  WHERE one_time_key IS NOT NULL;
CREATE INDEX one_time_keys_taken ON one_time_keys(taken_at_ms)
  WHERE taken_at_ms IS NOT NULL;
""",
)
"""Entry n takes a database from version n to n + 1; entries are only ever appended."""

VERSION: Final = len(MIGRATIONS)


class DatabaseUnusable(OperatorError):
    """The mailbox database is damaged, of a later version or cannot be opened."""


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to a checked database of the current version, new where absent.

    Every commit is on disk when it returns (WAL, synchronous=FULL), and deleted content is
    overwritten. Raises: DatabaseUnusable.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as fault:
        hint = "check that the directory exists, is writable and has space, and nobody else has it"
        raise DatabaseUnusable(f"cannot open {path}: {fault}", hint) from None
    except sqlite3.DatabaseError as fault:
        raise damaged(path, str(fault)) from None
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """Return the database's version, 0 for an empty file."""
    if not connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'schema_version'"
    ).fetchone():
        return 0
    (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, since: int) -> None:
    """Apply the migrations from version `since` on, all or none of each."""
    for number, script in enumerate(MIGRATIONS[since:], since + 1):
        connection.executescript(
            "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS schema_version(version INTEGER NOT NULL);"
            f"{script}; INSERT INTO schema_version VALUES({number:d}); COMMIT;"
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not path.stat().st_size:
        path.chmod(0o600)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, str(verdict))
    version = version_of(connection)
    if version > VERSION:
        text = f"{path} is of schema version {version}, this release knows {VERSION}"
        raise DatabaseUnusable(text, "install the release that wrote it, or a later one")
    migrate(connection, version)


def damaged(path: Path, why: str) -> DatabaseUnusable:
    """Return the fault of a file that is no sound database."""
    hint = f"restore {path.name} from a backup, or move it away to start with an empty queue"
    return DatabaseUnusable(f"{path} is damaged: {why}", hint)
