from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dchat.kernel.codec import pack
from dchat.kernel.errors import LocalProtocolError
from dchat.kernel.merkle.hashing import EMPTY_ROOT
from dchat.kernel.merkle.proof import verify
from dchat.node.storage import HeightUnavailable, StateView, Storage
from dchat.node.stores.backend import (
    Reader,
    StoreDamaged,
    StoreLocked,
    StoreUnusable,
)
from tests.fakes.memory_store import MemoryStore
from tests.fakes.naive_tree import naive_root

Changes = Mapping[bytes, bytes | None]
keys = st.integers(0, 40).map(lambda number: pack(("module", number)))
blocks = st.lists(
    st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=20), min_size=1, max_size=12
)


def stored(*written: Changes, keep: int = 100, backend: MemoryStore | None = None) -> Storage:
    """A storage after these blocks, the first of them at height 1."""
    storage = Storage.over(MemoryStore({}) if backend is None else backend, keep)
    for height, writes in enumerate(written, 1):
        storage.commit(storage.stage(height, writes))
    return storage


class CountingStore(MemoryStore):
    """Its own snapshot, so that it knows how often it was asked."""

    gets = 0

    def get(self, key: bytes) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def snapshot(self) -> Reader:
        return self


def shown(view: StateView) -> tuple[bytes, dict[bytes, bytes]]:
    return view.app_hash, dict(view.scan(b""))


def paged(
    storage: Storage, height: int, limit: int, written: list[Changes]
) -> list[tuple[bytes, bytes]]:
    """A height's entries, page by page, with a block committed after each page."""
    found: list[tuple[bytes, bytes]] = []
    left = iter(written)
    while True:
        after = found[-1][0] if found else b""
        walked = storage.at(height).walk(b"", after)
        page = list(islice(((key, value) for key, value in walked if value is not None), limit))
        found += page
        if not page:
            return found
        storage.commit(storage.stage(storage.height + 1, next(left, {})))


def prove_all(view: StateView, root: bytes, wanted: list[bytes]) -> None:
    for key in wanted:
        verify(root, key, view.get(key), view.prove(key))


def test_a_new_store_is_empty_at_height_0() -> None:
    storage = stored()

    assert (storage.height, storage.app_hash, shown(storage.latest())) == (
        0,
        EMPTY_ROOT,
        (EMPTY_ROOT, {}),
    )


def test_a_commit_makes_the_staged_state_the_latest() -> None:
    storage = stored({b"a": b"1", b"b": b"2"}, {b"a": b"3", b"b": None})

    assert (storage.height, storage.app_hash, shown(storage.latest())) == (
        2,
        naive_root({b"a": b"3"}),
        (naive_root({b"a": b"3"}), {b"a": b"3"}),
    )


def test_staging_writes_nothing() -> None:
    backend = MemoryStore({})
    storage = stored({b"a": b"1"}, backend=backend)
    before = dict(backend.held)

    staged = storage.stage(2, {b"a": b"2"})

    assert (backend.held, storage.height, staged.app_hash) == (before, 1, naive_root({b"a": b"2"}))


def test_an_empty_block_keeps_the_app_hash_and_writes_the_head_only() -> None:
    backend = MemoryStore({})
    storage = stored({b"a": b"1"}, backend=backend)
    before = dict(backend.held)

    storage.commit(storage.stage(2, {}))

    changed = [key for key, value in backend.held.items() if before.get(key) != value]
    assert (storage.app_hash, changed) == (naive_root({b"a": b"1"}), [b"m"])


def test_writing_the_same_value_again_is_no_change() -> None:
    backend = MemoryStore({})
    storage = stored({b"a": b"1"}, backend=backend)
    before = dict(backend.held)

    storage.commit(storage.stage(2, {b"a": b"1", b"never": None}))

    changed = [key for key, value in backend.held.items() if before.get(key) != value]
    assert changed == [b"m"]


def test_a_genesis_state_has_a_hash_and_goes_to_disk_with_the_first_block() -> None:
    storage = stored()
    genesis: Changes = {b"a": b"1", b"b": b"2"}

    of_genesis = storage.stage(0, genesis)
    storage.commit(storage.stage(7, {**genesis, b"b": b"3"}))

    assert (of_genesis.app_hash, storage.height, storage.app_hash) == (
        naive_root({b"a": b"1", b"b": b"2"}),
        7,
        naive_root({b"a": b"1", b"b": b"3"}),
    )


def test_a_genesis_state_alone_is_never_committed() -> None:
    storage = stored()

    with pytest.raises(LocalProtocolError, match="height 0"):
        storage.commit(storage.stage(0, {b"a": b"1"}))


@pytest.mark.parametrize("height", [0, 1, 2, 4])
def test_only_the_next_height_is_staged(height: int) -> None:
    storage = stored({}, {})

    with pytest.raises(LocalProtocolError, match=f"cannot stage height {height} on 2"):
        storage.stage(height, {})


def test_a_block_staged_on_an_older_state_is_not_committed() -> None:
    storage = stored({b"a": b"1"})
    late = storage.stage(2, {b"a": b"2"})
    storage.commit(storage.stage(2, {b"a": b"3"}))

    with pytest.raises(LocalProtocolError, match="not staged on this state"):
        storage.commit(late)


def test_a_height_can_be_staged_again_with_other_writes() -> None:
    storage = stored({b"a": b"1"})
    storage.stage(2, {b"a": b"2", b"c": b"2"})

    storage.commit(storage.stage(2, {b"a": b"3"}))

    assert shown(storage.latest()) == (naive_root({b"a": b"3"}), {b"a": b"3"})


@given(blocks)
def test_every_kept_version_reads_scans_and_proves_as_it_did_when_it_was_the_latest(
    written: list[Changes],
) -> None:
    storage, models = stored(), list[dict[bytes, bytes]]()
    for height, writes in enumerate(written, 1):
        storage.commit(storage.stage(height, writes))
        models.append(dict(storage.latest().scan(b"")))

    views = [storage.at(height) for height in range(1, len(written) + 1)]

    assert [shown(view) for view in views] == [(naive_root(model), model) for model in models]
    for view in views:
        prove_all(view, view.app_hash, [pack(("module", number)) for number in range(41)])


@given(blocks, st.integers(1, 4))
@settings(max_examples=30)
def test_a_restart_changes_nothing(written: list[Changes], keep: int) -> None:
    backend = MemoryStore({})
    storage = stored(*written, keep=keep, backend=backend)

    again = Storage.over(backend, keep)

    assert (again.height, again.app_hash, again.oldest) == (
        len(written),
        storage.app_hash,
        max(1, len(written) - keep + 1),
    )
    assert shown(again.at(again.oldest)) == shown(storage.at(storage.oldest))


def test_a_scan_sees_one_prefix_only_in_order_of_key() -> None:
    first = {pack(("b", number)): b"1" for number in range(300)}
    storage = stored({**first, pack(("a", 1)): b"1", pack(("c", 1)): b"1"}, {pack(("b", 7)): None})

    then = [key for key, _ in storage.at(1).scan(pack(("b", 0))[:-1])]
    now = [key for key, _ in storage.latest().scan(pack(("b", 0))[:-1])]

    assert (then, len(now)) == (sorted(first), 299)


def test_a_scan_of_an_older_version_brings_back_what_was_removed_before_and_after_the_rest() -> (
    None
):
    storage = stored({b"a": b"1", b"b": b"1", b"c": b"1"}, {b"a": None, b"c": None, b"bb": b"2"})

    assert list(storage.at(1).scan(b"")) == [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]


@given(blocks, st.integers(1, 7))
@settings(max_examples=40)
def test_pages_of_one_height_make_up_its_scan_while_blocks_are_committed(
    written: list[Changes], limit: int
) -> None:
    storage = stored({pack(("module", number)): b"1" for number in range(0, 160, 2)})
    expected = list(storage.latest().scan(b""))

    assert paged(storage, 1, limit, written) == expected


@given(blocks)
@settings(max_examples=40)
def test_a_walk_passes_every_key_of_this_height_and_later_ones_once(written: list[Changes]) -> None:
    storage = stored({pack(("module", number)): b"1" for number in range(20)}, *written)

    walked = list(storage.at(1).walk(b"", b""))

    here, later = dict(storage.at(1).scan(b"")), dict(storage.latest().scan(b""))
    keys = [key for key, _ in walked]
    assert keys == sorted(frozenset(keys))
    assert {key: value for key, value in walked if value is not None} == here
    assert frozenset(keys) >= here.keys() | later.keys()


def test_a_view_stays_as_it_is_while_blocks_are_committed() -> None:
    storage = stored({b"a": b"1"})
    view = storage.latest()

    storage.commit(storage.stage(2, {b"a": b"2", b"b": b"2"}))

    assert (view.height, *shown(view)) == (1, naive_root({b"a": b"1"}), {b"a": b"1"})


@pytest.mark.parametrize("height", [0, 7, 11])
def test_a_height_that_is_not_kept_is_refused_with_the_heights_that_are(height: int) -> None:
    storage = stored(*[{b"a": b"%d" % number} for number in range(10)], keep=3)

    with pytest.raises(HeightUnavailable) as refused:
        storage.at(height)

    assert (refused.value.height, refused.value.oldest, refused.value.latest) == (height, 8, 10)


def test_queries_take_none_of_the_memory_of_those_who_make_the_next_block() -> None:
    many: Changes = {b"%d" % number: bytes(200_000) for number in range(100)}
    backend = CountingStore({})
    stored(many, backend=backend)
    storage = Storage.over(backend)
    asking, working = storage.latest(), storage.working()
    [asking.get(key) for key in many]
    backend.gets = 0

    found = [working.get(b"7"), working.get(b"7")]

    assert (found, backend.gets) == ([bytes(200_000)] * 2, 1)


def test_a_large_block_is_recorded_in_chunks_and_every_entry_is_found_again() -> None:
    first: Changes = {b"key %d" % number: b"old" * 30 for number in range(1500)}
    backend = MemoryStore({})
    storage = stored(first, dict.fromkeys(first, b"new"), backend=backend)

    old = [storage.at(1).get(key) for key in first]

    chunks = [key for key in backend.held if key.startswith(b"u")]
    assert (set(old), len(chunks) > 10) == ({b"old" * 30}, True)


def test_a_small_page_cache_gives_the_same_hashes() -> None:
    written: list[Changes] = [
        {b"key %d" % (number * block): b"%d" % block for number in range(200)}
        for block in range(1, 8)
    ]
    one, other = stored(), Storage.over(MemoryStore({}), page_cache_bytes=5000)

    [one.commit(one.stage(height, writes)) for height, writes in enumerate(written, 1)]
    [other.commit(other.stage(height, writes)) for height, writes in enumerate(written, 1)]

    assert one.app_hash == other.app_hash


def test_queries_at_every_height_agree_while_blocks_are_committed(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path / "state", keep=10)
    storage.commit(storage.stage(1, {b"key %d" % number: b"1" for number in range(100)}))
    done = threading.Event()
    wrong: list[object] = []

    def query() -> None:
        while not done.is_set():
            view = storage.at(max(1, storage.height - 3))
            value = view.get(b"key 5")
            verify(view.app_hash, b"key 5", value, view.prove(b"key 5"))
            if value != b"%d" % view.height:
                wrong.append((view.height, value))

    queries = [threading.Thread(target=query) for _ in range(2)]
    [thread.start() for thread in queries]
    for height in range(2, 60):
        block = {b"key %d" % number: b"%d" % height for number in range(100)}
        storage.commit(storage.stage(height, block))
    done.set()
    [thread.join() for thread in queries]
    expected = naive_root({b"key %d" % number: b"59" for number in range(100)})

    assert (wrong, storage.app_hash) == ([], expected)
    storage.close()


def test_who_sees_a_new_block_sees_none_of_the_pages_before_it() -> None:
    storage = stored()
    storage.commit(storage.stage(1, {b"key %d" % number: b"1" for number in range(500)}))
    hashes, wrong = {1: storage.app_hash}, list[int]()

    def query() -> None:
        while storage.height < 60:
            view = storage.latest()
            is_old = view.app_hash != hashes[view.height]
            wrong.extend([view.height] if is_old else [])

    querying = threading.Thread(target=query)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    querying.start()
    for height in range(2, 61):
        staged = storage.stage(
            height, {b"key %d" % number: b"%d" % height for number in range(500)}
        )
        hashes[height] = staged.app_hash
        storage.commit(staged)
    querying.join()
    sys.setswitchinterval(before)

    assert wrong == []


def test_a_state_outlives_its_process(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path / "state")
    storage.commit(storage.stage(1, {b"a": b"1"}))
    storage.commit(storage.stage(2, {b"a": b"2"}))
    storage.close()

    again = Storage.open(tmp_path / "state")

    assert (again.height, again.at(1).get(b"a"), again.latest().get(b"a")) == (2, b"1", b"2")
    again.close()


def test_an_unknown_backend_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no backend 'mongodb'"):
        Storage.open(tmp_path / "state", backend="mongodb")


def test_a_state_that_is_open_is_refused(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path / "state")

    with pytest.raises(StoreLocked, match="in use by another process"):
        Storage.open(tmp_path / "state")

    storage.close()


def test_keeping_no_version_is_refused_and_the_store_left_closed(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot keep 0 versions"):
        Storage.open(tmp_path / "state", keep=0)

    Storage.open(tmp_path / "state").close()


def _another_format(backend: MemoryStore) -> None:
    backend.write([(b"m", pack(("dchat-state", 3, "new", "fields")))])


def _another_program(backend: MemoryStore) -> None:
    backend.write([(b"m", None)])


def _another_head(backend: MemoryStore) -> None:
    backend.write([(b"m", pack(("somebody-else", 1)))])


def _short_head(backend: MemoryStore) -> None:
    backend.write([(b"m", pack(("dchat-state", 2, 5)))])


def _nonsense_head(backend: MemoryStore) -> None:
    backend.write([(b"m", b"\xc1")])


def _lost_root_page(backend: MemoryStore) -> None:
    backend.write([(b"p", None)])


def _older_root_page(backend: MemoryStore) -> None:
    other = MemoryStore({})
    stored({b"a": b"other"}, backend=other)
    backend.write([(b"p", other.get(b"p"))])


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_another_format, StoreUnusable, "of format 3, this dchat reads 2"),
        (_another_program, StoreUnusable, "another program's data"),
        (_another_head, StoreUnusable, "another program's data"),
        (_short_head, StoreDamaged, "damaged head"),
        (_nonsense_head, StoreDamaged, "damaged head"),
        (_lost_root_page, StoreDamaged, "its tree has"),
        (_older_root_page, StoreDamaged, "its tree has"),
    ],
)
def test_a_store_that_is_not_ours_or_not_whole_is_refused_with_a_way_out(
    damage: Callable[[MemoryStore], None], error: type[StoreUnusable], message: str
) -> None:
    backend = MemoryStore({})
    stored({b"a": b"1"}, backend=backend)
    damage(backend)

    with pytest.raises(error, match=message) as refused:
        Storage.over(backend)

    assert refused.value.hint
