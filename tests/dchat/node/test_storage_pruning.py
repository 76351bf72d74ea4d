"""Old versions go in the background: the window is exact, and no block waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import pytest

from dchat.kernel.merkle.proof import verify
from dchat.node.storage import HeightUnavailable, Storage
from dchat.node.stores.backend import StoreFull, Write
from dchat.node.stores.pruner import COMPACT_KEYS, STRIDE
from dchat.node.stores.undo import CHUNK_BYTES
from tests.fakes.memory_store import MemoryStore

Changes = Mapping[bytes, bytes | None]
PATIENCE_S = 60
# A hundred removals each, so that a compaction begins before the last.
ENOUGH_BLOCKS = COMPACT_KEYS // 100 + 2 * STRIDE


def stored(*written: Changes, keep: int, backend: MemoryStore | None = None) -> Storage:
    """A storage after these blocks, the first of them at height 1."""
    storage = Storage.over(MemoryStore({}) if backend is None else backend, keep)
    for height, writes in enumerate(written, 1):
        storage.commit(storage.stage(height, writes))
    return storage


def records(store: MemoryStore) -> list[bytes]:
    """The keys of the undo log."""
    return [key for key in store.held if key.startswith(b"u")]


def large_blocks(number: int) -> list[Changes]:
    """Blocks that overwrite the same keys, each recorded in a hundred chunks and more."""
    return [
        {b"%d" % key: b"%d %s" % (height, bytes(CHUNK_BYTES)) for key in range(100)}
        for height in range(number)
    ]


class StubbornStore(MemoryStore):
    """Compacts until it is set free; takes no removals while it is full."""

    def __init__(self, held: Mapping[bytes, bytes]) -> None:
        super().__init__(held)
        self.compacting = threading.Event()
        self.free = threading.Event()
        self.full = False

    def write(self, writes: Iterable[Write]) -> None:
        batch = list(writes)
        if self.full and all(value is None for _, value in batch):
            raise StoreFull("no space is left")
        super().write(batch)

    def compact(self, start: bytes, stop: bytes) -> None:
        self.compacting.set()
        self.free.wait(PATIENCE_S)


def test_what_is_outdated_leaves_the_store() -> None:
    backend = MemoryStore({})
    written: list[Changes] = [{b"a": b"%d" % number} for number in range(50)]

    storage = stored(*written, keep=3, backend=backend)
    storage.settle()

    assert len(records(backend)) <= 2 + STRIDE


def test_a_shorter_history_is_in_force_with_the_first_block() -> None:
    backend = MemoryStore({})
    stored(*[{b"a": b"%d" % number} for number in range(30)], keep=100, backend=backend)

    storage = Storage.over(backend, keep=2)
    storage.commit(storage.stage(31, {}))
    storage.settle()

    assert (storage.oldest, records(backend)) == (30, [])


def test_the_oldest_height_kept_is_proved_and_the_one_before_is_refused_with_the_window() -> None:
    storage = stored(*[{b"a": b"%d" % number} for number in range(40)], keep=7)
    storage.settle()

    oldest = storage.at(34)
    verify(oldest.app_hash, b"a", b"33", oldest.prove(b"a"))

    with pytest.raises(HeightUnavailable, match="height 33 is not kept, only 34 to 40 are"):
        storage.at(33)


def test_a_view_outlives_the_pruning_of_its_height() -> None:
    storage = stored(*[{b"a": b"%d" % number} for number in range(10)], keep=5)
    view = storage.at(6)

    for height in range(11, 40):
        storage.commit(storage.stage(height, {b"a": b"new"}))
    storage.settle()

    verify(view.app_hash, b"a", b"5", view.prove(b"a"))


def test_blocks_are_committed_while_a_compaction_goes_on() -> None:
    backend = StubbornStore({})
    storage = stored(*large_blocks(ENOUGH_BLOCKS), keep=2, backend=backend)
    compacting = backend.compacting.wait(PATIENCE_S)

    for height in range(ENOUGH_BLOCKS + 1, ENOUGH_BLOCKS + 40):
        storage.commit(storage.stage(height, {b"a": b"%d" % height}))

    assert (compacting, storage.latest().get(b"a")) == (True, b"%d" % storage.height)
    backend.free.set()
    storage.close()


def test_a_pruning_broken_off_by_closing_is_done_after_the_next_start() -> None:
    backend = StubbornStore({})
    storage = stored(*large_blocks(ENOUGH_BLOCKS), keep=2, backend=backend)
    compacting = backend.compacting.wait(PATIENCE_S)
    storage.commit(storage.stage(ENOUGH_BLOCKS + 1, {}))
    closing = threading.Thread(target=storage.close)
    closing.start()
    backend.free.set()
    closing.join()
    left = len(records(backend))

    again = Storage.over(backend, keep=2)
    again.commit(again.stage(ENOUGH_BLOCKS + 2, {}))
    again.settle()

    assert (compacting, left > 0, records(backend)) == (True, True, [])


def test_a_pruning_that_failed_stops_the_next_block() -> None:
    backend = StubbornStore({})
    storage = stored(*large_blocks(STRIDE), keep=2, backend=backend)
    backend.full = True
    storage.commit(storage.stage(STRIDE + 1, {}))
    storage.settle()

    with pytest.raises(StoreFull):
        storage.commit(storage.stage(STRIDE + 2, {}))
