"""Questions to a chain: pages of its key space, the paths that both chains have, refusal codes.

A page is asked for with `[prefix, after, limit]` and answered with `[[[key, value], …],
next_after]`: the entries whose keys begin with prefix and lie behind the key `after`, at most
`limit` of them, and the next page's `after`, empty where nothing follows. A listing goes on
wherever it was cut off, also where that key has gone meanwhile.
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
MAX_PASSED_KEYS: Final = 2_000
"""Keys that a page looks at: at an old height most of them can be newer, and nobody pays for it."""
MAX_EMPTY_PAGES: Final = 1_000
"""In a row; more are a node that keeps its asker busy."""


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
    """Entries in ascending order of key, and the key behind which others may follow, or b""."""

    entries: tuple[Entry, ...]
    next_after: bytes


LISTING: Final = codec.Record(
    Listing,
    prefix=codec.Blob(MAX_KEY_BYTES),
    after=codec.Blob(MAX_KEY_BYTES),
    limit=codec.U64,
)
_ENTRY: Final = codec.Record(
    Entry, key=codec.Blob(MAX_KEY_BYTES), value=codec.Blob(codec.MAX_BYTES)
)
PAGE: Final = codec.Record(
    Page, entries=codec.ListOf(_ENTRY, MAX_PAGE_ENTRIES), next_after=codec.Blob(MAX_KEY_BYTES)
)


class Ordered(Protocol):
    """A state whose entries can be read on from any key."""

    def walk(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the keys under prefix behind the key `after`, ascending, None for no value."""
        ...


def page(state: Ordered, listing: Listing) -> Page:
    """Return the next page of a listing; it can be empty while others follow.

    It ends at the limit, at MAX_PAGE_ENTRIES, before MAX_PAGE_BYTES, or behind MAX_PASSED_KEYS
    keys, whatever comes first. Raises: BadQuery for a limit of 0.
    """
    if not listing.limit:
        raise BadQuery("a page has at least 1 entry")
    most = min(listing.limit, MAX_PAGE_ENTRIES)
    found: list[Entry] = []
    room, last = MAX_PAGE_BYTES, b""
    for passed, (key, value) in enumerate(state.walk(listing.prefix, listing.after)):
        entry = None if value is None else Entry(key, value)
        room -= len(key) + len(entry.value) if entry else 0
        if len(found) == most or passed == MAX_PASSED_KEYS or (found and room < 0):
            return Page(tuple(found), last)
        found += [entry] if entry else []
        last = key
    return Page(tuple(found), b"")


def check_page(listing: Listing, page: Page) -> None:
    """Return if the page is one that answers the listing. Raises: BadQuery.

    That nothing was left out cannot be told: keys are hashed, so a range of them has no proof.
    """
    if len(page.entries) > listing.limit:
        raise BadQuery(f"{len(page.entries)} entries, asked for 1 to {listing.limit}")
    before = listing.after
    for entry in page.entries:
        if not entry.key.startswith(listing.prefix) or entry.key <= before:
            raise BadQuery("entries out of order or out of range")
        before = entry.key
    if page.next_after and (page.next_after < before or page.next_after <= listing.after):
        raise BadQuery("a page that does not lead on")


def _params(state: State, data: bytes) -> bytes:
    if data:
        raise BadQuery("/params takes no data")
    return params.SHAPE.encode(params.load(state))


PATHS: Final[Mapping[str, Query]] = MappingProxyType({"/params": _params})
"""The read-only paths that both chains answer besides the node's own; without proof."""
