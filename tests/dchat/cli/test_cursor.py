"""Listings read to their end, from nodes that want it to have none."""

from __future__ import annotations

import pytest
import trio

from dchat.cli.cursor import Cursor
from dchat.kernel.queries import MAX_EMPTY_PAGES, BadQuery, Entry, Listing, Page, page
from tests.fakes.node import Ledger

STATE = Ledger({b"a1": b"1", b"a2": b"1", b"a3": b"1", b"b1": b"1"})


async def collected(cursor: Cursor) -> list[bytes]:
    found: list[bytes] = []
    while entry := await cursor.next():
        found.append(entry.key)
    return found


async def honest(listing: Listing) -> Page:
    await trio.lowlevel.checkpoint()
    return page(STATE, listing)


async def never_there(listing: Listing) -> Page:
    await trio.lowlevel.checkpoint()
    number = int(listing.after or b"0") + 1
    return Page((), b"%09d" % number)


async def late(listing: Listing) -> Page:
    found = await never_there(listing)
    return Page((Entry(b"x", b"1"),), b"") if int(found.next_after) > MAX_EMPTY_PAGES else found


def test_listings_are_read_one_after_the_other_whatever_a_page_holds() -> None:
    listings = [Listing(b"a"), Listing(b"b")]

    assert trio.run(collected, Cursor(honest, listings, limit=2)) == [b"a1", b"a2", b"a3", b"b1"]


def test_a_node_that_leads_on_and_on_is_left() -> None:
    with pytest.raises(BadQuery, match="1000 pages without an entry"):
        trio.run(collected, Cursor(never_there, [Listing(b"")]))


def test_empty_pages_may_stand_before_an_entry() -> None:
    assert trio.run(collected, Cursor(late, [Listing(b"")])) == [b"x"]
