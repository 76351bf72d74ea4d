from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.node.stores.backend import StoreDamaged, StoreUnusable, Tuning
from dchat.node.stores.leveldb import LevelStore, open_store


def filled(path: Path) -> Path:
    store = open_store(path, Tuning())
    store.write([(b"key %d" % number, b"value" * 50) for number in range(2000)])
    store.compact(b"", b"z")
    store.close()
    return path


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


def test_what_another_backend_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="leveldb backend has no compaction_threads"):
        open_store(tmp_path, Tuning(compaction_threads=4))
