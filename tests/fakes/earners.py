"""Validators and delegators that earn: a draft made by the rules of stake alone, no blocks."""

from __future__ import annotations

from dataclasses import replace

from abci_currency.state import pools, rewards, stake, staking
from abci_currency.state.stake import Commission, Validator
from dchat.kernel import holdings, supply
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, give

FUNDS = 20_000
ONE = Amount(stake.POWER_UNIT)
"""Stake that is one vote."""
PEOPLE = (ALICE.id, BOB.id, CAROL.id)


def terms(rate_bp: int) -> tuple[Commission, Amount]:
    """Return terms under which everything may change."""
    return Commission(rate_bp, 10_000, 10_000, EpochMs(0)), Amount(0)


def staked(*stakes: int, rate_bp: int = 0) -> Draft:
    """Return a state in which alice, bob and carol are active validators with this own stake."""
    draft = Draft(MemoryState())
    rewards.begin(draft, START)
    for at, (who, tokens) in enumerate(zip(PEOPLE, stakes, strict=False)):
        staking.open_validator(draft, who, bytes([at]) * 32, "", terms(rate_bp))
        delegate(draft, who, who, tokens)
        change(draft, who, replace(validator_of(draft, who), active=True))
    return draft


def earned() -> MemoryState:
    """Return a state in which bob earned 900 with alice and 900 of his own, commission aside.

    Alice and bob take 10 %; each of the four delegations is one vote.
    """
    draft = staked(ONE, ONE, rate_bp=1_000)
    delegate(draft, BOB.id, ALICE.id, ONE)
    pay_fees(draft, 3_000)
    delegate(draft, CAROL.id, BOB.id, ONE)
    for who in PEOPLE:
        give(draft, who, FUNDS)
    return MemoryState().after(draft.writes())


def delegate(draft: Draft, who: AccountId, operator: AccountId, tokens: int) -> None:
    """Bond newly issued tokens."""
    give(draft, who, tokens)
    staking.bond(draft, who, operator, Amount(tokens), who)


def slash(draft: Draft, operator: AccountId, fraction_bp: int) -> None:
    """Burn a share of a validator's tokens, rounded down."""
    held = validator_of(draft, operator)
    taken = Amount(held.tokens * fraction_bp // 10_000)
    change(draft, operator, replace(held, tokens=Amount(held.tokens - taken)))
    holdings.burn(draft, pools.STAKED, taken)


def pay_fees(draft: Draft, amount: int) -> None:
    """Let stakers share newly issued units."""
    supply.issue(draft, Amount(amount))
    rewards.share_out(draft, Amount(amount))


def validator_of(draft: Draft, operator: AccountId) -> Validator:
    """Return the validator of this operator."""
    return staking.found(draft, operator)


def change(draft: Draft, operator: AccountId, after: Validator) -> None:
    """Put another record in the place of a validator's."""
    staking.replace_validator(draft, operator, validator_of(draft, operator), after)
