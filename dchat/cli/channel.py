"""`dchat channel`: creating channels, saying what is allowed there, closing and handing over."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

import typer

from abci_chat.params import CHANNELS
from abci_chat.state import channels
from abci_chat.state.channels import NO_GATE, NOBODY, Fact, Gate, JoinRule, Kind, Policy, Role
from abci_chat.txs import channel as families
from abci_chat.txs import ownership
from abci_chat.txs.channel import CloseChannel, CreateChannel, SetPolicy
from abci_chat.txs.ownership import AcceptChannel, NameSuccessor, OfferChannel, SucceedChannel
from dchat.cli import channel_epochs, channel_members, digits, posts
from dchat.cli.asking import Fields, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import (
    After,
    Plan,
    Sending,
    Told,
    carry_out,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_channels import channel_fields, channel_of
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId
from dchat.node.identity import Identity

HELP: Final = "Create channels, let people in and out, and post there."
MS_A_SECOND: Final = 1000
ChannelOption = Annotated[str, typer.Option("--channel", help="The channel's id, 64 hex digits.")]


class KindName(StrEnum):
    """Kinds of channels as people name them."""

    PUBLIC = "public"
    PRIVATE = "private"
    GATED = "gated"


class Posters(StrEnum):
    """The least role that may post, as people name it."""

    MEMBER = "member"
    MODERATOR = "moderator"
    OWNER = "owner"


class Joining(StrEnum):
    """Ways into a channel as people name them."""

    OPEN = "open"
    REQUEST = "request"
    INVITE = "invite"


class Asks(StrEnum):
    """What a gate asks for, as people name it."""

    BALANCE = "balance"
    STAKE = "stake"


_FACTS: Final[Mapping[Asks, Fact]] = MappingProxyType(
    {Asks.BALANCE: Fact.BALANCE, Asks.STAKE: Fact.STAKE}
)
WhoPosts = Annotated[Posters | None, typer.Option("--post", help="The least role that may post.")]
SlowMode = Annotated[
    int | None, typer.Option("--slow-mode", min=0, help="Seconds between posts of one author.")
]
Retention = Annotated[
    int | None, typer.Option("--retention", min=0, help="Seconds posts are kept; 0 for ever.")
]
Join = Annotated[
    Joining | None, typer.Option("--join", help="How somebody gets in without an invitation.")
]


class NeedsYes(OperatorError):
    """The command cannot be taken back."""

    exit_code = 2
    hint = "say --yes to close the channel for good"


def register(app: typer.Typer) -> None:
    """Add the `channel` group to `app`."""
    group = typer.Typer(help=HELP)
    group.callback()(_group)
    group.command("create")(create)
    group.command("close")(close)
    group.command("policy")(policy)
    group.command("offer")(offer)
    group.command("accept")(accept)
    group.command("successor")(successor)
    group.command("succeed")(succeed)
    for own in (channel_members, channel_epochs, posts):
        own.register(group)
    app.add_typer(group, name="channel")


def _group() -> None:
    """Create channels, let people in and out, and post there."""


def _changed(
    before: Policy,
    post: Posters | None,
    slow_mode: int | None,
    retention: int | None,
    join: Joining | None,
) -> Policy:
    """Return the policy with what was named; the rest stays."""
    return Policy(
        before.who_may_post if post is None else Role[post.name],
        before.slow_mode_ms if slow_mode is None else slow_mode * MS_A_SECOND,
        before.retention_ms if retention is None else retention * MS_A_SECOND,
        before.join if join is None else JoinRule[join.name],
    )


@ordering
def create(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    kind: Annotated[KindName, typer.Option(help="Who can know and join it.")] = KindName.PUBLIC,
    post: WhoPosts = None,
    slow_mode: SlowMode = None,
    retention: Retention = None,
    join: Join = None,
    gate: Annotated[
        Asks | None, typer.Option(help="What who joins must have on the currency chain.")
    ] = None,
    least: Annotated[
        str | None, typer.Option(help="How much of it: tokens, or base units as 5000udchat.")
    ] = None,
) -> None:
    """Open a channel of yours; its deposit comes back when you close it."""
    rule = JoinRule.INVITE if kind is KindName.PRIVATE else JoinRule.OPEN
    wanted = _changed(Policy(Role.MEMBER, 0, 0, rule), post, slow_mode, retention, join)
    asks = Gate(_FACTS[gate], parse_amount(least or "0")) if gate else NO_GATE

    async def make(source: Source, _sender: Identity) -> Plan[CreateChannel]:
        deposit = (await foresee(source, CHANNELS.load)).deposit
        body = CreateChannel(Kind[kind.name], wanted, asks, deposit)
        return Plan(body, Told({"deposit_credits": deposit}, _newest, "chat"))

    plan_and_carry_out(sending, families.CREATE, make, "chat")


async def _newest(source: Source, sender: AccountId) -> Fields:
    """Return the channel that the sender's last transaction created."""
    record = await source.value(accounts.key(sender))
    held = accounts.decode(record) if record else accounts.EMPTY
    chain = source.chain.entry.chain_id
    return await channel_fields(source, channels.id_of(chain, sender, held.nonce - 1))


def _channel(channel_id: bytes) -> After:
    async def after(source: Source, _sender: AccountId) -> Fields:
        return await channel_fields(source, channel_id)

    return after


def _told(channel_id: bytes) -> Told:
    return Told({}, _channel(channel_id), "chat")


@ordering
def close(
    sending: Sending,
    *,
    channel: ChannelOption,
    yes: Annotated[bool, typer.Option("--yes", help="Close it for good.")] = False,
) -> None:
    """Close a channel of yours for good, and take its deposit back."""
    channel_id = digits.parse(channel, "a channel id")
    if not yes:
        raise NeedsYes("a channel that is closed never opens again")
    carry_out(sending, families.CLOSE, CloseChannel(channel_id), _told(channel_id))


@ordering
def policy(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    channel: ChannelOption,
    post: WhoPosts = None,
    slow_mode: SlowMode = None,
    retention: Retention = None,
    join: Join = None,
) -> None:
    """Change what is allowed in a channel of yours; what is not named stays."""
    channel_id = digits.parse(channel, "a channel id")

    async def make(source: Source, _sender: Identity) -> Plan[SetPolicy]:
        before = (await channel_of(source, channel_id)).policy
        wanted = _changed(before, post, slow_mode, retention, join)
        return Plan(SetPolicy(channel_id, wanted), _told(channel_id))

    plan_and_carry_out(sending, families.SET_POLICY, make, "chat")


@ordering
def offer(
    sending: Sending,
    *,
    channel: ChannelOption,
    to: Annotated[
        str | None, typer.Option(help="Who may take it, dchat1…; absent takes an offer back.")
    ] = None,
) -> None:
    """Offer a channel of yours, with its deposit, to somebody who accepts it."""
    body = OfferChannel(digits.parse(channel, "a channel id"), _heir(to))
    carry_out(sending, ownership.OFFER, body, _told(body.channel))


@ordering
def accept(sending: Sending, *, channel: ChannelOption) -> None:
    """Take a channel that was offered to you; its owner stays as a moderator."""
    body = AcceptChannel(digits.parse(channel, "a channel id"))
    carry_out(sending, ownership.ACCEPT, body, _told(body.channel))


@ordering
def successor(
    sending: Sending,
    *,
    channel: ChannelOption,
    to: Annotated[
        str | None, typer.Option(help="Who may succeed you, dchat1…; absent for nobody.")
    ] = None,
) -> None:
    """Name who may take a channel of yours once you are gone."""
    body = NameSuccessor(digits.parse(channel, "a channel id"), _heir(to))
    carry_out(sending, ownership.NAME_SUCCESSOR, body, _told(body.channel))


@ordering
def succeed(sending: Sending, *, channel: ChannelOption) -> None:
    """Take a channel whose owner is gone and named you."""
    body = SucceedChannel(digits.parse(channel, "a channel id"))
    carry_out(sending, ownership.SUCCEED, body, _told(body.channel))


def _heir(text: str | None) -> AccountId:
    return NOBODY if text is None else accounts.parse_account(text)
