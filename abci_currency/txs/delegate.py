"""Delegation: families that stake with a validator, take stake back, and move it to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import leaving, rewards, stake, staking
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft


class SameValidator(TxRejected):
    """Stake is redelegated to the validator that it is with."""

    code = 123


@dataclass(frozen=True, slots=True)
class Delegate:
    """Stake the sender's base units with a validator."""

    operator: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Undelegate:
    """Take stake back; it stays liable for the unbonding period and is paid out by itself then."""

    operator: AccountId
    amount: Amount
    """Base units that the shares are worth now; what would be left worth nothing goes along."""


@dataclass(frozen=True, slots=True)
class Redelegate:
    """Move stake to another validator at once; it answers for the first one for a while."""

    source: AccountId
    target: AccountId
    amount: Amount
    """As in Undelegate."""


@dataclass(frozen=True, slots=True)
class SettleUnbonding:
    """Pay out what the sender took back from a validator and is due, without waiting in line."""

    operator: AccountId


@dataclass(frozen=True, slots=True)
class Delegated(Event):
    """An account staked with a validator."""

    delegator: AccountId
    operator: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Undelegated(Event):
    """Stake is on its way back to its owner."""

    delegator: AccountId
    operator: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Redelegated(Event):
    """Stake is with another validator."""

    delegator: AccountId
    source: AccountId
    target: AccountId
    amount: Amount


def check_amount(tx: Delegate | Undelegate) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("stake moves by at least one base unit")


def check_redelegate(tx: Redelegate) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount, SameValidator."""
    if tx.amount == 0:
        raise ZeroAmount("stake moves by at least one base unit")
    if tx.source == tx.target:
        raise SameValidator("the stake is with this validator already")


def check_settle(tx: SettleUnbonding) -> None:
    """Accept every order: all rules need the state."""


def delegate(draft: Draft, tx: Delegate, ctx: TxContext) -> tuple[Event, ...]:
    """Bond the sender's tokens. Raises: what `staking.bond` does."""
    rewards.accrue(draft, ctx.block_time_ms)
    staking.bond(draft, ctx.sender, tx.operator, tx.amount, ctx.sender)
    return (Delegated(ctx.sender, tx.operator, tx.amount),)


def undelegate(draft: Draft, tx: Undelegate, ctx: TxContext) -> tuple[Event, ...]:
    """Put stake on its way out. Raises: what `leaving.unbond` does."""
    rewards.accrue(draft, ctx.block_time_ms)
    shares = _shares(draft, ctx.sender, tx.operator, tx.amount)
    tokens = leaving.unbond(draft, ctx, tx.operator, shares)
    left = Undelegated(ctx.sender, tx.operator, tokens)
    return (left, *leaving.jail_if_short(draft, tx.operator, ctx))


def redelegate(draft: Draft, tx: Redelegate, ctx: TxContext) -> tuple[Event, ...]:
    """Move stake to another validator. Raises: what `leaving.redelegate` does."""
    rewards.accrue(draft, ctx.block_time_ms)
    shares = _shares(draft, ctx.sender, tx.source, tx.amount)
    tokens = leaving.redelegate(draft, ctx, tx.source, tx.target, shares)
    moved = Redelegated(ctx.sender, tx.source, tx.target, tokens)
    return (moved, *leaving.jail_if_short(draft, tx.source, ctx))


def settle(draft: Draft, tx: SettleUnbonding, ctx: TxContext) -> tuple[Event, ...]:
    """Pay out what is due. Raises: UnbondingNotDue."""
    return leaving.settle(draft, ctx, tx.operator)


def _shares(draft: Draft, delegator: AccountId, operator: AccountId, amount: Amount) -> int:
    held = stake.delegation(draft, delegator, operator)
    return staking.shares_worth(staking.found(draft, operator), held.shares if held else 0, amount)


DELEGATE: Final = Family(
    type=12,
    name="delegate",
    shape=codec.Record(Delegate, operator=ACCOUNT_ID, amount=codec.U64),
    cost=Cost(180),
    check=check_amount,
    apply=delegate,
    spends=lambda tx: tx.amount,
)
UNDELEGATE: Final = Family(
    type=13,
    name="undelegate",
    shape=codec.Record(Undelegate, operator=ACCOUNT_ID, amount=codec.U64),
    cost=Cost(420),
    check=check_amount,
    apply=undelegate,
)
REDELEGATE: Final = Family(
    type=14,
    name="redelegate",
    shape=codec.Record(Redelegate, source=ACCOUNT_ID, target=ACCOUNT_ID, amount=codec.U64),
    cost=Cost(500),
    check=check_redelegate,
    apply=redelegate,
)
SETTLE: Final = Family(
    type=17,
    name="settle_unbonding",
    shape=codec.Record(SettleUnbonding, operator=ACCOUNT_ID),
    cost=Cost(300),
    check=check_settle,
    apply=settle,
)
FAMILIES: Final = (DELEGATE, UNDELEGATE, REDELEGATE, SETTLE)
