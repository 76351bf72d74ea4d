"""The entries of listings one after the other, whoever gives their pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from dchat.kernel.queries import (
    MAX_EMPTY_PAGES,
    MAX_PAGE_ENTRIES,
    BadQuery,
    Entry,
    Listing,
    Page,
)


class Cursor:
    """Goes through listings a page at a time."""

    def __init__(
        self,
        ask: Callable[[Listing], Awaitable[Page]],
        listings: Sequence[Listing],
        limit: int = MAX_PAGE_ENTRIES,
    ) -> None:
        """Ask for pages of at most limit entries; what `ask` returns has passed check_page()."""
        self._ask = ask
        self._left = list(listings)
        self._limit = limit
        self._empty = 0
        self._entries: Iterator[Entry] = iter(())

    async def next(self) -> Entry | None:
        """Return the next entry, None behind the last. Raises: BadQuery, and as the asking does."""
        while True:
            entry = next(self._entries, None)
            if entry is not None or not self._left:
                return entry
            await self._turn()

    async def _turn(self) -> None:
        listing = replace(self._left.pop(0), limit=min(self._limit, MAX_PAGE_ENTRIES))
        page = await self._ask(listing)
        self._empty = 0 if page.entries else self._empty + 1
        if self._empty > MAX_EMPTY_PAGES:
            raise BadQuery(f"{MAX_EMPTY_PAGES} pages without an entry")
        self._entries = iter(page.entries)
        if page.next_after:
            self._left.insert(0, replace(listing, after=page.next_after))
