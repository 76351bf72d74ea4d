from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node.stores.backend import StoreDamaged, StoreLocked, StoreUnusable, Tuning
from dchat.node.stores.leveldb import LevelStore, open_store


def filled(path: Path) -> Path:
    store = open_store(path, Tuning())
    store.write([(b"key %d" % number, b"value" * 50) for number in range(2000)])
    store.compact(b"", b"z")
    store.close()
    return path


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path / "store")

    store = open_store(tmp_path / "store", Tuning())

    assert store.get(b"key 7") == b"value" * 50
    store.close()


def test_a_new_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    open_store(tmp_path / "deep" / "store", Tuning()).close()

    assert stat.S_IMODE((tmp_path / "deep" / "store").stat().st_mode) == 0o700


def test_a_store_that_is_open_is_refused(tmp_path: Path) -> None:
    first = open_store(tmp_path, Tuning())

    with pytest.raises(StoreLocked, match="in use by another process"):
        open_store(tmp_path, Tuning())

    first.close()


def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")

    with pytest.raises(StoreUnusable, match=r"holds photo\.jpg and no CURRENT"):
        open_store(tmp_path, Tuning())

    assert [found.name for found in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")

    with pytest.raises(StoreUnusable, match="File exists"):
        open_store(tmp_path / "store", Tuning())


@pytest.mark.parametrize("content", [b"", b"nonsense", b"MANIFEST-999999\n"])
def test_a_damaged_head_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (filled(tmp_path) / "CURRENT").write_bytes(content)

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    next(filled(tmp_path).glob("*.ldb")).unlink()

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


def bent(path: Path, pattern: str, at: int) -> None:
    """Flip a bit of the one file that matches."""
    (file,) = path.glob(pattern)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "read",
    [
        lambda store: list(store.entries(b"", b"z")),
        lambda store: [store.get(b"key %d" % number) for number in range(2000)],
    ],
    ids=["entries", "get"],
)
def test_a_bent_byte_in_a_table_is_found_when_it_is_read(
    tmp_path: Path, read: Callable[[LevelStore], object]
) -> None:
    bent(filled(tmp_path), "*.ldb", 1000)
    store = open_store(tmp_path, Tuning())

    with pytest.raises(StoreDamaged, match="is damaged"):
        read(store)

    store.close()


def test_a_bent_byte_in_the_log_is_refused_rather_than_a_batch_left_out(tmp_path: Path) -> None:
    store = open_store(tmp_path, Tuning())
    store.write([(b"a", b"1" * 100)])
    store.write([(b"b", b"2" * 100)])
    store.close()
    bent(tmp_path, "*.log", 50)

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


def test_a_last_batch_that_was_cut_short_is_as_if_never_written(tmp_path: Path) -> None:
    store = open_store(tmp_path, Tuning())
    store.write([(b"a", b"1")])
    store.write([(b"a", b"2"), (b"b", b"2" * 100)])
    store.close()
    log = next(tmp_path.glob("*.log"))
    log.write_bytes(log.read_bytes()[:-50])

    again = open_store(tmp_path, Tuning())

    assert (again.get(b"a"), again.get(b"b")) == (b"1", None)
    again.close()
