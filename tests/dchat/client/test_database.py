from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dchat.client.database import Database, StoreInUse, StoreTooNew, StoreUnreadable

KEY = b"k" * 32
SCHEMA = ("CREATE TABLE words(word TEXT); CREATE TABLE others(word TEXT)",)
KILLED = """
import sys, pathlib
from dchat.client.database import Database
database = Database.open(pathlib.Path(sys.argv[1]), b"k" * 32, ("CREATE TABLE words(word TEXT)",))
n = 0
while True:
    with database.transaction():
        database.change("INSERT INTO words VALUES(?)", f"a{n}")
        database.change("INSERT INTO words VALUES(?)", f"b{n}")
    print(n, flush=True)
    n += 1
"""


def opened(folder: Path) -> Database:
    return Database.open(folder, KEY, SCHEMA)


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.change("INSERT INTO words VALUES(?)", "hello")
    database.close()

    again = opened(tmp_path)

    assert again.rows("SELECT word FROM words") == [("hello",)]
    again.close()


def test_folder_and_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    database = opened(folder)
    database.change("INSERT INTO words VALUES(?)", "hello")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}

    expected = dict.fromkeys(("messages.db", "messages.db-wal", "messages.db-shm", "lock"), 0o600)
    assert modes == expected | {"data": 0o700}
    database.close()


def test_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    opened(tmp_path).close()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_no_plaintext_reaches_the_disk(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.change("INSERT INTO words VALUES(?)", "a secret lunch")

    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"secret" not in on_disk
    assert b"SQLite" not in on_disk
    database.close()


def test_what_is_committed_survives_loss_of_power_too(tmp_path: Path) -> None:
    database = opened(tmp_path)

    settings = [database.row(f"PRAGMA {name}") for name in ("synchronous", "journal_mode")]

    assert settings == [(2,), ("wal",)]
    database.close()


def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    database = opened(tmp_path)

    with pytest.raises(StoreInUse):
        opened(tmp_path)

    database.close()


def test_another_key_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with pytest.raises(StoreUnreadable):
        Database.open(tmp_path, b"l" * 32, SCHEMA)

    opened(tmp_path).close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "messages.db").write_bytes(os.urandom(8192))

    with pytest.raises(StoreUnreadable):
        opened(tmp_path)


def test_a_database_of_a_later_release_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with pytest.raises(StoreTooNew):
        Database.open(tmp_path, KEY, ())


def test_an_older_database_is_brought_up_to_date(tmp_path: Path) -> None:
    opened(tmp_path).close()

    database = Database.open(tmp_path, KEY, (*SCHEMA, "ALTER TABLE words ADD COLUMN note TEXT"))

    assert database.rows("SELECT note FROM words") == []
    database.close()


def test_a_transaction_that_raises_changes_nothing(tmp_path: Path) -> None:
    database = opened(tmp_path)

    with pytest.raises(KeyError):
        _fail_half_way(database)

    assert database.row("SELECT count(*) FROM words") == (0,)
    database.close()


def test_a_nested_transaction_ends_with_the_outer_one(tmp_path: Path) -> None:
    database = opened(tmp_path)

    with pytest.raises(KeyError):
        _fail_after_an_inner_one(database)

    assert database.row("SELECT count(*) FROM words") == (0,)
    database.close()


def test_a_killed_writer_leaves_whole_transactions_only(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(30)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()

    database = Database.open(tmp_path, KEY, ("CREATE TABLE words(word TEXT)",))
    words = {str(row[0]) for row in database.rows("SELECT word FROM words")}
    database.close()

    assert {f"a{int(line)}" for line in told} <= words
    assert {word[1:] for word in words if word[0] == "a"} == {
        word[1:] for word in words if word[0] == "b"
    }


def _fail_half_way(database: Database) -> None:
    with database.transaction():
        database.change("INSERT INTO words VALUES('half')")
        raise KeyError


def _fail_after_an_inner_one(database: Database) -> None:
    with database.transaction():
        with database.transaction():
            database.change("INSERT INTO words VALUES('inner')")
        raise KeyError
