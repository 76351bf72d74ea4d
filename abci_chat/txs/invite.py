"""Ways in: families that invite somebody, wish to join, and answer who wishes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.params import CHANNELS
from abci_chat.state import channels, identities, members
from abci_chat.state.channels import JoinRule, Role
from abci_chat.state.members import Invite
from abci_chat.txs.member import MemberJoined, NotInvited, check_joins
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs
from dchat.kernel.store import Draft, State


class NoSuchRequest(TxRejected):
    """The account does not wish to join, or no longer."""

    code = 262


class NoRequestNeeded(TxRejected):
    """Everybody may join the channel."""

    code = 280


@dataclass(frozen=True, slots=True)
class InviteMember:
    """Let somebody join."""

    channel: bytes
    member: AccountId


@dataclass(frozen=True, slots=True)
class RequestJoin:
    """Let moderators know that the sender wishes to join."""

    channel: bytes


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Take in who wishes to join, or do not."""

    channel: bytes
    member: AccountId
    accept: bool


@dataclass(frozen=True, slots=True)
class MemberInvited(Event):
    """Somebody may join until then."""

    channel: bytes
    member: AccountId
    expires_at: EpochMs


@dataclass(frozen=True, slots=True)
class JoinRequested(Event):
    """Somebody wishes to join."""

    channel: bytes
    member: AccountId
    expires_at: EpochMs


@dataclass(frozen=True, slots=True)
class JoinDenied(Event):
    """Somebody's wish to join was turned down."""

    channel: bytes
    member: AccountId


def check_any(tx: InviteMember | RequestJoin | AnswerRequest) -> None:
    """Accept every name: only the state knows what it stands for."""


def invite(draft: Draft, tx: InviteMember, ctx: TxContext) -> tuple[Event, ...]:
    """Invite somebody. Raises: MembersHidden, as check_joins() and members.act()."""
    channel = channels.listing(draft, tx.channel)
    members.act(draft, tx.channel, ctx, Role.MODERATOR)
    check_joins(draft, tx.channel, channel, tx.member, ctx.block_time_ms)
    until = _until(draft, ctx)
    members.ask_in(draft, tx.channel, tx.member, Invite(until, ctx.sender))
    return (MemberInvited(tx.channel, tx.member, until),)


def request(draft: Draft, tx: RequestJoin, ctx: TxContext) -> tuple[Event, ...]:
    """Note the sender's wish.

    Raises: MembersHidden, NotRegistered, Deactivated, NoRequestNeeded, NotInvited, as
    check_joins().
    """
    channel = channels.listing(draft, tx.channel)
    identities.active(draft, ctx.sender)
    check_joins(draft, tx.channel, channel, ctx.sender, ctx.block_time_ms)
    if channel.policy.join is JoinRule.OPEN:
        raise NoRequestNeeded("everybody may join the channel")
    if channel.policy.join is JoinRule.INVITE:
        raise NotInvited("the channel takes in nobody without an invitation")
    until = _until(draft, ctx)
    members.ask(draft, tx.channel, ctx.sender, until)
    return (JoinRequested(tx.channel, ctx.sender, until),)


def answer(draft: Draft, tx: AnswerRequest, ctx: TxContext) -> tuple[Event, ...]:
    """Take in who wishes to join, or forget it. Raises: NoSuchRequest, as members.act()."""
    channels.listing(draft, tx.channel)
    members.act(draft, tx.channel, ctx, Role.MODERATOR)
    if not members.asks(draft, tx.channel, tx.member, ctx.block_time_ms):
        raise NoSuchRequest("the account does not wish to join")
    if tx.accept:
        members.take_in(draft, tx.channel, tx.member, ctx.block_time_ms)
        return (MemberJoined(tx.channel, tx.member),)
    members.settle(draft, tx.channel, tx.member)
    return (JoinDenied(tx.channel, tx.member),)


def _until(state: State, ctx: TxContext) -> EpochMs:
    return EpochMs(ctx.block_time_ms + CHANNELS.load(state).invite_ms)


INVITE: Final = Family(
    type=25,
    name="invite_member",
    shape=codec.Record(InviteMember, channel=channels.CHANNEL_ID, member=ACCOUNT_ID),
    cost=Cost(120),
    check=check_any,
    apply=invite,
)

REQUEST: Final = Family(
    type=26,
    name="request_join",
    shape=codec.Record(RequestJoin, channel=channels.CHANNEL_ID),
    cost=Cost(80),
    check=check_any,
    apply=request,
)

ANSWER: Final = Family(
    type=27,
    name="answer_request",
    shape=codec.Record(
        AnswerRequest, channel=channels.CHANNEL_ID, member=ACCOUNT_ID, accept=codec.Bool
    ),
    cost=Cost(160),
    check=check_any,
    apply=answer,
)

FAMILIES: Final = (INVITE, REQUEST, ANSWER)
