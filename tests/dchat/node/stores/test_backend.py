"""The conformance suite: every backend, and the fake that stands in for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat.node.stores import leveldb
from dchat.node.stores.backend import Backend, Tuning, prefix_end
from tests.fakes.memory_store import MemoryStore

OPENERS: dict[str, Callable[[Path], Backend]] = {
    "memory": lambda path: MemoryStore({}),
    "leveldb": lambda path: leveldb.open_store(path, Tuning()),
}
keys = st.binary(min_size=1, max_size=3)
batches = st.lists(st.dictionaries(keys, st.none() | st.binary(max_size=3)), max_size=4)


@pytest.fixture(params=sorted(OPENERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened = OPENERS[request.param](tmp_path / "store")
    yield opened
    opened.close()


def test_what_was_never_written_is_not_there(store: Backend) -> None:
    assert store.get(b"key") is None


def test_a_batch_writes_replaces_and_removes(store: Backend) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"")])

    store.write([(b"a", b"3"), (b"b", None), (b"never", None)])

    assert [store.get(key) for key in (b"a", b"b", b"c")] == [b"3", None, b""]


def test_the_last_write_of_a_key_in_a_batch_counts(store: Backend) -> None:
    store.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")])

    assert (store.get(b"a"), store.get(b"b")) == (None, b"2")


def test_entries_are_ordered_by_unsigned_bytes_and_the_stop_is_left_out(store: Backend) -> None:
    store.write([(key, key) for key in (b"\xff", b"b", b"\x80", b"a", b"aa", b"\x00")])

    found = [key for key, _ in store.entries(b"a", b"\xff")]

    assert found == [b"a", b"aa", b"b", b"\x80"]


def test_entries_can_be_read_backwards(store: Backend) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])

    assert list(store.entries(b"a", b"c", reverse=True)) == [(b"b", b"2"), (b"a", b"1")]


@pytest.mark.parametrize("stop", [b"a", b"b"])
def test_an_empty_range_has_no_entries(store: Backend, stop: bytes) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")])

    assert list(store.entries(b"b", stop)) == []


def test_a_snapshot_does_not_see_later_writes(store: Backend) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")])
    before = store.snapshot()

    store.write([(b"a", b"3"), (b"b", None), (b"c", b"4")])

    assert (before.get(b"a"), list(before.entries(b"a", b"z"))) == (
        b"1",
        [(b"a", b"1"), (b"b", b"2")],
    )


def test_entries_under_way_do_not_see_later_writes_of_a_snapshot(store: Backend) -> None:
    store.write([(bytes([number]), b"old") for number in range(200)])
    under_way = store.snapshot().entries(b"", b"\xff")
    first = next(under_way)

    store.write([(bytes([number]), b"new") for number in range(200)])

    assert {first[1], *(value for _, value in under_way)} == {b"old"}


def test_other_threads_read_while_one_writes(store: Backend) -> None:
    store.write([(b"left", b"0"), (b"right", b"0")])
    seen: list[tuple[bytes | None, bytes | None]] = []

    def read() -> None:
        for _ in range(300):
            now = store.snapshot()
            seen.append((now.get(b"left"), now.get(b"right")))

    readers = [threading.Thread(target=read) for _ in range(2)]
    [reader.start() for reader in readers]
    for number in range(40):
        store.write([(b"left", b"%d" % number), (b"right", b"%d" % number)])
    [reader.join() for reader in readers]

    assert (len(seen), [pair for pair in seen if pair[0] != pair[1]]) == (600, [])


def test_compacting_changes_no_entry(store: Backend) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    store.write([(b"b", None)])

    store.compact(b"a", b"z")

    assert list(store.entries(b"", b"z")) == [(b"a", b"1"), (b"c", b"3")]


@given(batches)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_leave_what_a_dictionary_would_hold(
    store: Backend, written: list[dict[bytes, bytes | None]]
) -> None:
    store.write([(key, None) for key, _ in store.entries(b"", b"\xff" * 4)])
    model = dict[bytes, bytes | None]()

    for batch in written:
        store.write(batch.items())
        model |= batch

    left = sorted((key, value) for key, value in model.items() if value is not None)
    assert list(store.entries(b"", b"\xff" * 4)) == left


def test_closing_twice_is_closing_once(store: Backend) -> None:
    store.close()

    store.close()


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\x00", b"\x01")]
)
def test_the_end_of_a_prefix_is_the_first_key_without_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_a_prefix_that_nothing_follows_has_no_end() -> None:
    with pytest.raises(ValueError, match="has no end"):
        prefix_end(b"\xff\xff")
