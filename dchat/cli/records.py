"""Listings of one kind of record: by key, each with its proof, and whether any was left out.

The tree orders keys by their hashes, so a listing is never proved to be whole by itself. Where a
total is proved that the records must add up to, and they do, it is whole all the same: amounts are
never negative, so who leaves one out that is not 0 cannot reach the total.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Generic, TypeVar

import typer

from dchat.cli.asking import Fields, NotThere, Source
from dchat.cli.cursor import Cursor
from dchat.kernel import accounts, codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId
from dchat.kernel.queries import Entry, Listing
from dchat.node.rpc import ChainUnavailable

MAX_LISTED: Final = 10_000
DEFAULT_LISTED: Final = 20

After = Annotated[
    str, typer.Option(metavar="KEY", help="Go on behind this key: `next_after` of the last page.")
]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="Entries to show at most.")]

Owner = Annotated[
    str, typer.Argument(metavar="[ACCOUNT]", help="Whose; everybody's when absent. dchat1….")
]

T = TypeVar("T")


class BadKey(OperatorError):
    """The text is no key of the listing."""

    exit_code = 2
    hint = "a key is the `next_after` of a page before"


class LeftOut(ChainUnavailable):
    """What a node lists falls short of the total that is proved."""

    hint = "ask another node with --rpc URL: this one leaves entries out"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Records of one shape under one prefix."""

    name: str
    """In plural, for messages."""
    prefix: bytes
    shape: codec.Shape[T]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a listing is wanted."""

    after: str = ""
    limit: int = MAX_LISTED


ALL: Final = Paging()


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Records in ascending order of key, and whether they are those from the first to the last."""

    kind: Kind[T]
    entries: tuple[tuple[bytes, T], ...]
    from_first: bool
    next_after: bytes | None

    @property
    def is_everything(self) -> bool:
        """Whether a node lists nothing before nor behind them."""
        return self.from_first and self.next_after is None

    def shown(self, row: Callable[[bytes, T], Fields]) -> Fields:
        """Return the rows under the kind's name, and where the next page begins."""
        rows = [row(key, record) for key, record in self.entries]
        return {self.kind.name: rows, "next_after": self.next_after}


async def collect(source: Source, listings: Sequence[Listing], count: int) -> list[Entry]:
    """Return the first entries of the listings, at most count. Raises: as Source.page()."""
    cursor = Cursor(source.page, listings, limit=count)
    found: list[Entry] = []
    while len(found) < count and (entry := await cursor.next()):
        found.append(entry)
    return found


async def list_records(source: Source, kind: Kind[T], paging: Paging = ALL) -> Listed[T]:
    """Return a page of records. Raises: NotThere where there are none, BadKey, CodecError."""
    behind = _key(kind, paging.after)
    entries = await collect(source, [Listing(kind.prefix, behind)], paging.limit + 1)
    if not entries:
        raise NotThere(f"the node lists no such {kind.name}")
    shown = entries[: paging.limit]
    return Listed(
        kind,
        tuple([(entry.key, kind.shape.decode(entry.value)) for entry in shown]),
        not behind,
        shown[-1].key if len(entries) > len(shown) else None,
    )


async def add_up(
    source: Source, listed: Listed[T], pool: AccountId, part: Callable[[T], int]
) -> None:
    """Have the records of a whole listing be what a pool's balance is made of.

    A listing that is not whole proves nothing. Raises: LeftOut.
    """
    if listed.is_everything:
        found = sum(part(entry) for _, entry in listed.entries)
        held = await balance_of(source, pool)
        must_equal(f"base units of the {listed.kind.name}", found, "the pool holds", held)
        source.is_whole = True


def must_equal(parts: str, found: int, whole: str, held: int) -> None:
    """Return if what was listed comes to what is proved. Raises: LeftOut."""
    if found != held:
        raise LeftOut(f"the {parts} add up to {found}, {whole} {held}")


async def balance_of(source: Source, account: AccountId) -> int:
    """Return what an account holds, in base units. Raises: as Source.value()."""
    record = await source.value(accounts.key(account))
    return accounts.decode(record).balance if record else 0


def _key(kind: Kind[T], text: str) -> bytes:
    try:
        behind = bytes.fromhex(text)
    except ValueError:
        behind = b"?"
    if behind and not behind.startswith(kind.prefix):
        raise BadKey(f"{text} is no key of the {kind.name} listed")
    return behind


def owned(kind: Kind[T], owner: str) -> Kind[T]:
    """Return those of a kind whose keys name an account first, all for "". Raises: BadAccount."""
    if not owner:
        return kind
    return replace(kind, prefix=kind.prefix + codec.pack(accounts.parse_account(owner)))


def account_at(key: bytes, at: int) -> str:
    """Return the account that stands at a place of a packed key, as people read it."""
    return accounts.show_account(AccountId(ACCOUNT_ID.lift(codec.unpack_array(key)[at])))
