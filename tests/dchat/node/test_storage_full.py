"""A disk that fills up: what was committed stays whole, and goes on once there is space again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dchat.kernel.merkle.proof import verify
from dchat.node.storage import BACKENDS, Storage
from dchat.node.stores.backend import StoreFull
from tests.fakes.naive_tree import naive_root

DISK_BYTES = 48 << 20
BALLAST_BYTES = 16 << 20
ENOUGH_BLOCKS = 300

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB, 16 MiB of it taken by the file `ballast`."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    (place / "ballast").write_bytes(bytes(BALLAST_BYTES))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def block(height: int) -> dict[bytes, bytes | None]:
    writes: dict[bytes, bytes | None] = {
        b"key %d" % (100 * height + number): b"%d %s" % (height, bytes(4000))
        for number in range(150)
    }
    return writes | {b"height": b"%d" % height}


def fill(file: Path) -> None:
    """Take all space that is left."""
    with file.open("wb", buffering=0) as taken, suppress(OSError):
        while taken.write(bytes(512)):
            pass


def commit_blocks(storage: Storage, number: int) -> None:
    for height in range(storage.height + 1, storage.height + 1 + number):
        storage.commit(storage.stage(height, block(height)))


def is_whole(storage: Storage) -> bool:
    """Whether the values, the tree and the head are those of one block."""
    view = storage.latest()
    height = view.get(b"height")
    verify(storage.app_hash, b"height", height, view.prove(b"height"))
    return naive_root(dict(view.scan(b""))) == storage.app_hash and height == b"%d" % storage.height


def test_the_disk_is_small(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (disk / "too much").write_bytes(bytes(DISK_BYTES))


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_full_disk_stops_commits_and_nothing_else(disk: Path, backend: str) -> None:
    with closing(Storage.open(disk / "state", backend, keep=5)) as storage:
        with pytest.raises(StoreFull, match="no space is left"):
            commit_blocks(storage, ENOUGH_BLOCKS)
        reached = storage.height
        with pytest.raises(StoreFull, match="no space is left"):
            commit_blocks(storage, ENOUGH_BLOCKS)
        readable = is_whole(storage) and storage.at(reached - 1).get(b"height") is not None

    (disk / "ballast").unlink()
    with closing(Storage.open(disk / "state", backend, keep=5)) as again:
        found = (is_whole(again), again.height in (reached, reached + 1))
        commit_blocks(again, 10)
        went_on = is_whole(again)

    assert (readable, found, went_on, reached > 10) == (True, (True, True), True, True)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_store_on_a_full_disk_is_not_called_damaged(disk: Path, backend: str) -> None:
    with closing(Storage.open(disk / "state", backend, keep=5)) as storage:
        commit_blocks(storage, 10)
    fill(disk / "more")

    with pytest.raises(StoreFull):
        commit_blocks(Storage.open(disk / "state", backend, keep=5), ENOUGH_BLOCKS)

    (disk / "more").unlink()
    with closing(Storage.open(disk / "state", backend, keep=5)) as again:
        assert is_whole(again)
