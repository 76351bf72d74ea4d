"""Rewards by two running sums, so that no block walks over validators or delegators.

    ("reward_totals",)               [per_token, rest, active_tokens, epoch, emitted]
    ("validator_rewards", operator)  [seen, per_share, rest, commission]

`per_token` is what one active base unit of stake has earned since genesis, `per_share` what one
share of a validator has, both times SCALE. A reward moves the first sum alone. A validator catches
up (`settle`) before its tokens, shares, commission or place in the active set change, a delegator
(`abci_currency/state/staking.py`) before its shares do. `rest` carries what the division left, so
that nothing is lost but what rounding down withdrawals leaves in the pool.
Source: the F1 fee distribution (Ojha and Goes, 2019), with the sum over validators on top; ADR 14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import keys
from dchat.kernel import codec
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft, State

SCALE: Final = 1 << 48
_NOTHING: Final = Amount(0)


@dataclass(frozen=True, slots=True)
class Totals:
    """What all active stake has earned."""

    per_token: int = 0
    rest: int = 0
    active_tokens: Amount = _NOTHING
    """Tokens of the validators that vote: they share what comes in."""
    epoch: int = 0
    """The last epoch whose emission was issued."""
    emitted: Amount = _NOTHING
    """Issued after genesis."""


@dataclass(frozen=True, slots=True)
class ValidatorRewards:
    """What one validator's stake has earned."""

    seen: int = 0
    """The totals' per_token when the validator last caught up."""
    per_share: int = 0
    rest: int = 0
    commission: Amount = _NOTHING
    """Earned by the operator and not yet withdrawn."""


TOTALS: Final = codec.Record(
    Totals,
    per_token=codec.U128,
    rest=codec.U128,
    active_tokens=codec.U64,
    epoch=codec.U64,
    emitted=codec.U64,
)
VALIDATOR_REWARDS: Final = codec.Record(
    ValidatorRewards,
    seen=codec.U128,
    per_share=codec.U128,
    rest=codec.U128,
    commission=codec.U64,
)


def totals(state: State) -> Totals:
    """Return what all active stake has earned."""
    found = state.get(keys.REWARD_TOTALS)
    return Totals() if found is None else TOTALS.decode_own(found)


def save_totals(draft: Draft, record: Totals) -> None:
    """Write what all active stake has earned."""
    draft.put(keys.REWARD_TOTALS, TOTALS.encode(record))


def of_validator(state: State, operator: AccountId) -> ValidatorRewards:
    """Return what a validator's stake has earned, as of when it last caught up."""
    found = state.get(keys.validator_rewards(operator))
    return ValidatorRewards() if found is None else VALIDATOR_REWARDS.decode_own(found)


def save_validator(draft: Draft, operator: AccountId, record: ValidatorRewards) -> None:
    """Write what a validator's stake has earned."""
    draft.put(keys.validator_rewards(operator), VALIDATOR_REWARDS.encode(record))


def share_out(draft: Draft, amount: Amount) -> None:
    """Let all active stake earn amount, which is in the pool already. Active stake is above 0."""
    held = totals(draft)
    scaled = amount * SCALE + held.rest
    each, rest = divmod(scaled, held.active_tokens)
    save_totals(draft, replace(held, per_token=held.per_token + each, rest=rest))
