"""Posts of channels: their order and time for good, their contents nowhere.

    ("sequence", channel)     [next, kept_from, expired_records, tombstone]
    ("post", channel, first)  [count, parts, root, at, height, epoch]
    ("author", channel, who)  [counter, last_at]

A record holds the posts first … first + count - 1 under one root, see post_proofs.py; the next one
begins right behind it. So the numbers have no gap, and whoever walks from `kept_from` to `next`
has seen all that is there, by the proofs of single keys. What expired is gone from the front; the
tombstone is a running hash over all of it, so that a lost record is known again by who kept it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from abci_chat import keys
from abci_chat.state import post_proofs
from abci_chat.state.post_proofs import Part
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft, State, read

FIRST: Final = 1
"""The number of a channel's first post."""
MAX_POSTS: Final = 1024
"""In one record; whoever looks for a post goes back so far at most."""
MAX_PARTS: Final = 64
MAX_EXPIRED: Final = 100
"""Records that one transaction takes away."""
HASH: Final = codec.Fixed(32)
NO_TOMBSTONE: Final = bytes(32)
_TOMBSTONE_TAG: Final = b"dchat/post-tombstone/v1"
_NEVER: Final = EpochMs(0)


class NotTheOldest(TxRejected):
    """Records expire in their order. Attributes: have, need -- first numbers."""

    code = 294

    def __init__(self, have: int, need: int) -> None:
        super().__init__(
            f"the record of post {have} is named, the oldest there is begins at {need}"
        )
        self.have = have
        self.need = need


class NotExpired(TxRejected):
    """The channel keeps its posts longer. Attributes: now, expires_at -- ms."""

    code = 295

    def __init__(self, now: int, expires_at: int) -> None:
        super().__init__(f"it is {now} ms, the record expires at {expires_at} ms")
        self.now = now
        self.expires_at = expires_at


@dataclass(frozen=True, slots=True)
class Sequence:
    """How far a channel's posts go, from where they are still there, and what there was before."""

    next: int = FIRST
    kept_from: int = FIRST
    """The oldest post that is still there, `next` where there is none."""
    expired_records: int = 0
    tombstone: bytes = NO_TOMBSTONE
    """Running hash over all records that expired, see buried()."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return SEQUENCE.encode(self)


@dataclass(frozen=True, slots=True)
class Batch:
    """Posts that one transaction brought."""

    count: int
    parts: int
    """Runs of posts, each of one author."""
    root: bytes
    """Over all parts, see post_proofs.py."""
    at: EpochMs
    """Block time, the same for all of them."""
    height: Height
    epoch: int
    """The channel's, when they came."""


@dataclass(frozen=True, slots=True)
class Author:
    """How much somebody has posted in a channel, and when last."""

    counter: int = 0
    """Posts so far: what the next one is signed with."""
    last_at: EpochMs = _NEVER


SEQUENCE: Final = codec.Record(
    Sequence,
    next=codec.U64,
    kept_from=codec.U64,
    expired_records=codec.U64,
    tombstone=HASH,
)
BATCH: Final = codec.Record(
    Batch,
    count=codec.U64,
    parts=codec.U64,
    root=HASH,
    at=codec.U64,
    height=codec.U64,
    epoch=codec.U64,
)
AUTHOR: Final = codec.Record(Author, counter=codec.U64, last_at=codec.U64)


def sequence(state: State, channel_id: bytes) -> Sequence:
    """Return how far a channel's posts go; from the start where there are none."""
    return read(state, keys.sequence(channel_id), SEQUENCE) or Sequence()


def batch(state: State, channel_id: bytes, first: int) -> Batch | None:
    """Return the record that begins with that number, None where none does or it expired."""
    return read(state, keys.post(channel_id, first), BATCH)


def author(state: State, channel_id: bytes, who: bytes) -> Author:
    """Return how much somebody has posted."""
    return read(state, keys.author(channel_id, who), AUTHOR) or Author()


def append(
    draft: Draft, channel_id: bytes, parts: tuple[Part, ...], at: EpochMs, where: tuple[Height, int]
) -> tuple[int, Batch]:
    """Give the posts of these parts the channel's next numbers; return the first, and the record.

    where: the block's height, and the channel's epoch.
    """
    held = sequence(draft, channel_id)
    count = sum(part.count for part in parts)
    record = Batch(count, len(parts), post_proofs.root_of(parts), at, *where)
    draft.put(keys.post(channel_id, held.next), BATCH.encode(record))
    draft.put(keys.sequence(channel_id), replace(held, next=held.next + count))
    return held.next, record


def count_on(draft: Draft, channel_id: bytes, who: bytes, count: int, at: EpochMs) -> None:
    """Let an author have posted so many more."""
    counted = author(draft, channel_id, who).counter + count
    draft.put(keys.author(channel_id, who), AUTHOR.encode(Author(counted, at)))


def expire(
    draft: Draft, channel_id: bytes, firsts: tuple[int, ...], now: EpochMs, retention_ms: int
) -> Sequence:
    """Take the records away that begin so, the oldest first; return what is left.

    Raises: NotTheOldest, NotExpired.
    """
    held = sequence(draft, channel_id)
    for first in firsts:
        record = batch(draft, channel_id, first) if first == held.kept_from else None
        if record is None:
            raise NotTheOldest(first, held.kept_from)
        if record.at + retention_ms > now:
            raise NotExpired(now, record.at + retention_ms)
        draft.delete(keys.post(channel_id, first))
        held = _without(held, record)
    draft.put(keys.sequence(channel_id), held)
    return held


def _without(held: Sequence, oldest: Batch) -> Sequence:
    return replace(
        held,
        kept_from=held.kept_from + oldest.count,
        expired_records=held.expired_records + 1,
        tombstone=buried(held.tombstone, held.kept_from, oldest),
    )


def buried(tombstone: bytes, first: int, record: Batch) -> bytes:
    """Return the tombstone over all that it covers and this record, which is the next."""
    return sha256(_TOMBSTONE_TAG + tombstone + codec.pack((first,)) + BATCH.encode(record)).digest()
