"""Locked tokens: the families that claim what has vested, and stake what is locked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import pools, rewards, staking, vesting
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft


@dataclass(frozen=True, slots=True)
class ClaimVested:
    """Pay the sender all that has vested and is not staked."""


@dataclass(frozen=True, slots=True)
class DelegateVested:
    """Stake tokens that are locked for the sender, vested or not, with a validator."""

    operator: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class VestedClaimed(Event):
    """Tokens that were locked are their owner's."""

    account: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class VestedDelegated(Event):
    """An account staked locked tokens with a validator."""

    delegator: AccountId
    operator: AccountId
    amount: Amount


def check_claim(_: ClaimVested) -> None:
    """Accept every claim: it has no fields."""


def check_delegate(tx: DelegateVested) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("stake moves by at least one base unit")


def claim(draft: Draft, _: ClaimVested, ctx: TxContext) -> tuple[Event, ...]:
    """Pay out what has vested. Raises: NothingLocked, NothingVested, AmountTooLarge."""
    paid = vesting.claim(draft, ctx.sender, ctx.block_time_ms)
    return (VestedClaimed(ctx.sender, paid),)


def delegate(draft: Draft, tx: DelegateVested, ctx: TxContext) -> tuple[Event, ...]:
    """Bond locked tokens.

    Raises: NothingLocked, TooLittleLocked, and what `staking.bond` does.
    """
    rewards.accrue(draft, ctx.block_time_ms)
    vesting.stake(draft, ctx.sender, tx.amount)
    staking.bond(draft, ctx.sender, tx.operator, tx.amount, pools.VESTING)
    return (VestedDelegated(ctx.sender, tx.operator, tx.amount),)


CLAIM: Final = Family(
    type=4,
    name="claim_vested",
    shape=codec.Record(ClaimVested),
    cost=Cost(70),
    check=check_claim,
    apply=claim,
)
DELEGATE: Final = Family(
    type=5,
    name="delegate_vested",
    shape=codec.Record(DelegateVested, operator=ACCOUNT_ID, amount=codec.U64),
    cost=Cost(340),
    check=check_delegate,
    apply=delegate,
)
FAMILIES: Final = (CLAIM, DELEGATE)
