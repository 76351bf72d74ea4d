from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.kernel.errors import InvariantBroken
from dchat.node.stores.backend import StoreDamaged, StoreUnusable, Tuning
from dchat.node.stores.rocksdb import RocksStore, open_store


def filled(path: Path) -> Path:
    store = open_store(path, Tuning())
    store.write([(b"key %d" % number, b"value" * 50) for number in range(2000)])
    store.compact(b"", b"z")
    store.close()
    return path


def bent(path: Path, pattern: str, at: int) -> None:
    """Flip a bit of the one file that matches."""
    (file,) = [found for found in path.glob(pattern) if found.stat().st_size > at]
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"MANIFEST-999999\n"])
def test_a_damaged_head_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (filled(tmp_path) / "CURRENT").write_bytes(content)

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    next(filled(tmp_path).glob("*.sst")).unlink()

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(tmp_path, Tuning())


@pytest.mark.parametrize(
    "read",
    [
        lambda store: list(store.entries(b"", b"z")),
        lambda store: list(store.entries(b"", b"z", reverse=True)),
        lambda store: [store.get(b"key %d" % number) for number in range(2000)],
        lambda store: [store.snapshot().get(b"key %d" % number) for number in range(2000)],
    ],
    ids=["entries", "backwards", "get", "snapshot"],
)
def test_a_bent_byte_in_a_table_is_found_when_it_is_read(
    tmp_path: Path, read: Callable[[RocksStore], object]
) -> None:
    bent(filled(tmp_path), "*.sst", 1000)
    store = open_store(tmp_path, Tuning())

    with pytest.raises(StoreDamaged, match="is damaged"):
        read(store)

    store.close()


def killed(path: Path) -> Path:
    """A copy of a store of two batches as a power cut would leave it: with its log."""
    store = open_store(path / "store", Tuning())
    store.write([(b"a", b"1" * 100)])
    store.write([(b"a", b"2"), (b"b", b"2" * 100)])
    copy = shutil.copytree(path / "store", path / "copy")
    store.close()
    return copy


def test_a_bent_byte_in_the_log_is_refused_rather_than_a_batch_left_out(tmp_path: Path) -> None:
    copy = killed(tmp_path)
    bent(copy, "*.log", 50)

    with pytest.raises(StoreDamaged, match="is damaged"):
        open_store(copy, Tuning())


def test_a_last_batch_that_was_cut_short_is_as_if_never_written(tmp_path: Path) -> None:
    copy = killed(tmp_path)
    log = next(copy.glob("*.log"))
    log.write_bytes(log.read_bytes()[:-50])

    again = open_store(copy, Tuning())

    assert (again.get(b"a"), again.get(b"b")) == (b"1" * 100, None)
    again.close()


def test_a_reader_does_not_outlive_its_store(tmp_path: Path) -> None:
    store = open_store(tmp_path, Tuning())
    reader = store.snapshot()
    store.close()

    with pytest.raises(InvariantBroken, match="after it was closed"):
        reader.get(b"a")
    with pytest.raises(InvariantBroken, match="after it was closed"):
        next(reader.entries(b"a", b"b"))


def test_every_setting_is_taken(tmp_path: Path) -> None:
    tuning = Tuning(1 << 20, 2 << 20, max_open_files=33, compaction_threads=3)

    open_store(tmp_path, tuning).close()

    written = max(tmp_path.glob("OPTIONS-*")).read_text()
    assert [
        setting in written
        for setting in ("write_buffer_size=2097152", "max_open_files=33", "background_jobs=3")
    ] == [True, True, True]


def test_an_unusable_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "LOCK").mkdir()

    with pytest.raises(StoreUnusable):
        open_store(tmp_path, Tuning())
