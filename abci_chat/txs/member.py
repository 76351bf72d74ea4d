"""Members: families by which they come, go, are removed or kept out, and get a role.

Whoever goes, or loses a role, is gone at once, whatever the epoch; that leaves the epoch stale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import channels, epochs, hidden, identities, members
from abci_chat.state.channels import Channel, JoinRule, Kind, Role
from abci_chat.state.hidden import HiddenProof
from abci_chat.state.members import Ban, RoleTooLow
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs
from dchat.kernel.store import Draft


class AlreadyMember(TxRejected):
    """The account is in the channel already."""

    code = 256


class Banned(TxRejected):
    """The account is kept out of the channel. Attribute: until -- ms."""

    code = 257

    def __init__(self, until: int) -> None:
        end = "for good" if until == members.FOR_GOOD else f"until {until} ms"
        super().__init__(f"banned from the channel {end}")
        self.until = until


class NotInvited(TxRejected):
    """The channel takes in nobody without an invitation that is good now."""

    code = 258


class NeedsRequest(TxRejected):
    """The channel takes in whom a moderator let in."""

    code = 259


class GateNotProvable(TxRejected):
    """The channel asks for something on the currency chain, which nobody can prove yet."""

    code = 260


class UnknownMember(TxRejected):
    """The account that is named is no member of the channel."""

    code = 265


class OwnerStays(TxRejected):
    """The owner neither leaves nor is removed; the channel has to have one."""

    code = 264


class NotBanned(TxRejected):
    """Nobody keeps the account out of the channel."""

    code = 263


class BanOver(TxRejected):
    """The ban would be over already. Attributes: until, now -- ms."""

    code = 278

    def __init__(self, until: int, now: int) -> None:
        super().__init__(f"a ban until {until} ms, it is {now} ms")
        self.until = until
        self.now = now


class BadRole(TxRejected):
    """A member is made a moderator or a member, and owner by an offer only."""

    code = 276


@dataclass(frozen=True, slots=True)
class JoinChannel:
    """Make the sender a member of a channel that lists its members."""

    channel: bytes


@dataclass(frozen=True, slots=True)
class LeaveChannel:
    """Let the sender be a member no more."""

    channel: bytes
    proof: tuple[HiddenProof, ...]


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Let somebody be a member no more."""

    channel: bytes
    member: AccountId


@dataclass(frozen=True, slots=True)
class BanMember:
    """Keep somebody out of a channel."""

    channel: bytes
    member: AccountId
    until: EpochMs
    """Block time, 0 for good."""


@dataclass(frozen=True, slots=True)
class UnbanMember:
    """Let somebody join again."""

    channel: bytes
    member: AccountId


@dataclass(frozen=True, slots=True)
class SetRole:
    """Make a member a moderator, or a moderator a member."""

    channel: bytes
    member: AccountId
    role: Role


@dataclass(frozen=True, slots=True)
class MemberJoined(Event):
    """Somebody became a member."""

    channel: bytes
    member: AccountId


@dataclass(frozen=True, slots=True)
class MemberLeft(Event):
    """Somebody is a member no more."""

    channel: bytes
    member: AccountId
    by: AccountId


@dataclass(frozen=True, slots=True)
class MemberBanned(Event):
    """Somebody is kept out until then."""

    channel: bytes
    member: AccountId
    until: EpochMs


@dataclass(frozen=True, slots=True)
class MemberUnbanned(Event):
    """Somebody is kept out no more."""

    channel: bytes
    member: AccountId


@dataclass(frozen=True, slots=True)
class RoleSet(Event):
    """Somebody has another role."""

    channel: bytes
    member: AccountId
    role: int


def check_any(tx: JoinChannel | LeaveChannel | RemoveMember | BanMember | UnbanMember) -> None:
    """Accept every name: only the state knows what it stands for."""


def check_role(tx: SetRole) -> None:
    """Apply the rules that need no state. Raises: BadRole."""
    if tx.role is Role.OWNER:
        raise BadRole("a channel has one owner; offer it instead")


def join(draft: Draft, tx: JoinChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Take the sender in.

    Raises: UnknownChannel, ChannelClosed, MembersHidden, NotRegistered, Deactivated, AlreadyMember,
    Banned, GateNotProvable, NotInvited, NeedsRequest.
    """
    channel = channels.listing(draft, tx.channel)
    identities.active(draft, ctx.sender)
    check_joins(draft, tx.channel, channel, ctx.sender, ctx.block_time_ms)
    if not members.invited(draft, tx.channel, ctx.sender, ctx.block_time_ms):
        _check_open(channel)
    members.take_in(draft, tx.channel, ctx.sender, ctx.block_time_ms)
    return (MemberJoined(tx.channel, ctx.sender),)


def check_joins(
    draft: Draft, channel_id: bytes, channel: Channel, who: AccountId, now: EpochMs
) -> None:
    """Return if nothing keeps somebody out. Raises: AlreadyMember, Banned, GateNotProvable."""
    if members.role_of(draft, channel_id, who) is not None:
        raise AlreadyMember("the account is in the channel already")
    if ban := members.banned(draft, channel_id, who, now):
        raise Banned(ban.until)
    if channel.kind is Kind.GATED:
        raise GateNotProvable("the proof of what an account holds comes with the bridge")


def _check_open(channel: Channel) -> None:
    if channel.policy.join is JoinRule.INVITE:
        raise NotInvited("the channel takes in nobody without an invitation")
    if channel.policy.join is JoinRule.REQUEST:
        raise NeedsRequest("a moderator of the channel answers who wants to join")


def leave(draft: Draft, tx: LeaveChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Let the sender go; a hidden member's leaf counts no more. Raises: as act(), OwnerStays."""
    shown = tx.proof[0] if tx.proof else None
    if members.act(draft, tx.channel, ctx, Role.MEMBER, shown) is Role.OWNER:
        raise OwnerStays("offer the channel to somebody, or close it")
    if shown is None:
        members.drop(draft, tx.channel, ctx.sender)
    else:
        seat = hidden.seat(ctx.sender, shown.blind)
        hidden.remove(draft, tx.channel, hidden.leaf(tx.channel, seat, shown.role))
    _gone(draft, tx.channel, ctx)
    return (MemberLeft(tx.channel, ctx.sender, ctx.sender),)


def remove(draft: Draft, tx: RemoveMember, ctx: TxContext) -> tuple[Event, ...]:
    """Let a member go. Raises: MembersHidden, UnknownMember, OwnerStays, as act()."""
    if _target(draft, tx, ctx) is None:
        raise UnknownMember("the account is no member of the channel")
    members.drop(draft, tx.channel, tx.member)
    _gone(draft, tx.channel, ctx)
    return (MemberLeft(tx.channel, tx.member, ctx.sender),)


def ban(draft: Draft, tx: BanMember, ctx: TxContext) -> tuple[Event, ...]:
    """Keep somebody out, member or not. Raises: MembersHidden, OwnerStays, BanOver, as act()."""
    until, now = tx.until or members.FOR_GOOD, ctx.block_time_ms
    role = _target(draft, tx, ctx)
    mine = members.acting(draft, tx.channel, ctx.sender, None)
    if until <= now:
        raise BanOver(until, now)
    before = members.banned(draft, tx.channel, tx.member, now)
    members.need(mine, before.by if before else mine)
    members.keep_out(draft, tx.channel, tx.member, Ban(until, mine))
    told = (MemberBanned(tx.channel, tx.member, until),)
    if role is None:
        return told
    members.drop(draft, tx.channel, tx.member)
    _gone(draft, tx.channel, ctx)
    return (MemberLeft(tx.channel, tx.member, ctx.sender), *told)


def unban(draft: Draft, tx: UnbanMember, ctx: TxContext) -> tuple[Event, ...]:
    """Lift a ban. Raises: MembersHidden, NotBanned, as act()."""
    channels.listing(draft, tx.channel)
    mine = members.act(draft, tx.channel, ctx, Role.MODERATOR)
    found = members.banned(draft, tx.channel, tx.member, ctx.block_time_ms)
    if found is None:
        raise NotBanned("nobody keeps the account out")
    members.need(mine, found.by)
    members.let_back(draft, tx.channel, tx.member)
    return (MemberUnbanned(tx.channel, tx.member),)


def set_role(draft: Draft, tx: SetRole, ctx: TxContext) -> tuple[Event, ...]:
    """Give a member another role. Raises: MembersHidden, OwnerStays, UnknownMember, as act()."""
    channels.listing(draft, tx.channel)
    members.act(draft, tx.channel, ctx, Role.OWNER)
    if tx.member == ctx.sender:
        raise OwnerStays("offer the channel to somebody instead")
    record = members.load(draft, tx.channel, tx.member)
    if record is None:
        raise UnknownMember("the account is no member of the channel")
    members.save(draft, tx.channel, tx.member, replace(record, role=tx.role))
    if tx.role < record.role:
        _gone(draft, tx.channel, ctx)
    return (RoleSet(tx.channel, tx.member, tx.role),)


def _target(draft: Draft, tx: RemoveMember | BanMember, ctx: TxContext) -> Role | None:
    """Return the role of whom a moderator goes against, who stands below.

    Raises: MembersHidden, OwnerStays, as members.act().
    """
    channels.listing(draft, tx.channel)
    mine = members.act(draft, tx.channel, ctx, Role.MODERATOR)
    role = members.role_of(draft, tx.channel, tx.member)
    if role is Role.OWNER:
        raise OwnerStays("nobody removes the owner")
    if role is not None and role >= mine:
        raise RoleTooLow(mine, Role(role + 1))
    return role


def _gone(draft: Draft, channel_id: bytes, ctx: TxContext) -> None:
    epochs.bump(draft, channel_id, ctx)
    epochs.gone(draft, channel_id)


_MEMBER_OF: Final = {"channel": channels.CHANNEL_ID, "member": ACCOUNT_ID}

JOIN: Final = Family(
    type=23,
    name="join_channel",
    shape=codec.Record(JoinChannel, channel=channels.CHANNEL_ID),
    cost=Cost(100),
    check=check_any,
    apply=join,
)

LEAVE: Final = Family(
    type=24,
    name="leave_channel",
    shape=codec.Record(LeaveChannel, channel=channels.CHANNEL_ID, proof=hidden.MAYBE_PROOF),
    cost=Cost(160),
    check=check_any,
    apply=leave,
)

BAN: Final = Family(
    type=28,
    name="ban_member",
    shape=codec.Record(BanMember, **_MEMBER_OF, until=codec.U64),
    cost=Cost(220),
    check=check_any,
    apply=ban,
)

UNBAN: Final = Family(
    type=29,
    name="unban_member",
    shape=codec.Record(UnbanMember, **_MEMBER_OF),
    cost=Cost(110),
    check=check_any,
    apply=unban,
)

REMOVE: Final = Family(
    type=30,
    name="remove_member",
    shape=codec.Record(RemoveMember, **_MEMBER_OF),
    cost=Cost(180),
    check=check_any,
    apply=remove,
)

SET_ROLE: Final = Family(
    type=31,
    name="set_role",
    shape=codec.Record(SetRole, **_MEMBER_OF, role=codec.Choice(Role)),
    cost=Cost(180),
    check=check_role,
    apply=set_role,
)

FAMILIES: Final = (JOIN, LEAVE, BAN, UNBAN, REMOVE, SET_ROLE)
