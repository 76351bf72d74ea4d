from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.kernel.errors import InvariantBroken
from dchat.node.stores.backend import Reader, StoreDamaged, StoreUnusable, Tuning
from dchat.node.stores.folder import SQLITE_FILE
from dchat.node.stores.sqlite import SqliteStore, open_store

SMALL_LOG = Tuning(write_buffer_bytes=200_000)


def filled(path: Path) -> Path:
    store = open_store(path, Tuning())
    store.write([(b"key %d" % number, b"value" * 50) for number in range(2000)])
    store.close()
    return path


def log_bytes(path: Path) -> int:
    return (path / f"{SQLITE_FILE}-wal").stat().st_size


def bent(path: Path, what: bytes) -> None:
    """Flip a bit of these bytes where the file has them last."""
    file = path / SQLITE_FILE
    content = bytearray(file.read_bytes())
    content[content.rindex(what)] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("content", [b"nonsense" * 20, b"SQLite format 3\0" + bytes(84)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SQLITE_FILE).write_bytes(content)

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


def test_a_file_that_was_cut_short_is_found_when_it_is_read(tmp_path: Path) -> None:
    file = filled(tmp_path) / SQLITE_FILE
    file.write_bytes(file.read_bytes()[:100_000])

    with pytest.raises(StoreDamaged, match="is damaged"):
        list(open_store(tmp_path, Tuning()).entries(b"", b"z"))


@pytest.mark.parametrize(
    "read",
    [
        lambda store: list(store.entries(b"", b"z")),
        lambda store: list(store.entries(b"", b"z", reverse=True)),
        lambda store: [store.get(b"key %d" % number) for number in range(2000)],
    ],
    ids=["entries", "backwards", "get"],
)
def test_a_bent_byte_of_a_value_is_found_when_it_is_read(
    tmp_path: Path, read: Callable[[SqliteStore], object]
) -> None:
    bent(filled(tmp_path), b"value" * 50)
    store = open_store(tmp_path, Tuning())

    with pytest.raises(StoreDamaged, match="is damaged"):
        read(store)

    store.close()


def test_a_value_under_another_key_is_found_out(tmp_path: Path) -> None:
    bent(filled(tmp_path), b"key 1999")
    store = open_store(tmp_path, Tuning())

    with pytest.raises(StoreDamaged, match="checksum"):
        list(store.entries(b"", b"z"))

    store.close()


def test_a_last_batch_that_was_cut_short_is_as_if_never_written(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", Tuning())
    store.write([(b"a", b"1")])
    store.write([(b"a", b"2"), (b"b", b"2" * 100)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (tmp_path / "store").glob("state*"):
        (copy / file.name).write_bytes(file.read_bytes())
    log = copy / f"{SQLITE_FILE}-wal"
    log.write_bytes(log.read_bytes()[:-50])
    (copy / f"{SQLITE_FILE}-shm").unlink()

    again = open_store(copy, Tuning())

    assert (again.get(b"a"), again.get(b"b")) == (b"1", None)
    again.close()
    store.close()


def test_every_commit_goes_to_the_disk_before_it_returns(tmp_path: Path) -> None:
    store = open_store(tmp_path, Tuning())

    found = [store.setting(name) for name in ("synchronous", "journal_mode", "cache_size")]

    assert found == [2, "wal", -8192]
    store.close()


def test_the_log_is_begun_anew_while_the_latest_version_is_always_being_read(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path, SMALL_LOG)
    latest: list[Reader] = []
    sizes: list[int] = []

    for number in range(60):
        store.write([(b"%d" % key, bytes([number]) * 900) for key in range(40)])
        latest[:] = [store.snapshot()]
        sizes.append(log_bytes(tmp_path))

    assert max(sizes) < 3 * SMALL_LOG.write_buffer_bytes
    store.close()


def test_a_slow_reader_keeps_its_version_while_the_log_grows_and_lets_go_of_it_at_its_end(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path, SMALL_LOG)
    store.write([(b"%d" % key, b"old" * 300) for key in range(40)])
    slow = [store.snapshot()]
    latest = [store.snapshot()]

    for number in range(40):
        store.write([(b"%d" % key, bytes([number]) * 900) for key in range(40)])
        latest[:] = [store.snapshot()]
    grown = log_bytes(tmp_path)
    seen = {value for _, value in slow[0].entries(b"", b"~")}
    slow.clear()
    for number in range(3):
        store.write([(b"0", bytes([number]) * 900)])
        latest[:] = [store.snapshot()]

    assert (seen, grown > 1_000_000, log_bytes(tmp_path) < 300_000) == ({b"old" * 300}, True, True)
    store.close()


def test_space_of_removed_entries_is_used_again(tmp_path: Path) -> None:
    store = open_store(tmp_path, SMALL_LOG)
    sizes: list[int] = []

    for number in range(40):
        first = number * 50
        store.write([(b"%05d" % key, bytes(900)) for key in range(first, first + 50)])
        store.write([(b"%05d" % key, None) for key in range(first - 100, first - 50)])
        sizes.append((tmp_path / SQLITE_FILE).stat().st_size)

    assert sizes[-1] < 600_000
    store.close()


def test_a_reader_does_not_outlive_its_store(tmp_path: Path) -> None:
    store = open_store(tmp_path, Tuning())
    reader = store.snapshot()
    store.close()

    with pytest.raises(InvariantBroken, match="after it was closed"):
        reader.get(b"a")


@pytest.mark.parametrize(
    ("tuning", "name"),
    [
        (Tuning(max_open_files=100), "max_open_files"),
        (Tuning(compaction_threads=2), "compaction_threads"),
    ],
)
def test_what_another_backend_needs_is_refused(tmp_path: Path, tuning: Tuning, name: str) -> None:
    with pytest.raises(StoreUnusable, match=f"sqlite backend has no {name}"):
        open_store(tmp_path, tuning)


def test_the_file_is_an_ordinary_database(tmp_path: Path) -> None:
    filled(tmp_path)

    with sqlite3.connect(tmp_path / SQLITE_FILE) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()

    assert found == [("ok",)]
