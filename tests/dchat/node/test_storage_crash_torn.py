"""The file that took a killed store's last write is cut short, bent, padded or emptied."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from dchat.node.storage import BACKENDS, Storage
from dchat.node.stores.backend import StoreDamaged
from tests.fakes.naive_tree import naive_root
from tests.faults.damage import KINDS, last_written
from tests.faults.sweep import BLOCKS, KEEP, block, expected

LOGS = {"leveldb": "*.log", "rocksdb": "*.log", "sqlite": "state.sqlite-wal"}
REFUSED = -1
# What a power cut leaves is taken for that; anything else is damage, or cut off by SQLite. The last
# write is a block's or, behind the last block, the pruner's.
LAST = {BLOCKS - 1, BLOCKS}
TORN = {"cut": LAST, "pad": {BLOCKS}, "empty": {0}}
OUTCOMES = {
    "leveldb": TORN,
    "rocksdb": TORN,
    "sqlite": {**TORN, "bend_tail": LAST, "bend_middle": set(range(1, BLOCKS))},
}


def killed_store(folder: Path, backend: str) -> Path:
    """A store's files as a kill leaves them: nothing was closed."""
    with closing(Storage.open(folder / "open", backend, KEEP)) as storage:
        for height in range(1, BLOCKS + 1):
            storage.commit(storage.stage(height, block(height)))
        shutil.copytree(folder / "open", folder / "killed")
    return folder / "killed"


def height_found(state: Path, backend: str, hashes: list[bytes]) -> int:
    """The height of a store that is whole; REFUSED where it is called damaged."""
    try:
        with closing(Storage.open(state, backend, KEEP)) as storage:
            entries = dict(storage.latest().scan(b""))
            assert naive_root(entries) == storage.app_hash == hashes[storage.height]
            return storage.height
    except StoreDamaged:
        return REFUSED


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_damaged_log_leaves_an_earlier_block_whole_or_is_refused(
    tmp_path: Path, backend: str, kind: str
) -> None:
    state = killed_store(tmp_path, backend)
    KINDS[kind](last_written(state, LOGS[backend]))

    height = height_found(state, backend, expected())

    assert height in OUTCOMES[backend].get(kind, {REFUSED})
