"""`dchat query` of channels: what one is, its present epoch, and who its listed members are."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from abci_chat import keys
from abci_chat.state import channels, epochs, members
from abci_chat.state.channels import Channel, Fact
from abci_chat.state.epochs import Epoch
from dchat.cli import digits
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import foresee
from dchat.cli.records import (
    DEFAULT_LISTED,
    After,
    Kind,
    Limit,
    Paging,
    account_at,
    list_records,
)
from dchat.cli.show import moment, tokens
from dchat.kernel import accounts
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId

ChannelArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="Its id, 64 hex digits.")]
_ACCOUNT_IN_KEY: Final = 2


class MembersAreHidden(OperatorError):
    """The channel is private."""

    hint = "who is in knows the others from the roster; dchat channel prove-member checks a seat"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("channel")(show_channel)
    group.command("members")(show_members)


@asking
def show_channel(asked: Asked, channel: ChannelArgument) -> None:
    """Show a channel: its owner, what is allowed there, and its present epoch."""
    channel_id = digits.parse(channel, "a channel id")
    answer(asked, "chat", lambda source: channel_fields(source, channel_id))


async def channel_fields(source: Source, channel_id: bytes) -> Fields:
    """Return all that the chain knows of a channel, but for its members. Raises: NotThere."""
    found = await channel_of(source, channel_id)
    present = await foresee(source, lambda state: epochs.load(state, channel_id))
    gate = found.gate
    return {
        "channel": channel_id,
        "kind": found.kind.name.lower(),
        "owner": accounts.show_account(found.owner),
        "state": f"closed at {moment(found.closed_at)}" if found.closed_at else "open",
        "deposit_credits": found.deposit,
        "who_may_post": found.policy.who_may_post.name.lower(),
        "slow_mode_ms": found.policy.slow_mode_ms,
        "retention_ms": found.policy.retention_ms or "for ever",
        "join": found.policy.join.name.lower(),
        "gate": None
        if gate.fact is Fact.NONE
        else f"{gate.fact.name.lower()} of {tokens(gate.least)}",
        "created_at": moment(found.created_at),
        "owner_acted_at": moment(found.acted_at),
        "successor": _somebody(found.successor),
        "offered_to": _somebody(found.offered_to),
        **epoch_fields(present),
    }


def epoch_fields(present: Epoch) -> Fields:
    """Return what is shown of an epoch."""
    return {
        "epoch": present.number,
        "stale": present.stale,
        "reserved": present.reserved,
        "removals": present.removals,
        "size_class": present.size_class or None,
        "member_root": present.member_root if present.size_class else None,
        "posting_key": present.posting_key or None,
        "group_commit": present.group_commit,
    }


async def channel_of(source: Source, channel_id: bytes) -> Channel:
    """Return a channel, closed or not. Raises: NotThere."""
    found = await foresee(source, lambda state: channels.load(state, channel_id))
    if found is None:
        raise NotThere(f"there is no channel {channel_id.hex()}")
    return found


def _somebody(who: AccountId) -> str | None:
    return accounts.show_account(who) if who else None


@asking
def show_members(
    asked: Asked, channel: ChannelArgument, *, after: After = "", limit: Limit = DEFAULT_LISTED
) -> None:
    """List the members of a channel that is not private, and their roles; the owner apart."""
    channel_id = digits.parse(channel, "a channel id")
    kind = Kind("members", keys.members(channel_id), members.MEMBER)

    async def ask(source: Source) -> Fields:
        found = await channel_of(source, channel_id)
        if not found.lists_members:
            raise MembersAreHidden("a private channel lists nobody")
        owner: Fields = {"owner": accounts.show_account(found.owner)}
        try:
            listed = await list_records(source, kind, Paging(after, limit))
        except NotThere:
            return {**owner, "members": []}
        return {**owner, **listed.shown(_row)}

    answer(asked, "chat", ask)


def _row(key: bytes, record: members.Member) -> Fields:
    return {
        "member": account_at(key, _ACCOUNT_IN_KEY),
        "role": record.role.name.lower(),
        "joined_at": moment(record.joined_at),
    }
