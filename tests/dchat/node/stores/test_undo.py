from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dchat.node.stores import undo
from tests.fakes.memory_store import MemoryStore

names = st.binary(min_size=1, max_size=4)
records = st.dictionaries(names, st.none() | st.binary(max_size=8000), max_size=12)


def logged(*blocks: dict[bytes, bytes | None]) -> MemoryStore:
    """A store with the records of heights 1, 2, ..."""
    store = MemoryStore({})
    for height, replaced in enumerate(blocks, 1):
        store.write(undo.record(height, replaced))
    return store


@given(records, names)
def test_a_record_gives_back_what_was_replaced_and_nothing_else(
    replaced: dict[bytes, bytes | None], stranger: bytes
) -> None:
    store = logged(replaced)

    found = {name: undo.find(store, 1, name) for name in {*replaced, stranger}}

    expected = {name: (name, replaced[name]) for name in replaced}
    assert found == {stranger: None} | expected


@given(records, names, names)
def test_a_range_of_a_record_is_read_in_order(
    replaced: dict[bytes, bytes | None], start: bytes, stop: bytes
) -> None:
    found = list(undo.between(logged(replaced), 1, start, stop))

    assert found == sorted((name, replaced[name]) for name in replaced if start <= name < stop)


def test_records_of_other_heights_are_not_seen() -> None:
    store = logged({b"a": b"1"}, {b"b": b"2"}, {b"c": None})

    assert [undo.find(store, 2, name) for name in (b"a", b"b", b"c")] == [None, (b"b", b"2"), None]


def test_a_large_record_is_cut_into_chunks() -> None:
    store = logged({b"%d" % number: bytes(1000) for number in range(100)})

    sizes = [len(chunk) for chunk in store.held.values()]

    assert (len(sizes) > 5, max(sizes) < 2 * undo.CHUNK_BYTES) == (True, True)


def test_the_keys_of_a_height_are_those_of_its_chunks() -> None:
    store = logged({b"a": b"1"}, {b"%d" % number: bytes(1000) for number in range(40)})

    keys = list(undo.keys_of(store, 2))

    assert keys == [key for key in sorted(store.held) if key != undo.height_key(1) + b"a"]


def test_an_empty_record_takes_no_space() -> None:
    assert logged({}).held == {}
