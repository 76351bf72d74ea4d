from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping
from itertools import islice

import pytest

from dchat.kernel.merkle.proof import verify
from dchat.kernel.merkle.tree import update
from dchat.node.stores import undo
from dchat.node.stores.backend import StoreDamaged
from dchat.node.stores.view import VALUE, StateView, stamp_of
from tests.fakes.memory_store import MemoryReader, MemoryStore

Entries = dict[bytes, bytes | None]


class Counting(MemoryReader):
    """Counts what is read of it."""

    count = 0

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for entry in super().entries(start, stop, reverse=reverse):
            self.count += 1
            yield entry


BEFORE: Entries = {b"a": b"1", b"b": b"1", b"c": b"1"}
CHANGE: Entries = {b"a": None, b"bb": b"2", b"c": b"3"}


def named(height: int, entries: Mapping[bytes, bytes | None]) -> Entries:
    stamp = stamp_of(height)
    return {VALUE + key: None if it is None else stamp + it for key, it in entries.items()}


def two_blocks() -> MemoryStore:
    """A store with BEFORE at height 1 and CHANGE at height 2."""
    first = update({}, BEFORE, stamp_of(1))
    pages = {key: page for key, page in first.pages.items() if page is not None}
    second = update(pages, CHANGE, stamp_of(2))
    store = MemoryStore({})
    store.write({**named(1, BEFORE), **first.pages}.items())
    store.write({**named(2, CHANGE), **second.pages}.items())
    old = {key: BEFORE.get(key) for key in CHANGE}
    store.write(undo.record(2, {**named(1, old), **second.undo}))
    return store


def test_the_latest_state_is_what_the_store_holds() -> None:
    view = StateView(two_blocks(), 2, 2)

    assert (list(view.scan(b"")), view.get(b"a")) == (
        [(b"b", b"1"), (b"bb", b"2"), (b"c", b"3")],
        None,
    )


def test_an_older_state_has_the_undo_log_laid_over_it() -> None:
    view = StateView(two_blocks(), 1, 2)

    assert (list(view.scan(b"")), view.get(b"a")) == (
        [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")],
        b"1",
    )


def test_an_older_state_has_its_own_root_and_proofs() -> None:
    view = StateView(two_blocks(), 1, 2)

    verify(view.app_hash, b"bb", None, view.prove(b"bb"))

    assert view.app_hash == update({}, BEFORE).root


def test_a_scan_under_a_prefix_leaves_out_the_rest() -> None:
    view = StateView(two_blocks(), 2, 2)

    assert [key for key, _ in view.scan(b"b")] == [b"b", b"bb"]


def walked(view: StateView, after: bytes) -> list[tuple[bytes, bytes | None]]:
    return [entry for entry in view.walk(b"", after) if entry[1] is not None]


def test_a_walk_from_a_key_on_goes_on_behind_it_also_where_it_has_gone() -> None:
    older, newer = StateView(two_blocks(), 1, 2), StateView(two_blocks(), 2, 2)

    assert [
        (after, walked(view, after) == [e for e in view.scan(b"") if e[0] > after])
        for view in (older, newer)
        for after in (b"", b"a", b"aa", b"b", b"bb", b"c", b"zz")
    ] == [(after, True) for after in (b"", b"a", b"aa", b"b", b"bb", b"c", b"zz")] * 2


def test_a_walk_from_a_key_outside_the_prefix_stays_inside() -> None:
    view = StateView(two_blocks(), 2, 2)

    assert list(view.walk(b"b", b"a")) == list(view.scan(b"b"))
    assert not list(view.walk(b"b", b"c"))


def test_a_walk_names_the_keys_that_only_later_blocks_have() -> None:
    view = StateView(two_blocks(), 1, 2)

    assert list(view.walk(b"", b"a")) == [(b"b", b"1"), (b"bb", None), (b"c", b"1")]


def test_a_walk_reads_no_more_than_is_taken_of_it() -> None:
    names = [b"%04d" % number for number in range(3000)]
    store = MemoryStore({})
    store.write((VALUE + name, stamp_of(2) + b"2") for name in names)
    store.write(undo.record(2, {VALUE + name: stamp_of(1) + b"1" for name in names}))
    reader = Counting(store.held)

    taken = list(islice(StateView(reader, 1, 2).walk(b"", b""), 10))

    assert taken == [(name, b"1") for name in names[:10]]
    assert reader.count < 20


def test_a_view_lets_go_of_its_version_with_its_last_reference() -> None:
    reader = MemoryReader({})
    gone = weakref.ref(reader)
    view = StateView(reader, 1, 1)
    view.prove(b"a")

    gc.disable()
    del reader, view
    found = gone()
    gc.enable()

    assert found is None


def test_a_log_with_a_hole_is_found_out() -> None:
    store = two_blocks()
    store.write([(key, None) for key in undo.keys_of(store, 2)])

    with pytest.raises(StoreDamaged, match="undo log lacks"):
        StateView(store, 1, 2).get(b"c")
