from __future__ import annotations

from dchat.kernel.merkle.proof import verify
from dchat.kernel.merkle.tree import update
from dchat.node.stores import undo
from dchat.node.stores.view import PAGE, VALUE, StateView
from tests.fakes.memory_store import MemoryStore

BEFORE: dict[bytes, bytes | None] = {b"a": b"1", b"b": b"1", b"c": b"1"}
CHANGE: dict[bytes, bytes | None] = {b"a": None, b"bb": b"2", b"c": b"3"}


def named(head: bytes, written: dict[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    return {head + key: value for key, value in written.items()}


def two_blocks() -> MemoryStore:
    """A store with BEFORE at height 1 and CHANGE at height 2."""
    first = update({}, BEFORE)
    pages = {key: page for key, page in first.pages.items() if page is not None}
    second = update(pages, CHANGE)
    store = MemoryStore({})
    store.write((named(VALUE, BEFORE) | named(PAGE, dict(first.pages))).items())
    store.write((named(VALUE, CHANGE) | named(PAGE, dict(second.pages))).items())
    old = {key: BEFORE.get(key) for key in CHANGE}
    store.write(undo.record(2, named(VALUE, old) | named(PAGE, dict(second.undo))))
    return store


def test_the_latest_state_is_what_the_store_holds() -> None:
    view = StateView(two_blocks(), 2, ())

    assert (list(view.scan(b"")), view.get(b"a")) == (
        [(b"b", b"1"), (b"bb", b"2"), (b"c", b"3")],
        None,
    )


def test_an_older_state_has_the_undo_log_laid_over_it() -> None:
    view = StateView(two_blocks(), 1, (2,))

    assert (list(view.scan(b"")), view.get(b"a")) == (
        [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")],
        b"1",
    )


def test_an_older_state_has_its_own_root_and_proofs() -> None:
    view = StateView(two_blocks(), 1, (2,))

    verify(view.app_hash, b"bb", None, view.prove(b"bb"))

    assert view.app_hash == update({}, BEFORE).root


def test_a_scan_under_a_prefix_leaves_out_the_rest() -> None:
    view = StateView(two_blocks(), 2, ())

    assert [key for key, _ in view.scan(b"b")] == [b"b", b"bb"]
