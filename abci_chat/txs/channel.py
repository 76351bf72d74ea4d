"""Channels: families that create one, change what is allowed there, and close it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.params import CHANNELS, DAY_MS
from abci_chat.state import channels, identities, members
from abci_chat.state.channels import Channel, Fact, Gate, JoinRule, Kind, Policy, Role
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft

MAX_SLOW_MODE_MS: Final = 7 * DAY_MS
MIN_RETENTION_MS: Final = 1000
MAX_RETENTION_MS: Final = 3650 * DAY_MS


class BadPolicy(TxRejected):
    """A policy out of bounds, or one that this kind of channel cannot keep."""

    code = 254


class BadGate(TxRejected):
    """A gated channel asks for something, and no other does."""

    code = 255


class DepositTooLow(TxRejected):
    """A channel takes a larger deposit than was offered. Attributes: have, need -- credits."""

    code = 279

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"a deposit of {have} credits at most, a channel takes {need}")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class CreateChannel:
    """Open a channel that the sender owns."""

    kind: Kind
    policy: Policy
    gate: Gate
    most_deposit: Amount
    """What the deposit may come to; the sender pays what the rules ask."""


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close a channel of the sender's for good, and take its deposit back."""

    channel: bytes


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Change what is allowed in a channel of the sender's."""

    channel: bytes
    policy: Policy


@dataclass(frozen=True, slots=True)
class ChannelCreated(Event):
    """There is a new channel."""

    channel: bytes
    owner: AccountId
    kind: int


@dataclass(frozen=True, slots=True)
class ChannelWasClosed(Event):
    """A channel is no more, and its deposit went back."""

    channel: bytes
    owner: AccountId
    deposit: Amount


@dataclass(frozen=True, slots=True)
class PolicySet(Event):
    """Something else is allowed in a channel."""

    channel: bytes


def check_create(tx: CreateChannel) -> None:
    """Apply the rules that need no state. Raises: BadPolicy, BadGate."""
    check_policy(tx.policy)
    _check_fits(tx.kind, tx.policy)
    asks = tx.gate.fact is not Fact.NONE and tx.gate.least > 0
    if asks != (tx.kind is Kind.GATED) or (not asks and tx.gate != channels.NO_GATE):
        raise BadGate("a gated channel asks for something, and no other does")


def check_set_policy(tx: SetPolicy) -> None:
    """Apply the rules that need no state. Raises: BadPolicy."""
    check_policy(tx.policy)


def check_close(tx: CloseChannel) -> None:
    """Accept every id: only the state knows what it stands for."""


def check_policy(policy: Policy) -> None:
    """Return if the numbers are within their bounds. Raises: BadPolicy."""
    if policy.slow_mode_ms > MAX_SLOW_MODE_MS:
        raise BadPolicy(f"slow mode of {policy.slow_mode_ms} ms, at most {MAX_SLOW_MODE_MS}")
    kept = policy.retention_ms
    if kept and not MIN_RETENTION_MS <= kept <= MAX_RETENTION_MS:
        raise BadPolicy(f"posts kept {kept} ms, {MIN_RETENTION_MS} to {MAX_RETENTION_MS} or 0")


def _check_fits(kind: Kind, policy: Policy) -> None:
    """Return if that kind of channel can keep the policy. Raises: BadPolicy."""
    if kind is not Kind.PRIVATE:
        return
    if policy.join is not JoinRule.INVITE:
        raise BadPolicy("a private channel takes members in by an epoch: its join rule is invite")
    if policy.who_may_post is not Role.MEMBER:
        raise BadPolicy("posts in a private channel show no role: every member may post")


def create(draft: Draft, tx: CreateChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Open the channel. Raises: NotRegistered, Deactivated, DepositTooLow, InsufficientFunds."""
    identities.active(draft, ctx.sender)
    deposit, now = CHANNELS.load(draft).deposit, ctx.block_time_ms
    if deposit > tx.most_deposit:
        raise DepositTooLow(tx.most_deposit, deposit)
    which = channels.new_id(ctx)
    record = Channel(tx.kind, ctx.sender, deposit, tx.policy, tx.gate, now, now)
    channels.fund(draft, which, record)
    return (ChannelCreated(which, ctx.sender, tx.kind),)


def close(draft: Draft, tx: CloseChannel, ctx: TxContext) -> tuple[Event, ...]:
    """Close the channel and return its deposit. Raises: as members.act()."""
    members.act(draft, tx.channel, ctx, Role.OWNER)
    record = channels.open_channel(draft, tx.channel)
    channels.close(draft, tx.channel, record, ctx.block_time_ms)
    return (ChannelWasClosed(tx.channel, record.owner, record.deposit),)


def set_policy(draft: Draft, tx: SetPolicy, ctx: TxContext) -> tuple[Event, ...]:
    """Put the policy in force. Raises: BadPolicy, as members.act()."""
    members.act(draft, tx.channel, ctx, Role.OWNER)
    record = channels.open_channel(draft, tx.channel)
    _check_fits(record.kind, tx.policy)
    channels.save(draft, tx.channel, replace(record, policy=tx.policy))
    return (PolicySet(tx.channel),)


CREATE: Final = Family(
    type=20,
    name="create_channel",
    shape=codec.Record(
        CreateChannel,
        kind=codec.Choice(Kind),
        policy=channels.POLICY,
        gate=channels.GATE,
        most_deposit=codec.U64,
    ),
    cost=Cost(150),
    check=check_create,
    apply=create,
    spends=lambda tx: tx.most_deposit,
)

CLOSE: Final = Family(
    type=21,
    name="close_channel",
    shape=codec.Record(CloseChannel, channel=channels.CHANNEL_ID),
    cost=Cost(120),
    check=check_close,
    apply=close,
)

SET_POLICY: Final = Family(
    type=22,
    name="set_channel_policy",
    shape=codec.Record(SetPolicy, channel=channels.CHANNEL_ID, policy=channels.POLICY),
    cost=Cost(80),
    check=check_set_policy,
    apply=set_policy,
)

FAMILIES: Final = (CREATE, CLOSE, SET_POLICY)
