"""The conformance suite: every backend, and the fake that stands in for one."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat.node.storage import BACKENDS
from dchat.node.stores.backend import (
    Backend,
    Reader,
    StoreLocked,
    StoreUnusable,
    Tuning,
    Write,
    prefix_end,
)
from tests.fakes.memory_store import MemoryStore

Opener = Callable[[Path, Tuning], Backend]
OPENERS: dict[str, Opener] = {"memory": lambda path, tuning: MemoryStore({}), **BACKENDS}
keys = st.binary(min_size=1, max_size=3)
batches = st.lists(st.dictionaries(keys, st.none() | st.binary(max_size=3)), max_size=4)


@pytest.fixture(params=sorted(OPENERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened = OPENERS[request.param](tmp_path / "store", Tuning())
    yield opened
    opened.close()


@pytest.fixture(params=sorted(BACKENDS))
def opener(request: pytest.FixtureRequest) -> Opener:
    """What opens a store on disk."""
    return BACKENDS[request.param]


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


def test_a_snapshot_reads_one_version_while_blocks_are_written(store: Backend) -> None:
    """As a query does while blocks are committed: single keys and ranges, to and fro."""
    many = [b"%03d" % number for number in range(400)]
    store.write([(key, b"0") for key in many])
    mixed: list[object] = []

    def read() -> None:
        for _ in range(25):
            now = store.snapshot()
            whole = list(now.entries(b"", b"~")) + list(now.entries(b"", b"~", reverse=True))
            values = {value for _, value in whole} | {now.get(b"007"), now.get(b"399")}
            if len(values) != 1 or len(whole) != 2 * len(many):
                mixed.append((len(whole), values))

    readers = [threading.Thread(target=read) for _ in range(2)]
    [reader.start() for reader in readers]
    for number in range(1, 60):
        store.write([(key, b"%d" % number) for key in many])
    [reader.join() for reader in readers]

    assert mixed == []


def test_many_snapshots_of_different_versions_live_side_by_side(store: Backend) -> None:
    held: list[Reader] = []

    for number in range(20):
        store.write([(b"key", b"%d" % number), (b"%02d" % number, b"")])
        held.append(store.snapshot())

    assert [(now.get(b"key"), len(list(now.entries(b"", b"a")))) for now in held] == [
        (b"%d" % number, number + 1) for number in range(20)
    ]


def test_a_long_range_comes_whole_in_both_directions(store: Backend) -> None:
    store.write([(b"%04d" % number, bytes([number % 256])) for number in range(2000)])

    up = [int(key) for key, _ in store.snapshot().entries(b"0003", b"1997")]
    down = [int(key) for key, _ in store.snapshot().entries(b"0003", b"1997", reverse=True)]

    assert (up, down) == (list(range(3, 1997)), list(range(1996, 2, -1)))


def test_two_ranges_of_one_snapshot_can_be_under_way_at_once(store: Backend) -> None:
    store.write([(b"%02d" % number, b"") for number in range(50)])
    now = store.snapshot()

    pairs = list(zip(now.entries(b"", b"z"), now.entries(b"", b"z", reverse=True), strict=True))

    assert [(int(one[0]), int(other[0])) for one, other in pairs] == [
        (number, 49 - number) for number in range(50)
    ]


def test_a_write_that_breaks_off_leaves_no_part_of_its_batch(store: Backend) -> None:
    store.write([(b"a", b"1")])

    def half() -> Iterator[Write]:
        yield b"a", b"2"
        raise RuntimeError("the block went wrong")

    with pytest.raises(RuntimeError, match="went wrong"):
        store.write(half())

    store.write([(b"b", b"2")])
    assert (store.get(b"a"), store.get(b"b")) == (b"1", b"2")


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


def test_what_was_written_is_there_after_a_restart(opener: Opener, tmp_path: Path) -> None:
    first = opener(tmp_path / "store", Tuning())
    first.write([(b"a", b"1"), (b"b", b"2")])
    first.write([(b"b", None), (b"c", b"3" * 5000)])
    first.close()

    again = opener(tmp_path / "store", Tuning())

    assert list(again.entries(b"", b"z")) == [(b"a", b"1"), (b"c", b"3" * 5000)]
    again.close()


def test_a_store_closes_under_its_readers_and_opens_again(opener: Opener, tmp_path: Path) -> None:
    first = opener(tmp_path / "store", Tuning())
    first.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    reader = first.snapshot()
    under_way = reader.entries(b"", b"z")
    next(under_way)
    first.close()

    again = opener(tmp_path / "store", Tuning())

    assert again.get(b"a") == b"1"
    again.close()
    del under_way, reader


def test_a_new_directory_is_for_its_owner_only(opener: Opener, tmp_path: Path) -> None:
    opener(tmp_path / "deep" / "store", Tuning()).close()

    assert stat.S_IMODE((tmp_path / "deep" / "store").stat().st_mode) == 0o700


def test_a_store_that_is_open_is_refused(opener: Opener, tmp_path: Path) -> None:
    first = opener(tmp_path, Tuning())

    with pytest.raises(StoreLocked, match="in use by another process"):
        opener(tmp_path, Tuning())

    first.close()
    opener(tmp_path, Tuning()).close()


def test_a_store_that_another_process_has_open_is_refused(opener: Opener, tmp_path: Path) -> None:
    name = opener.__module__
    script = f"""
import sys
from pathlib import Path
from dchat.node.stores.backend import Tuning
from {name} import open_store
store = open_store(Path(sys.argv[1]), Tuning())
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()

        with pytest.raises(StoreLocked, match="in use by another process"):
            opener(tmp_path, Tuning())

        other.kill()
    opener(tmp_path, Tuning()).close()


def test_a_directory_of_something_else_is_refused_and_left_alone(
    opener: Opener, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")

    with pytest.raises(StoreUnusable, match=r"it holds photo\.jpg and no"):
        opener(tmp_path, Tuning())

    assert [found.name for found in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_in_the_place_of_the_directory_is_refused(opener: Opener, tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")

    with pytest.raises(StoreUnusable, match="File exists"):
        opener(tmp_path / "store", Tuning())


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\x00", b"\x01")]
)
def test_the_end_of_a_prefix_is_the_first_key_without_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_a_prefix_that_nothing_follows_has_no_end() -> None:
    with pytest.raises(ValueError, match="has no end"):
        prefix_end(b"\xff\xff")
