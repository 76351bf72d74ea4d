"""Questions to a chain: pages of its key space, the paths that both chains have, refusal codes.

A page is asked for with `[prefix, after, limit]` and answered with `[[[key, value], …], more]`: the
entries whose keys begin with prefix and lie behind the key `after`, at most `limit` of them. The
last key of a page is the next one's `after`, so a listing goes on wherever it was cut off, also
where that key has gone meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Protocol

from dchat.kernel import codec, params
from dchat.kernel.machine import Query
from dchat.kernel.store import State

MAX_KEY_BYTES: Final = 1024
MAX_PAGE_ENTRIES: Final = 100
MAX_PAGE_BYTES: Final = 256 * 1024
"""Of keys and values together; an entry that is larger has a page of its own."""


class QueryCode(IntEnum):
    """Why a query has no answer; frozen like the codes of transactions, 900 to 999 are ours."""

    UNKNOWN_PATH = 900
    HEIGHT_UNAVAILABLE = 901
    BAD_DATA = 902
    NO_PROOF = 903
    NOT_SERVED = 904


class BadQuery(codec.CodecError):
    """The query's data is not what its path expects."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which entries are wanted: under prefix, behind the key `after`, at most limit of them."""

    prefix: bytes
    after: bytes = b""
    limit: int = MAX_PAGE_ENTRIES


@dataclass(frozen=True, slots=True)
class Entry:
    """One key and what is there."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in ascending order of key; `more` says that others follow."""

    entries: tuple[Entry, ...]
    more: bool


LISTING: Final = codec.Record(
    Listing,
    prefix=codec.Blob(MAX_KEY_BYTES),
    after=codec.Blob(MAX_KEY_BYTES),
    limit=codec.U64,
)
_ENTRY: Final = codec.Record(
    Entry, key=codec.Blob(MAX_KEY_BYTES), value=codec.Blob(codec.MAX_BYTES)
)
PAGE: Final = codec.Record(Page, entries=codec.ListOf(_ENTRY, MAX_PAGE_ENTRIES), more=codec.Bool)


class Ordered(Protocol):
    """A state whose entries can be read on from any key."""

    def scan_after(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries under prefix behind the key after, in ascending order of key."""
        ...


def page(state: Ordered, listing: Listing) -> Page:
    """Return the next page of a listing, never empty while there is more.

    It ends at the limit, at MAX_PAGE_ENTRIES or before MAX_PAGE_BYTES, whatever comes first.
    Raises: BadQuery for a limit of 0.
    """
    if not listing.limit:
        raise BadQuery("a page has at least 1 entry")
    most = min(listing.limit, MAX_PAGE_ENTRIES)
    found: list[Entry] = []
    room = MAX_PAGE_BYTES
    for key, value in state.scan_after(listing.prefix, listing.after):
        room -= len(key) + len(value)
        if len(found) == most or (found and room < 0):
            return Page(tuple(found), more=True)
        found.append(Entry(key, value))
    return Page(tuple(found), more=False)


def check_page(listing: Listing, page: Page) -> None:
    """Return if the page is one that answers the listing. Raises: BadQuery.

    That nothing was left out cannot be told: keys are hashed, so a range of them has no proof.
    """
    if len(page.entries) > listing.limit or (page.more and not page.entries):
        raise BadQuery(f"{len(page.entries)} entries, asked for 1 to {listing.limit}")
    before = listing.after
    for entry in page.entries:
        if not entry.key.startswith(listing.prefix) or entry.key <= before:
            raise BadQuery("entries out of order or out of range")
        before = entry.key


def _params(state: State, data: bytes) -> bytes:
    if data:
        raise BadQuery("/params takes no data")
    return params.SHAPE.encode(params.load(state))


PATHS: Final[Mapping[str, Query]] = MappingProxyType({"/params": _params})
"""The read-only paths that both chains answer besides the node's own; without proof."""
