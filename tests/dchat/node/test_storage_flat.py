"""Blocks that overwrite the same keys: the disk stays flat, the window readable, the rest is gone.

`just bench flat` is the long run of the same.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from random import Random
from statistics import median

import pytest

from dchat.kernel.merkle.proof import verify
from dchat.node.storage import BACKENDS, HeightUnavailable, Storage
from dchat.node.stores.backend import Tuning

LEAVES = 2000
CHANGED = 60
BLOCKS = 600
KEEP = 20
SMALL = Tuning(cache_bytes=1 << 20, write_buffer_bytes=512 << 10)

pytestmark = pytest.mark.slow


def bytes_on_disk(place: Path) -> int:
    return sum(_size(file) for file in place.iterdir())


def _size(file: Path) -> int:
    """A file's size; the database may have removed it meanwhile."""
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def overwrite(storage: Storage, chance: Random) -> None:
    writes = {b"%d" % key: chance.randbytes(90) for key in chance.sample(range(LEAVES), CHANGED)}
    storage.commit(storage.stage(storage.height + 1, {**writes, b"0": b"%d" % storage.height}))


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_overwriting_takes_no_more_space_and_keeps_the_window(tmp_path: Path, backend: str) -> None:
    chance = Random(1)
    sizes: list[int] = []
    with closing(Storage.open(tmp_path, backend, KEEP, SMALL)) as storage:
        storage.commit(storage.stage(1, {b"%d" % key: bytes(90) for key in range(LEAVES)}))

        for _ in range(BLOCKS):
            overwrite(storage, chance)
            sizes.append(bytes_on_disk(tmp_path))

        oldest = storage.at(storage.height - KEEP + 1)
        value = oldest.get(b"0")
        verify(oldest.app_hash, b"0", value, oldest.prove(b"0"))
        with pytest.raises(HeightUnavailable):
            storage.at(storage.height - KEEP)

    assert value == b"%d" % (oldest.height - 1)
    # Peaks are of a log that a reader kept from being begun anew: rare, and never the same.
    assert median(sizes[BLOCKS // 2 :]) <= 1.25 * median(sizes[: BLOCKS // 2])
