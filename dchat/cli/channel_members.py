"""`dchat channel`, members: who comes, goes, is asked in or kept out, and in which role."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat.state import epochs, hidden
from abci_chat.state.channels import Role
from abci_chat.state.hidden import HiddenProof
from abci_chat.txs import epoch, invite, member
from abci_chat.txs.epoch import RemoveLeaf
from abci_chat.txs.invite import AnswerRequest, InviteMember, RequestJoin
from abci_chat.txs.member import (
    BanMember,
    JoinChannel,
    LeaveChannel,
    RemoveMember,
    SetRole,
    UnbanMember,
)
from dchat.cli import digits
from dchat.cli import roster as rosters
from dchat.cli.asking import Fields, Source
from dchat.cli.foresee import block_time, foresee
from dchat.cli.ordering import After, Plan, Sending, Told, carry_out, ordering, plan_and_carry_out
from dchat.cli.query_channels import channel_of, epoch_fields
from dchat.cli.roster import Roster
from dchat.cli.show import moment
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId, EpochMs
from dchat.node.identity import Identity

MS_A_SECOND: Final = 1000
ChannelOption = Annotated[str, typer.Option("--channel", help="The channel's id, 64 hex digits.")]
MemberOption = Annotated[str, typer.Option("--member", help="Whom: the account, dchat1….")]
RosterOption = Annotated[
    Path | None,
    typer.Option("--roster", help="Of a private channel: the file with its present members."),
]


class RoleName(StrEnum):
    """Roles that an owner gives, as people name them."""

    MEMBER = "member"
    MODERATOR = "moderator"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `channel`."""
    group.command("join")(join)
    group.command("leave")(leave)
    group.command("invite")(ask_in)
    group.command("request")(request)
    group.command("answer")(answer)
    group.command("ban")(ban)
    group.command("unban")(unban)
    group.command("remove")(remove)
    group.command("role")(role)


def _told(channel_id: bytes, **done: str | bool) -> Told:
    return Told({"channel": channel_id, **done}, chain="chat")


@ordering
def join(sending: Sending, *, channel: ChannelOption) -> None:
    """Become a member of a channel that is open, or into which you were invited."""
    body = JoinChannel(digits.parse(channel, "a channel id"))
    carry_out(sending, member.JOIN, body, _told(body.channel))


@ordering
def leave(sending: Sending, *, channel: ChannelOption, roster: RosterOption = None) -> None:
    """Be a member no more; from a private channel with a proof, which shows that you were one."""
    channel_id = digits.parse(channel, "a channel id")
    known = None if roster is None else rosters.load(roster, channel_id)

    async def make(_source: Source, sender: Identity) -> Plan[LeaveChannel]:
        proof = () if known is None else (known.proof(sender.account_id),)
        return Plan(LeaveChannel(channel_id, proof), _told(channel_id))

    plan_and_carry_out(sending, member.LEAVE, make, "chat")


@ordering
def ask_in(sending: Sending, *, channel: ChannelOption, who: MemberOption) -> None:
    """Invite somebody into a channel that you moderate."""
    body = InviteMember(digits.parse(channel, "a channel id"), accounts.parse_account(who))
    carry_out(sending, invite.INVITE, body, _told(body.channel, member=who))


@ordering
def request(sending: Sending, *, channel: ChannelOption) -> None:
    """Ask the moderators of a channel to let you in."""
    body = RequestJoin(digits.parse(channel, "a channel id"))
    carry_out(sending, invite.REQUEST, body, _told(body.channel))


@ordering
def answer(
    sending: Sending,
    *,
    channel: ChannelOption,
    who: MemberOption,
    accept: Annotated[bool, typer.Option("--accept/--deny", help="Let in, or turn down.")],
) -> None:
    """Answer somebody who asked to be let in."""
    body = AnswerRequest(digits.parse(channel, "a channel id"), accounts.parse_account(who), accept)
    carry_out(sending, invite.ANSWER, body, _told(body.channel, member=who, accepted=accept))


@ordering
def ban(
    sending: Sending,
    *,
    channel: ChannelOption,
    who: MemberOption,
    seconds: Annotated[
        int | None, typer.Option("--for", min=1, help="For so many seconds; for good if absent.")
    ] = None,
) -> None:
    """Remove somebody from a channel that you moderate, and keep them out."""
    channel_id, whom = digits.parse(channel, "a channel id"), accounts.parse_account(who)

    async def make(source: Source, _sender: Identity) -> Plan[BanMember]:
        now = await block_time(source)
        until = EpochMs(0) if seconds is None else EpochMs(now + seconds * MS_A_SECOND)
        shown = _told(channel_id, member=who, until=moment(until) or "for good")
        return Plan(BanMember(channel_id, whom, until), shown)

    plan_and_carry_out(sending, member.BAN, make, "chat")


@ordering
def unban(sending: Sending, *, channel: ChannelOption, who: MemberOption) -> None:
    """Keep somebody out no more."""
    body = UnbanMember(digits.parse(channel, "a channel id"), accounts.parse_account(who))
    carry_out(sending, member.UNBAN, body, _told(body.channel, member=who))


@ordering
def role(
    sending: Sending,
    *,
    channel: ChannelOption,
    who: MemberOption,
    new: Annotated[RoleName, typer.Option("--role", help="What they may do from now on.")],
) -> None:
    """Make a member of your channel a moderator, or a moderator a member."""
    body = SetRole(
        digits.parse(channel, "a channel id"), accounts.parse_account(who), Role[new.name]
    )
    carry_out(sending, member.SET_ROLE, body, _told(body.channel, member=who, role=new.value))


@ordering
def remove(
    sending: Sending,
    *,
    channel: ChannelOption,
    who: MemberOption,
    roster: RosterOption = None,
    reserve: Annotated[
        bool,
        typer.Option("--reserve", help="Private: nobody but you, the owner, commits next."),
    ] = False,
) -> None:
    """Remove a member at once, whatever the epoch; from a private channel without naming them."""
    channel_id, whom = digits.parse(channel, "a channel id"), accounts.parse_account(who)
    if roster is None:
        body = RemoveMember(channel_id, whom)
        carry_out(sending, member.REMOVE, body, _told(channel_id, member=who))
        return
    known = rosters.load(roster, channel_id)
    seat = known.of(whom)

    async def make(source: Source, sender: Identity) -> Plan[RemoveLeaf]:
        proof = await proof_of(source, known, sender.account_id)
        hides = hidden.seat(seat.account, seat.blind)
        body = RemoveLeaf(channel_id, hides, seat.role, reserve, proof)
        return Plan(body, Told({"channel": channel_id}, epoch_after(channel_id), "chat"))

    plan_and_carry_out(sending, epoch.REMOVE_LEAF, make, "chat")


def epoch_after(channel_id: bytes) -> After:
    """Return what shows a channel's present epoch behind a block."""

    async def after(source: Source, _sender: AccountId) -> Fields:
        return epoch_fields(await foresee(source, lambda state: epochs.load(state, channel_id)))

    return after


async def proof_of(source: Source, known: Roster, who: AccountId) -> tuple[HiddenProof, ...]:
    """Return what somebody shows to act: an owner nothing. Raises: NotThere, BadRoster."""
    if (await channel_of(source, known.channel)).owner == who:
        return ()
    return (known.proof(who),)
