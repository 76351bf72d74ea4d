"""Fingerprints on disk: equal wherever they come from, kept longer than states, never stale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.codec import pack
from dchat.kernel.roots import compute, listed
from dchat.node.storage import BACKENDS, HeightUnavailable, Storage
from dchat.node.stores.backend import Backend, StoreDamaged
from dchat.node.stores.roots import KEEP, Recorded, Roots, find, load, writes
from tests.fakes.memory_store import MemoryStore

Changes = Mapping[bytes, bytes | None]
keys = st.tuples(st.sampled_from(["account", "supply", "x"]), st.integers(0, 9)).map(pack)
blocks = st.lists(
    st.dictionaries(keys, st.none() | st.binary(max_size=2), max_size=8), min_size=1, max_size=10
)
ONE, TWO = pack(("account", 1)), pack(("supply",))
WRITTEN: list[Changes] = [
    {ONE: b"1", TWO: b"1"},
    {},
    {ONE: b"2", pack(("account", 2)): b"1"},
    {TWO: None},
    {},
]


def stored(written: list[Changes], backend: Backend, keep: int = 100) -> Storage:
    storage = Storage.over(backend, keep)
    for height, changes in enumerate(written, 1):
        storage.commit(storage.stage(height, changes))
    return storage


def recomputed(storage: Storage, height: int) -> Roots:
    """The fingerprints of a state, from every entry of it."""
    view = storage.at(height)
    return Roots(view.app_hash, listed(compute(view.scan(b""))))


@given(blocks)
def test_every_height_has_the_fingerprints_that_its_entries_give(written: list[Changes]) -> None:
    storage = stored(written, MemoryStore({}))
    heights = range(1, len(written) + 1)

    assert [storage.roots_at(height)[1] for height in heights] == [
        recomputed(storage, height) for height in heights
    ]
    assert storage.roots_at(0) == (len(written), recomputed(storage, len(written)))


@given(blocks)
def test_a_restart_changes_no_fingerprint(written: list[Changes]) -> None:
    backend = MemoryStore({})
    storage = stored(written, backend)
    heights = range(1, len(written) + 1)

    again = Storage.over(backend)

    assert [again.roots_at(each)[1] for each in heights] == [
        storage.roots_at(each)[1] for each in heights
    ]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_every_backend_gives_the_same_fingerprints(tmp_path: Path, backend: str) -> None:
    expected = stored(WRITTEN, MemoryStore({}))
    with closing(Storage.open(tmp_path, backend)) as storage:
        for height, changes in enumerate(WRITTEN, 1):
            storage.commit(storage.stage(height, changes))
    with closing(Storage.open(tmp_path, backend)) as again:
        found = [again.roots_at(height) for height in range(1, 6)]

    assert found == [expected.roots_at(height) for height in range(1, 6)]


def test_a_block_staged_twice_counts_once() -> None:
    storage = stored(WRITTEN[:1], MemoryStore({}))
    storage.stage(2, {ONE: b"other"})
    storage.commit(storage.stage(2, {ONE: b"2"}))

    assert storage.roots_at(2)[1] == recomputed(storage, 2)


def test_a_genesis_state_counts_with_the_first_block() -> None:
    storage = Storage.over(MemoryStore({}))
    storage.stage(0, {ONE: b"1"})
    storage.commit(storage.stage(7, {ONE: b"1", TWO: b"1"}))

    assert storage.roots_at(7)[1] == recomputed(storage, 7)


def test_fingerprints_outlive_the_states_they_are_of() -> None:
    storage = stored([{ONE: b"%d" % number} for number in range(30)], MemoryStore({}), keep=3)
    expected = compute([(ONE, b"4")])

    assert storage.oldest == 28
    assert storage.roots_at(5)[1].modules == listed(expected)


@pytest.mark.parametrize("height", [-1, 6])
def test_a_height_beyond_what_is_kept_is_refused(height: int) -> None:
    storage = stored(WRITTEN, MemoryStore({}))

    with pytest.raises(HeightUnavailable, match="only 1 to 5 are"):
        storage.roots_at(height)


def forget(backend: MemoryStore) -> None:
    backend.write([(b"r", None)])


def spoil(backend: MemoryStore) -> None:
    backend.write([(b"r", b"\xc1")])


def leave_behind(backend: MemoryStore) -> None:
    """What a program that knows no fingerprints leaves: state moved on, they did not."""
    before = {key: value for key, value in backend.held.items() if key.startswith(b"r")}
    storage = Storage.over(backend)
    storage.commit(storage.stage(6, {ONE: b"later"}))
    stale = [(key, None) for key in backend.held if key.startswith(b"r")]
    backend.write([*stale, *before.items()])


@pytest.mark.parametrize("fault", [forget, spoil, leave_behind])
def test_fingerprints_that_cannot_be_of_the_state_are_made_anew(
    fault: Callable[[MemoryStore], None],
) -> None:
    backend = MemoryStore({})
    stored(WRITTEN, backend)
    fault(backend)

    storage = Storage.over(backend)

    assert storage.roots_at(storage.height)[1] == recomputed(storage, storage.height)
    with pytest.raises(HeightUnavailable):
        storage.roots_at(storage.height - 1)


def test_fingerprints_made_anew_have_a_history_from_there_on() -> None:
    backend = MemoryStore({})
    stored(WRITTEN, backend)
    forget(backend)
    storage = Storage.over(backend)

    storage.commit(storage.stage(6, {ONE: b"6"}))
    again = Storage.over(backend)

    assert [again.roots_at(height)[1] for height in (5, 6)] == [
        recomputed(again, height) for height in (5, 6)
    ]


def test_a_damaged_record_is_told() -> None:
    backend = MemoryStore({})
    stored(WRITTEN, backend)
    backend.write([(b"r" + (3).to_bytes(8, "big"), b"\xc1")])

    with pytest.raises(StoreDamaged, match="fingerprints of height 2"):
        Storage.over(backend).roots_at(2)


def test_records_of_heights_that_nobody_may_ask_for_are_removed() -> None:
    backend = MemoryStore({})
    recorded = Recorded(1, Roots(bytes(32), ()))
    for height in range(1, KEEP + 20):
        after = Recorded(1, Roots(height.to_bytes(32, "big"), ()))
        changed = list(writes(backend, height, recorded, after))
        backend.held.update({key: value for key, value in changed if value is not None})
        [backend.held.pop(key) for key, value in changed if value is None]
        recorded = after
    latest = KEEP + 19

    assert len(backend.held) == KEEP
    assert load(backend, latest, recorded.latest.app_hash) == recorded
    oldest = find(MemoryStore(backend.held), recorded, recorded.oldest(latest))
    assert oldest.app_hash == recorded.oldest(latest).to_bytes(32, "big")
