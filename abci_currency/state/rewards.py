"""Rewards by two running sums, so that no block walks over validators or delegators.

    ("reward_totals",)               [per_token, active_tokens, accrued_to, emitted]
    ("validator_rewards", operator)  [seen, per_share, commission]
    ("reward_address", delegator)    the account that is paid instead

`per_token` is what one active base unit of stake has earned since genesis, `per_share` what one
share of a validator has, `commission` what its operator may withdraw, all times SCALE. A reward
moves the first sum alone. A validator catches up (`settle`) before its tokens, shares, commission
or place in the active set change, a delegator (`claim`) before its shares do.

Every division rounds down, and what it leaves is never given out again: it stays in the pool. So
claims never exceed what is in the pool, whoever settles in whatever order. Less than one base unit
is left over of a reward while stake is below SCALE, and less than one of each claim.

No sum leaves 128 bits, so that no block can stop at one:
- `per_token` grows by reward * SCALE / active_tokens, and stake below LEAST_ACTIVE is taken for
  none: that is below 2^108 for all that there can be. It would take a million times the largest
  supply in rewards; what would still overflow it goes to the treasury.
- `per_share` grows by no more than `per_token`, because a validator never has more tokens than
  shares: they begin equal, a slash takes tokens, and rounding never leaves a share more.
- `commission` is in the pool, hence below 2^64 * SCALE.
Source: the F1 fee distribution (Ojha and Goes, 2019), with the sum over validators on top; ADR 14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import keys, params
from abci_currency.state import pools, stake
from dchat.kernel import codec, holdings, supply
from dchat.kernel.accounts import ACCOUNT_ID, credit
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import MAX_U64, MAX_U128
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft, State, read

SCALE: Final = 10**19
"""The largest power of ten below 2^64: what divides evenly among people does so here."""
LEAST_ACTIVE: Final = Amount(UNIT)
"""Base units of stake that are one unit of voting power: nobody votes with less."""
_NOTHING: Final = Amount(0)
_NEVER: Final = EpochMs(0)


@dataclass(frozen=True, slots=True)
class Totals:
    """What all active stake has earned."""

    per_token: int = 0
    active_tokens: Amount = _NOTHING
    """Tokens of the validators that vote: they share what comes in."""
    accrued_to: EpochMs = _NEVER
    """The end of the last epoch whose emission was issued; 0 before the first began."""
    emitted: Amount = _NOTHING
    """Issued after genesis."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return TOTALS.encode(self)


@dataclass(frozen=True, slots=True)
class ValidatorRewards:
    """What one validator's stake has earned."""

    seen: int = 0
    """The totals' per_token when the validator last caught up."""
    per_share: int = 0
    commission: int = 0
    """Earned by the operator and not yet withdrawn, times SCALE."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return VALIDATOR_REWARDS.encode(self)


TOTALS: Final = codec.Record(
    Totals,
    per_token=codec.U128,
    active_tokens=codec.U64,
    accrued_to=codec.U64,
    emitted=codec.U64,
)
VALIDATOR_REWARDS: Final = codec.Record(
    ValidatorRewards,
    seen=codec.U128,
    per_share=codec.U128,
    commission=codec.U128,
)


def totals(state: State) -> Totals:
    """Return what all active stake has earned."""
    return read(state, keys.REWARD_TOTALS, TOTALS) or Totals()


def save_totals(draft: Draft, record: Totals) -> None:
    """Write what all active stake has earned."""
    draft.put(keys.REWARD_TOTALS, record)


def of_validator(state: State, operator: AccountId) -> ValidatorRewards:
    """Return what a validator's stake has earned, as of when it last caught up."""
    return read(state, keys.validator_rewards(operator), VALIDATOR_REWARDS) or ValidatorRewards()


def save_validator(draft: Draft, operator: AccountId, record: ValidatorRewards) -> None:
    """Write what a validator's stake has earned."""
    draft.put(keys.validator_rewards(operator), record)


def paid_to(state: State, delegator: AccountId) -> AccountId:
    """Return whom an account's rewards are paid to, itself if it named nobody."""
    found = state.get(keys.reward_address(delegator))
    return delegator if found is None else AccountId(ACCOUNT_ID.decode_own(found))


def pay_to(draft: Draft, delegator: AccountId, address: AccountId) -> None:
    """Pay an account's rewards to address from now on; its own id clears the record."""
    at = keys.reward_address(delegator)
    if address == delegator:
        draft.delete(at)
    else:
        draft.put(at, ACCOUNT_ID.encode(address))


def begin(draft: Draft, now: EpochMs) -> None:
    """Let the first epoch begin: at genesis, with its time."""
    save_totals(draft, replace(totals(draft), accrued_to=now))


def share_out(draft: Draft, amount: Amount) -> None:
    """Let all active stake earn amount, which is nobody's yet and goes into the pool.

    Where no stake is active, or the sum would leave 128 bits, the treasury gets it.
    """
    held = totals(draft)
    voting = held.active_tokens >= LEAST_ACTIVE
    per_token = held.per_token + (amount * SCALE // held.active_tokens if voting else 0)
    if held.per_token < per_token <= MAX_U128:
        credit(draft, pools.REWARDS, amount)
        save_totals(draft, replace(held, per_token=per_token))
    elif amount:
        credit(draft, pools.TREASURY, amount)


def accrue(draft: Draft, now: EpochMs) -> None:
    """Issue the emission of every epoch that ended since the last call; mostly writes nothing.

    It comes before whatever changes stake or the parameters of emission, and never from an empty
    block. Emission ends at its cap, and where what was ever issued would leave 64 bits.
    """
    held, rules = totals(draft), params.REWARDS.load(draft)
    if held.accrued_to == _NEVER:
        begin(draft, now)
        return
    epochs = (now - held.accrued_to) // rules.epoch_ms
    if epochs <= 0:
        return
    left = min(rules.max_emission - held.emitted, MAX_U64 - supply.load(draft).issued)
    amount = Amount(max(0, min(epochs * rules.epoch_emission, left)))
    accrued_to = EpochMs(held.accrued_to + epochs * rules.epoch_ms)
    emitted = Amount(held.emitted + amount)
    save_totals(draft, replace(held, accrued_to=accrued_to, emitted=emitted))
    _issue(draft, amount, rules.emission_treasury_bp)


def _issue(draft: Draft, amount: Amount, treasury_bp: int) -> None:
    if not amount:
        return
    supply.issue(draft, amount)
    treasury = Amount(amount * treasury_bp // params.BASIS_POINTS)
    if treasury:
        credit(draft, pools.TREASURY, treasury)
    share_out(draft, Amount(amount - treasury))


def caught_up(
    held: Totals, validator: stake.Validator, before: ValidatorRewards
) -> ValidatorRewards:
    """Return what a validator's stake has earned as of held, commission taken off.

    A validator that does not vote has earned nothing meanwhile.
    """
    earned = validator.tokens * (held.per_token - before.seen) if validator.active else 0
    commission = earned * validator.commission.rate_bp // params.BASIS_POINTS
    each = (earned - commission) // validator.shares if validator.shares else 0
    return ValidatorRewards(
        seen=held.per_token,
        per_share=before.per_share + each,
        commission=before.commission + commission,
    )


def settle(draft: Draft, operator: AccountId, validator: stake.Validator) -> ValidatorRewards:
    """Let a validator catch up, and return what its stake has earned.

    `validator` is its record as it was ever since it caught up last: what changes its tokens,
    shares, commission or whether it is active comes after.
    """
    before = of_validator(draft, operator)
    after = caught_up(totals(draft), validator, before)
    if after != before:
        save_validator(draft, operator, after)
    return after


def due(delegation: stake.Delegation, earned: ValidatorRewards) -> Amount:
    """Return what a delegator may withdraw from a validator that caught up, rounded down."""
    return Amount(delegation.shares * (earned.per_share - delegation.paid_per_share) // SCALE)


def claim(draft: Draft, delegator: AccountId, operator: AccountId) -> Amount:
    """Pay a delegator what it earned with a validator, and return that; 0 without a delegation.

    Less than a base unit waits for more, unless its shares change: before that comes a claim, and
    changed shares begin at the validator's present per_share, `settle(…).per_share`.
    """
    validator = stake.validator(draft, operator)
    held = stake.delegation(draft, delegator, operator)
    if validator is None or held is None:
        return _NOTHING
    earned = settle(draft, operator, validator)
    amount = due(held, earned)
    if amount:
        after = replace(held, paid_per_share=earned.per_share)
        stake.save_delegation(draft, delegator, operator, after)
        _pay(draft, delegator, amount)
    return amount


def claim_commission(draft: Draft, operator: AccountId) -> Amount:
    """Pay an operator its commission in whole base units, and return that; the rest waits.

    What was earned before a validator ceased to be is paid as well.
    """
    validator = stake.validator(draft, operator)
    earned = settle(draft, operator, validator) if validator else of_validator(draft, operator)
    amount, rest = divmod(earned.commission, SCALE)
    if amount:
        save_validator(draft, operator, replace(earned, commission=rest))
        _pay(draft, operator, Amount(amount))
    return Amount(amount)


def _pay(draft: Draft, earner: AccountId, amount: Amount) -> None:
    holdings.move(draft, pools.REWARDS, paid_to(draft, earner), amount)
