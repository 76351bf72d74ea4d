from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.net.schema import VERSION, DatabaseUnusable, migrate, open_database, version_of


def test_a_new_database_is_of_this_version_and_ours_alone(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "relay.db")

    assert version_of(connection) == VERSION
    assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600
    connection.close()


def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "relay.db")

    settings = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum")
    ]

    assert settings == ["wal", 2, 1, 2]
    connection.close()


def test_a_database_is_opened_again_as_it_is(tmp_path: Path) -> None:
    first = open_database(tmp_path / "relay.db")
    first.execute("INSERT INTO inboxes(inbox_key, touched_at_ms) VALUES(x'01', 1)")
    first.close()

    second = open_database(tmp_path / "relay.db")

    assert second.execute("SELECT count(*) FROM inboxes").fetchone() == (1,)
    second.close()


def test_a_migration_is_applied_once(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "relay.db")

    migrate(connection, version_of(connection))

    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(VERSION,)]
    connection.close()


def test_a_database_of_a_later_release_is_refused(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "relay.db")
    connection.execute("INSERT INTO schema_version VALUES(999)")
    connection.close()

    with pytest.raises(DatabaseUnusable, match="version 999") as caught:
        open_database(tmp_path / "relay.db")
    assert "install the release" in caught.value.hint


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.write_bytes(b"something else entirely" * 100)

    with pytest.raises(DatabaseUnusable, match="is damaged") as caught:
        open_database(file)
    assert "restore relay.db from a backup" in caught.value.hint
    assert file.read_bytes() == b"something else entirely" * 100


def test_a_damaged_page_is_found_on_opening(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    connection = open_database(file)
    connection.executemany(
        "INSERT INTO inboxes(inbox_key, bundle, touched_at_ms) VALUES(?, ?, 1)",
        [(bytes([n]), bytes(3000)) for n in range(50)],
    )
    connection.close()
    content = bytearray(file.read_bytes())
    content[-40_000:-20_000] = b"\xff" * 20_000
    file.write_bytes(content)

    with pytest.raises(DatabaseUnusable, match="is damaged"):
        open_database(file)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="cannot open") as caught:
        open_database(tmp_path / "absent" / "relay.db")
    assert "writable" in caught.value.hint


def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    connection.execute("CREATE TABLE tombstones(x)")

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, 0)
    connection.execute("ROLLBACK")

    assert version_of(connection) == 0
    connection.close()
