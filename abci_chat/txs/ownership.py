"""Owners: families that hand a channel over, and let a successor take what its owner left behind.

The deposit goes with the channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.params import CHANNELS
from abci_chat.state import channels, epochs, identities, members
from abci_chat.state.channels import NOBODY, Channel, Role
from abci_chat.state.members import Member
from abci_chat.txs.member import Banned
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID_BYTES
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.store import Draft, State


class NotOffered(TxRejected):
    """The channel was not offered to the sender, or no longer."""

    code = 272


class NotSuccessor(TxRejected):
    """The sender is not whom the owner named as successor."""

    code = 273


class OwnerStillActs(TxRejected):
    """The owner has not been away for long enough. Attribute: until -- ms."""

    code = 274

    def __init__(self, until: int) -> None:
        super().__init__(f"the owner acted of late; if not again, it can be taken at {until} ms")
        self.until = until


class BadHeir(TxRejected):
    """A channel is offered or left to one account that is not its owner, or to nobody."""

    code = 277


@dataclass(frozen=True, slots=True)
class OfferChannel:
    """Let somebody take a channel of the sender's, in place of who could before."""

    channel: bytes
    to: AccountId
    """Empty to take an offer back."""


@dataclass(frozen=True, slots=True)
class AcceptChannel:
    """Take a channel that was offered to the sender."""

    channel: bytes


@dataclass(frozen=True, slots=True)
class NameSuccessor:
    """Let somebody take a channel of the sender's once the sender is gone."""

    channel: bytes
    successor: AccountId
    """Empty for nobody."""


@dataclass(frozen=True, slots=True)
class SucceedChannel:
    """Take a channel whose owner is gone and named the sender."""

    channel: bytes


@dataclass(frozen=True, slots=True)
class ChannelOffered(Event):
    """Somebody may take a channel."""

    channel: bytes
    to: AccountId


@dataclass(frozen=True, slots=True)
class SuccessorNamed(Event):
    """Somebody may take a channel once its owner is gone."""

    channel: bytes
    successor: AccountId


@dataclass(frozen=True, slots=True)
class OwnerChanged(Event):
    """A channel belongs to somebody else."""

    channel: bytes
    before: AccountId
    owner: AccountId


def check_offer(tx: OfferChannel) -> None:
    """Apply the rules that need no state. Raises: BadHeir."""
    _check_heir(tx.to)


def check_successor(tx: NameSuccessor) -> None:
    """Apply the rules that need no state. Raises: BadHeir."""
    _check_heir(tx.successor)


def check_taking(tx: AcceptChannel | SucceedChannel) -> None:
    """Accept every id: only the state knows what it stands for."""


def _check_heir(heir: AccountId) -> None:
    if heir and len(heir) != ACCOUNT_ID_BYTES:
        raise BadHeir(f"an account of {len(heir)} bytes")


def offer(draft: Draft, tx: OfferChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Let somebody accept the channel. Raises: BadHeir, as members.act()."""
    record = _own(draft, tx.channel, ctx, tx.to)
    channels.save(draft, tx.channel, replace(record, offered_to=tx.to))
    return (ChannelOffered(tx.channel, tx.to),)


def name_successor(draft: Draft, tx: NameSuccessor, ctx: TxContext) -> tuple[Event, ...]:
    """Let somebody succeed. Raises: BadHeir, as members.act()."""
    record = _own(draft, tx.channel, ctx, tx.successor)
    channels.save(draft, tx.channel, replace(record, successor=tx.successor))
    return (SuccessorNamed(tx.channel, tx.successor),)


def _own(draft: Draft, channel_id: bytes, ctx: TxContext, heir: AccountId) -> Channel:
    members.act(draft, channel_id, ctx, Role.OWNER)
    if heir == ctx.sender:
        raise BadHeir("the sender owns the channel")
    return channels.open_channel(draft, channel_id)


def accept(draft: Draft, tx: AcceptChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Make the sender owner, and the owner before a moderator.

    Raises: UnknownChannel, ChannelClosed, NotOffered, Banned, NotRegistered, Deactivated.
    """
    record = channels.open_channel(draft, tx.channel)
    if record.offered_to != ctx.sender:
        raise NotOffered("the channel was not offered to the sender")
    _check_not_banned(draft, tx.channel, Role.MODERATOR, ctx)
    return _hand_over(draft, tx.channel, record, Role.MODERATOR, ctx)


def succeed(draft: Draft, tx: SucceedChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Make the sender owner, and the owner before a member, if it still is somebody.

    Raises: UnknownChannel, ChannelClosed, NotSuccessor, OwnerStillActs, Banned, NotRegistered,
    Deactivated.
    """
    record = channels.open_channel(draft, tx.channel)
    if record.successor != ctx.sender:
        raise NotSuccessor("the owner did not name the sender")
    until = record.acted_at + CHANNELS.load(draft).succession_ms
    if ctx.block_time_ms < until and not _is_gone(draft, record.owner):
        raise OwnerStillActs(until)
    _check_not_banned(draft, tx.channel, Role.OWNER, ctx)
    return _hand_over(draft, tx.channel, record, Role.MEMBER, ctx)


def _check_not_banned(state: State, channel_id: bytes, by: Role, ctx: TxContext) -> None:
    """Return if nobody of that role or above keeps the sender out. Raises: Banned.

    Who moderates has no say in whom an owner who is gone has named: nobody could lift the ban.
    """
    ban = members.banned(state, channel_id, ctx.sender, ctx.block_time_ms)
    if ban and ban.by >= by:
        raise Banned(ban.until)


def _is_gone(state: State, owner: AccountId) -> bool:
    """Tell whether an owner gave up its identity."""
    found = identities.load(state, owner)
    return found is None or found.deactivated_at > 0


def _hand_over(
    draft: Draft, channel_id: bytes, record: Channel, left_as: Role, ctx: TxContext
) -> tuple[Event, ...]:
    heir, now = ctx.sender, ctx.block_time_ms
    identities.active(draft, heir)
    taken = replace(record, owner=heir, acted_at=now, offered_to=NOBODY, successor=NOBODY)
    channels.save(draft, channel_id, taken)
    is_gone = _is_gone(draft, record.owner)
    if is_gone or not record.lists_members:
        epochs.gone(draft, channel_id)
    if record.lists_members and not is_gone:
        members.save(draft, channel_id, record.owner, Member(left_as, record.created_at))
    if record.lists_members:
        members.drop(draft, channel_id, heir)
        members.settle(draft, channel_id, heir)
        members.let_back(draft, channel_id, heir)
    return (OwnerChanged(channel_id, record.owner, heir),)


OFFER: Final = Family(
    type=32,
    name="offer_channel",
    shape=codec.Record(OfferChannel, channel=channels.CHANNEL_ID, to=channels.SOMEBODY),
    cost=Cost(80),
    check=check_offer,
    apply=offer,
)

ACCEPT: Final = Family(
    type=33,
    name="accept_channel",
    shape=codec.Record(AcceptChannel, channel=channels.CHANNEL_ID),
    cost=Cost(150),
    check=check_taking,
    apply=accept,
)

NAME_SUCCESSOR: Final = Family(
    type=34,
    name="name_successor",
    shape=codec.Record(NameSuccessor, channel=channels.CHANNEL_ID, successor=channels.SOMEBODY),
    cost=Cost(80),
    check=check_successor,
    apply=name_successor,
)

SUCCEED: Final = Family(
    type=35,
    name="succeed_channel",
    shape=codec.Record(SucceedChannel, channel=channels.CHANNEL_ID),
    cost=Cost(170),
    check=check_taking,
    apply=succeed,
)

FAMILIES: Final = (OFFER, ACCEPT, NAME_SUCCESSOR, SUCCEED)
