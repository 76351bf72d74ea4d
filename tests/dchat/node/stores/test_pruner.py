from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from dchat.node.stores.backend import StoreFull, Write
from dchat.node.stores.pruner import BATCH_KEYS, COMPACT_KEYS, STRIDE, Pruner
from dchat.node.stores.undo import height_key
from tests.fakes.memory_store import MemoryStore

PATIENCE_S = 60


class WatchedStore(MemoryStore):
    """Notes what is removed and compacted; waits before a removal while it is held up."""

    def __init__(self, heights: int, chunks: int = 1) -> None:
        """Begin with records of so many chunks for the heights from 1 on, and what is beside."""
        keys = [
            height_key(height) + chunk.to_bytes(4, "big")
            for height in range(1, heights + 1)
            for chunk in range(chunks)
        ]
        super().__init__(dict.fromkeys([b"m", *keys, b"v" + bytes(9)], b"entry"))
        self.removed: list[int] = []
        self.compacted: list[tuple[bytes, bytes]] = []
        self.asked = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.fault: StoreFull | None = None

    def write(self, writes: Iterable[Write]) -> None:
        self.asked.set()
        self.free.wait(PATIENCE_S)
        if self.fault is not None:
            raise self.fault
        batch = list(writes)
        self.removed.append(len(batch))
        super().write(batch)

    def compact(self, start: bytes, stop: bytes) -> None:
        self.compacted.append((start, stop))


def heights(store: MemoryStore) -> list[int]:
    """Of which blocks there are records."""
    return sorted({int.from_bytes(key[1:9], "big") for key in store.held if key[:1] == b"u"})


def reached(store: MemoryStore, height: int) -> Pruner:
    """A pruner that has done what it could for a height."""
    pruner = Pruner(store)
    pruner.reach(height)
    pruner.wait()
    return pruner


def test_records_up_to_the_height_go_and_nothing_else_does() -> None:
    store = WatchedStore(30, chunks=3)

    reached(store, 25)

    assert (heights(store), b"m" in store.held, b"v" + bytes(9) in store.held) == (
        [26, 27, 28, 29, 30],
        True,
        True,
    )


def test_what_an_earlier_process_left_goes_too() -> None:
    store = WatchedStore(30)
    store.held.update({height_key(1000 + height): b"later" for height in range(5)})

    reached(store, 1001)

    assert heights(store) == [1002, 1003, 1004]


def test_a_few_heights_are_not_worth_a_thread() -> None:
    store = WatchedStore(30)

    reached(store, STRIDE - 1)

    assert store.removed == []


def test_one_pruner_goes_on_where_it_was() -> None:
    store = WatchedStore(60)
    pruner = reached(store, 20)

    pruner.reach(20 + STRIDE)
    pruner.wait()

    assert heights(store) == list(range(21 + STRIDE, 61))


def test_removals_come_in_bounded_batches() -> None:
    store = WatchedStore(10, chunks=BATCH_KEYS // 4)

    reached(store, 9)

    assert store.removed == [BATCH_KEYS, BATCH_KEYS, BATCH_KEYS // 4]


def test_space_is_given_back_once_enough_was_removed_and_only_there() -> None:
    store = WatchedStore(2 * STRIDE, chunks=COMPACT_KEYS // STRIDE)

    reached(store, STRIDE)

    [(start, stop)] = store.compacted
    assert (start, height_key(STRIDE) < stop < height_key(STRIDE + 1)) == (b"u", True)


def test_little_garbage_is_not_worth_a_compaction() -> None:
    store = WatchedStore(200)

    reached(store, 150)

    assert store.compacted == []


def test_stopping_breaks_off_between_two_batches() -> None:
    store = WatchedStore(40, chunks=BATCH_KEYS)
    store.free.clear()
    pruner = Pruner(store)
    pruner.reach(39)
    store.asked.wait(PATIENCE_S)
    stopping = threading.Thread(target=pruner.stop)

    stopping.start()
    store.free.set()
    stopping.join()

    assert 1 <= len(store.removed) < 39


def test_a_goal_is_taken_over_without_waiting() -> None:
    store = WatchedStore(60)
    store.free.clear()
    pruner = Pruner(store)
    pruner.reach(10)
    store.asked.wait(PATIENCE_S)

    pruner.reach(50)

    store.free.set()
    pruner.wait()
    assert heights(store) == list(range(51, 61))


def test_a_failed_removal_is_told_to_the_next_who_asks() -> None:
    store = WatchedStore(30)
    store.fault = StoreFull("no space is left")
    pruner = reached(store, 20)

    with pytest.raises(StoreFull, match="no space is left"):
        pruner.reach(21)
