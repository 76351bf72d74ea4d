"""Rewards: the families that pay out what stake has earned, and say to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import pools, rewards
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID, show_account
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft

MAX_OPERATORS: Final = 16


class NothingToWithdraw(TxRejected):
    """Less than one base unit is due, or the account has no stake there at all."""

    code = 141


@dataclass(frozen=True, slots=True)
class WithdrawRewards:
    """Pay the sender, or whom it named, what its stake has earned with these validators."""

    operators: tuple[AccountId, ...]
    """At most MAX_OPERATORS; what is named twice is paid once."""


@dataclass(frozen=True, slots=True)
class WithdrawCommission:
    """Pay the sender, or whom it named, what it earned as a validator's operator."""


@dataclass(frozen=True, slots=True)
class SetRewardAddress:
    """Have the sender's rewards and commission paid to this account from now on."""

    address: AccountId
    """The sender's own to have them itself again."""


@dataclass(frozen=True, slots=True)
class RewardsWithdrawn(Event):
    """A delegator's rewards with one validator were paid."""

    delegator: AccountId
    operator: AccountId
    to: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class CommissionWithdrawn(Event):
    """An operator's commission was paid."""

    operator: AccountId
    to: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class RewardAddressSet(Event):
    """An account's rewards are paid to this address."""

    delegator: AccountId
    address: AccountId


def check_rewards(tx: WithdrawRewards) -> None:
    """Apply the rules that need no state. Raises: NothingToWithdraw."""
    if not tx.operators:
        raise NothingToWithdraw("no validator is named")


def check_commission(tx: WithdrawCommission) -> None:
    """Accept it: it has no fields."""


def check_address(tx: SetRewardAddress) -> None:
    """Apply the rules that need no state. Raises: HeldByRules."""
    pools.check_payee(tx.address)


def withdraw_rewards(draft: Draft, tx: WithdrawRewards, ctx: TxContext) -> tuple[Event, ...]:
    """Pay what is due with each of the validators. Raises: NothingToWithdraw if that is nothing."""
    rewards.accrue(draft, ctx.block_time_ms)
    to = rewards.paid_to(draft, ctx.sender)
    paid = [(each, rewards.claim(draft, ctx.sender, each)) for each in tx.operators]
    if not any(amount for _, amount in paid):
        raise NothingToWithdraw("no stake of the sender has earned a base unit there")
    return tuple(
        RewardsWithdrawn(ctx.sender, operator, to, amount) for operator, amount in paid if amount
    )


def withdraw_commission(draft: Draft, _: WithdrawCommission, ctx: TxContext) -> tuple[Event, ...]:
    """Pay the commission that is due. Raises: NothingToWithdraw."""
    rewards.accrue(draft, ctx.block_time_ms)
    amount = rewards.claim_commission(draft, ctx.sender)
    if not amount:
        raise NothingToWithdraw(f"{show_account(ctx.sender)} has earned no commission")
    return (CommissionWithdrawn(ctx.sender, rewards.paid_to(draft, ctx.sender), amount),)


def set_address(draft: Draft, tx: SetRewardAddress, ctx: TxContext) -> tuple[Event, ...]:
    """Pay the sender's rewards to the address, also what was earned before."""
    rewards.pay_to(draft, ctx.sender, tx.address)
    return (RewardAddressSet(ctx.sender, tx.address),)


REWARDS: Final = Family(
    type=25,
    name="withdraw_rewards",
    shape=codec.Record(WithdrawRewards, operators=codec.ListOf(ACCOUNT_ID, MAX_OPERATORS)),
    cost=Cost(30),
    cost_per_entry=Cost(75),
    check=check_rewards,
    apply=withdraw_rewards,
)
COMMISSION: Final = Family(
    type=26,
    name="withdraw_commission",
    shape=codec.Record(WithdrawCommission),
    cost=Cost(60),
    check=check_commission,
    apply=withdraw_commission,
)
ADDRESS: Final = Family(
    type=27,
    name="set_reward_address",
    shape=codec.Record(SetRewardAddress, address=ACCOUNT_ID),
    cost=Cost(35),
    check=check_address,
    apply=set_address,
)
FAMILIES: Final = (REWARDS, COMMISSION, ADDRESS)
