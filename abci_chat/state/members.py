"""Members: who has which role in a channel, and who is kept out, asked in, or wants in.

    ("member", channel, id)        [role, joined_at]      not in private channels
    ("ban", channel, id)           [until, by]
    ("invite", channel, id)        [expires_at, by]
    ("join_request", channel, id)  [expires_at]

The owner stands in the channel's own record and in none of these. What has expired counts for
nothing, whether or not it is still there. A private channel has none of these records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys
from abci_chat.state import channels, epochs, hidden, identities
from abci_chat.state.channels import Role
from abci_chat.state.hidden import BadHiddenProof, HiddenProof
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, EpochMs
from dchat.kernel.store import Draft, State, read

__all__ = ["Role"]

FOR_GOOD: Final = EpochMs(codec.MAX_U64)
"""Until when a ban lasts that does not end by itself."""


class NotAMember(TxRejected):
    """The sender is no member of the channel."""

    code = 252


class RoleTooLow(TxRejected):
    """The sender's role does not allow it. Attributes: have, need."""

    code = 253

    def __init__(self, have: Role, need: Role) -> None:
        super().__init__(f"a {have.name.lower()} may not do this, a {need.name.lower()} may")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class Member:
    """A listed member."""

    role: Role
    joined_at: EpochMs


@dataclass(frozen=True, slots=True)
class Ban:
    """Somebody is kept out."""

    until: EpochMs
    by: Role
    """What who lifts it must be at least."""


@dataclass(frozen=True, slots=True)
class Invite:
    """Somebody may join."""

    expires_at: EpochMs
    by: AccountId


MEMBER: Final = codec.Record(Member, role=codec.Choice(Role), joined_at=codec.U64)
BAN: Final = codec.Record(Ban, until=codec.U64, by=codec.Choice(Role))
INVITE: Final = codec.Record(Invite, expires_at=codec.U64, by=ACCOUNT_ID)
REQUEST: Final = codec.U64
"""When a wish to join expires."""


def acting(state: State, channel_id: bytes, who: AccountId, shown: HiddenProof | None) -> Role:
    """Return the role in which somebody acts now in an open channel.

    shown: the proof of a hidden member, None from listed ones and from the owner.
    Raises: UnknownChannel, ChannelClosed, NotAMember, BadHiddenProof, RemovedLeaf, NotRegistered,
    Deactivated.
    """
    channel = channels.open_channel(state, channel_id)
    identities.active(state, who)
    if channel.owner == who:
        return Role.OWNER
    if channel.lists_members:
        if shown is not None:
            raise BadHiddenProof("the channel's members are listed, and prove nothing")
        return _listed(state, channel_id, who)
    if shown is None:
        raise NotAMember("a member of a private channel proves it")
    return hidden.proved(state, channel_id, who, shown, epochs.load(state, channel_id))


def _listed(state: State, channel_id: bytes, who: AccountId) -> Role:
    record = load(state, channel_id, who)
    if record is None:
        raise NotAMember("the sender is no member of the channel")
    return record.role


def act(
    draft: Draft, channel_id: bytes, ctx: TxContext, least: Role, shown: HiddenProof | None = None
) -> Role:
    """Return the sender's role, at least that; if it is the owner's, the owner is there.

    Raises: as acting(), RoleTooLow.
    """
    role = acting(draft, channel_id, ctx.sender, shown)
    need(role, least)
    channels.acted(draft, channel_id, ctx.sender, ctx.block_time_ms)
    return role


def need(have: Role, least: Role) -> None:
    """Return if the role is that one or above it. Raises: RoleTooLow."""
    if have < least:
        raise RoleTooLow(have, least)


def role_of(state: State, channel_id: bytes, who: AccountId) -> Role | None:
    """Return somebody's role in an open channel that lists its members, None for who is none.

    Raises: UnknownChannel, ChannelClosed.
    """
    if channels.open_channel(state, channel_id).owner == who:
        return Role.OWNER
    record = load(state, channel_id, who)
    return None if record is None else record.role


def load(state: State, channel_id: bytes, who: AccountId) -> Member | None:
    """Return a listed member, None for the owner and for who is none."""
    return read(state, keys.member(channel_id, who), MEMBER)


def save(draft: Draft, channel_id: bytes, who: AccountId, record: Member) -> None:
    """Write a listed member."""
    draft.put(keys.member(channel_id, who), MEMBER.encode(record))


def drop(draft: Draft, channel_id: bytes, who: AccountId) -> None:
    """Let somebody be a listed member no more."""
    draft.delete(keys.member(channel_id, who))


def banned(state: State, channel_id: bytes, who: AccountId, now: EpochMs) -> Ban | None:
    """Return the ban that keeps somebody out now."""
    record = read(state, keys.ban(channel_id, who), BAN)
    return record if record and record.until > now else None


def invited(state: State, channel_id: bytes, who: AccountId, now: EpochMs) -> bool:
    """Tell whether somebody has an invitation that is good now.

    Those of a moderator count no more once that one is none: who was removed brings nobody in.
    """
    record = read(state, keys.invite(channel_id, who), INVITE)
    if record is None or record.expires_at <= now:
        return False
    return (role_of(state, channel_id, record.by) or Role.MEMBER) >= Role.MODERATOR


def asks(state: State, channel_id: bytes, who: AccountId, now: EpochMs) -> bool:
    """Tell whether somebody has a wish to join that stands now."""
    expires_at = read(state, keys.join_request(channel_id, who), REQUEST)
    return expires_at is not None and expires_at > now


def ask_in(draft: Draft, channel_id: bytes, who: AccountId, record: Invite) -> None:
    """Invite somebody, in place of an earlier invitation."""
    draft.put(keys.invite(channel_id, who), INVITE.encode(record))


def ask(draft: Draft, channel_id: bytes, who: AccountId, expires_at: EpochMs) -> None:
    """Let somebody wish to join until then."""
    draft.put(keys.join_request(channel_id, who), REQUEST.encode(expires_at))


def keep_out(draft: Draft, channel_id: bytes, who: AccountId, record: Ban) -> None:
    """Ban somebody, in place of an earlier ban; what would bring in who is banned is settled."""
    draft.put(keys.ban(channel_id, who), BAN.encode(record))
    settle(draft, channel_id, who)


def let_back(draft: Draft, channel_id: bytes, who: AccountId) -> None:
    """Lift somebody's ban."""
    draft.delete(keys.ban(channel_id, who))


def settle(draft: Draft, channel_id: bytes, who: AccountId) -> None:
    """Forget somebody's invitation and wish to join."""
    for key in (keys.invite(channel_id, who), keys.join_request(channel_id, who)):
        if draft.get(key) is not None:
            draft.delete(key)


def take_in(draft: Draft, channel_id: bytes, who: AccountId, now: EpochMs) -> None:
    """Make somebody a listed member, whose invitation and wish to join are settled by that."""
    settle(draft, channel_id, who)
    save(draft, channel_id, who, Member(Role.MEMBER, now))
