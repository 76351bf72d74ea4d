"""Expiry: the family that takes posts away which a channel keeps no longer, whoever sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.state import channels, posts
from abci_chat.state.channels import UnknownChannel
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import Cost
from dchat.kernel.store import Draft


class KeptForEver(TxRejected):
    """The channel's policy lets no post expire."""

    code = 296


@dataclass(frozen=True, slots=True)
class ExpirePosts:
    """Take away the oldest records of a channel's posts."""

    channel: bytes
    firsts: tuple[int, ...]
    """The number of the first post of each, the oldest first: what is paid for, and no other."""


@dataclass(frozen=True, slots=True)
class PostsExpired(Event):
    """Posts are gone, and the tombstone covers them."""

    channel: bytes
    kept_from: int
    """The oldest that is still there."""
    tombstone: bytes


def check(tx: ExpirePosts) -> None:
    """Apply the rules that need no state. Raises: NotTheOldest."""
    if not tx.firsts:
        raise posts.NotTheOldest(0, posts.FIRST)


def apply(draft: Draft, tx: ExpirePosts, ctx: TxContext) -> tuple[Event, ...]:
    """Leave a tombstone in place of the records; of a closed channel, too.

    Raises: UnknownChannel, KeptForEver, NotTheOldest, NotExpired.
    """
    channel = channels.load(draft, tx.channel)
    if channel is None:
        raise UnknownChannel("no channel has this id")
    retention_ms = channel.policy.retention_ms
    if not retention_ms:
        raise KeptForEver("the channel keeps its posts for ever")
    left = posts.expire(draft, tx.channel, tx.firsts, ctx.block_time_ms, retention_ms)
    return (PostsExpired(tx.channel, left.kept_from, left.tombstone),)


FAMILY: Final = Family(
    type=43,
    name="expire_posts",
    shape=codec.Record(
        ExpirePosts,
        channel=channels.CHANNEL_ID,
        firsts=codec.ListOf(codec.U64, posts.MAX_EXPIRED),
    ),
    cost=Cost(70),
    cost_per_entry=Cost(70),
    check=check,
    apply=apply,
)
