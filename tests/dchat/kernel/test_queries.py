from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import params, queries
from dchat.kernel.queries import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ENTRIES,
    MAX_PASSED_KEYS,
    BadQuery,
    Entry,
    Listing,
    Page,
    check_page,
    page,
)
from tests.fakes.memory import MemoryState
from tests.fakes.node import Ledger


def pages(state: Ledger, prefix: bytes, limit: int) -> Iterator[Page]:
    """Every page of a listing, each asked for behind the key that the one before names."""
    found = page(state, Listing(prefix, limit=limit))
    yield found
    while found.next_after:
        found = page(state, Listing(prefix, found.next_after, limit))
        yield found


@given(
    st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(max_size=2), max_size=30),
    st.binary(max_size=1),
    st.integers(1, 9),
)
def test_all_pages_together_are_the_scan(
    state: dict[bytes, bytes], prefix: bytes, limit: int
) -> None:
    ledger = Ledger(state)

    found = list(pages(ledger, prefix, limit))

    assert [(e.key, e.value) for page in found for e in page.entries] == list(ledger.scan(prefix))
    assert {len(page.entries) for page in found[:-1]} <= {limit}
    assert found[-1].entries or len(found) == 1


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(max_size=2), max_size=30))
def test_every_page_passes_its_own_check(state: dict[bytes, bytes]) -> None:
    listing = Listing(b"", limit=7)

    check_page(listing, page(Ledger(state), listing))


def test_more_than_a_page_may_hold_is_cut_off() -> None:
    state = Ledger({b"%04d" % number: b"" for number in range(MAX_PAGE_ENTRIES + 1)})

    found = page(state, Listing(b"", limit=2**64 - 1))

    assert len(found.entries) == MAX_PAGE_ENTRIES
    assert found.next_after == found.entries[-1].key


def test_a_page_ends_before_it_is_too_large() -> None:
    state = Ledger(dict.fromkeys((b"a", b"b", b"c"), bytes(MAX_PAGE_BYTES // 2 - 1)))

    found = page(state, Listing(b""))

    assert ([entry.key for entry in found.entries], found.next_after) == ([b"a", b"b"], b"b")


def test_an_entry_larger_than_a_page_comes_alone() -> None:
    state = Ledger({b"a": bytes(MAX_PAGE_BYTES + 1), b"b": b""})

    found = page(state, Listing(b""))

    assert ([entry.key for entry in found.entries], found.next_after) == ([b"a"], b"a")


def test_a_listing_goes_on_behind_a_key_that_has_gone() -> None:
    state = Ledger({b"a": b"1", b"c": b"1"})

    assert page(state, Listing(b"", after=b"b")).entries == (Entry(b"c", b"1"),)


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(BadQuery, match="at least 1"):
        page(Ledger(), Listing(b"", limit=0))


A, B, C = (Entry(key, b"1") for key in (b"xa", b"xb", b"xc"))


@pytest.mark.parametrize(
    ("entries", "next_after"),
    [
        ((B, A), b""),
        ((A, A), b""),
        ((Entry(b"ya", b"1"),), b""),
        ((Entry(b"x", b"1"),), b""),
        ((A, B, C), b""),
        ((), b"x"),
        ((), b"a"),
        ((A, B), b"xa"),
    ],
    ids=["order", "twice", "elsewhere", "before", "too many", "on the spot", "back", "again"],
)
def test_a_page_that_answers_another_question_is_refused(
    entries: tuple[Entry, ...], next_after: bytes
) -> None:
    with pytest.raises(BadQuery):
        check_page(Listing(b"x", b"x", 2), Page(entries, next_after))


class Grown(Ledger):
    """A state under which newer blocks have put a crowd of keys; the oldest entry lies behind."""

    def walk(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        newer = ((b"%06d" % number, None) for number in range(2 * MAX_PASSED_KEYS))
        entries = (*newer, (b"old", b"1"))
        return (entry for entry in entries if entry[0] > after)


def test_a_page_among_newer_keys_ends_early_and_leads_on() -> None:
    listing = Listing(b"")

    first, second, third = pages(Grown(), b"", 100)

    assert first == Page((), b"%06d" % (MAX_PASSED_KEYS - 1))
    assert second == Page((), b"%06d" % (2 * MAX_PASSED_KEYS - 1))
    assert third == Page((Entry(b"old", b"1"),), b"")
    check_page(listing, first)


def test_params_answers_the_parameters_in_force() -> None:
    answer = queries.PATHS["/params"](MemoryState(), b"")

    assert params.SHAPE.decode(answer) == params.DEFAULT


def test_data_where_none_belongs_is_refused() -> None:
    with pytest.raises(BadQuery):
        queries.PATHS["/params"](MemoryState(), b"x")
