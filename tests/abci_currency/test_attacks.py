"""What attackers of the whole economy try; SECURITY_MODEL.md lists it.

`Chain.block` audits every state, so a unit that appears or is lost fails any of these.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency import params
from abci_currency.params import Rewards, Slashing, Staking
from abci_currency.state import pools, rewards, stake, staking
from abci_currency.state.leaving import UnbondingEnded
from abci_currency.state.staking import WorthlessShares
from abci_currency.txs.delegate import (
    DELEGATE,
    REDELEGATE,
    SETTLE,
    UNDELEGATE,
    Delegate,
    Redelegate,
    SettleUnbonding,
    Undelegate,
)
from abci_currency.txs.rewards import REWARDS, WithdrawRewards
from abci_currency.txs.validator import CREATE
from dchat.kernel import accounts
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.family import TxContext
from dchat.kernel.ids import Amount, Cost, Height
from dchat.kernel.machine import Misbehaviour, Offence, Outcome, Vote
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    FEE,
    FUNDS,
    RULES,
    STAKE,
    UNBONDING_MS,
    Chain,
    as_,
    begun,
    form,
    time_of,
    voter,
)
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, Person, signed


def ruled(
    staking_: Staking = RULES,
    slashing: Slashing = params.SLASHING.default,
    rewards_: Rewards | None = None,
) -> Chain:
    """Return a chain of alice's and bob's validators under these rules."""
    draft = Draft(begun((ALICE, BOB)))
    params.STAKING.save(draft, staking_)
    params.SLASHING.save(draft, slashing)
    params.REWARDS.save(draft, rewards_ or params.REWARDS.load(draft))
    return Chain(MemoryState(dict(draft.scan(b""))))


def vote(chain: Chain, rules: Staking) -> None:
    """Put other rules of staking in force."""
    draft = Draft(chain.state)
    params.STAKING.save(draft, rules)
    chain.state = chain.state.after(draft.writes())


def delegating(operator: Person, units: int) -> tuple[Raw, ...]:
    return DELEGATE.body(Delegate(operator.id, Amount(units)))


def undelegating(operator: Person, units: int) -> tuple[Raw, ...]:
    return UNDELEGATE.body(Undelegate(operator.id, Amount(units)))


def moving(source: Person, target: Person, units: int) -> tuple[Raw, ...]:
    return REDELEGATE.body(Redelegate(source.id, target.id, Amount(units)))


def offence(who: Person, height: int, power: int = STAKE // UNIT) -> Misbehaviour:
    return Misbehaviour(
        Offence.DUPLICATE_VOTE,
        stake.address_of(voter(who).public_key),
        power,
        Height(height),
        time_of(height),
    )


def at_once(chain: Chain, who: Person, *bodies: tuple[Raw, ...]) -> tuple[Outcome, ...]:
    """Run one block with all that who orders, one after the other."""
    first = chain.signed(who, bodies[0])
    nonce = nonce_of(chain, who)
    rest = [
        signed(
            who,
            body,
            nonce + at,
            fee=Amount(FEE),
            cost_limit=Cost(10_000),
            valid_until_height=Height(chain.height + 100),
        )
        for at, body in enumerate(bodies[1:], 1)
    ]
    return chain.block(first, *rest).outcomes


def nonce_of(chain: Chain, who: Person) -> int:
    return accounts.load(chain.state, who.id).nonce


def as_late(who: Person) -> TxContext:
    return as_(who, height=UNBONDING_MS)


ALL_LOST = Slashing(double_sign_slash_bp=10_000, downtime_slash_bp=10_000)


def lost() -> Chain:
    """Return a chain on which all of alice's validator was slashed, carol's stake too."""
    chain = ruled(slashing=ALL_LOST)
    chain.order(CAROL, delegating(ALICE, 10 * UNIT))
    chain.block()
    chain.block(misbehaviour=(offence(ALICE, chain.height, 1010),))
    assert chain.validator(ALICE).tokens == 0
    return chain


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (delegating(ALICE, 5), WorthlessShares.code),
        (moving(BOB, ALICE, 5), WorthlessShares.code),
        (undelegating(ALICE, 1), staking.InsufficientStake.code),
        (moving(ALICE, BOB, 1), staking.InsufficientStake.code),
        (REWARDS.body(WithdrawRewards((ALICE.id,))), 141),
    ],
)
def test_shares_that_are_worth_nothing_neither_sell_nor_earn_nor_stop_a_block(
    body: tuple[Raw, ...], code: int
) -> None:
    chain = lost()
    chain.order(CAROL, delegating(BOB, 10))

    assert chain.order(CAROL, body).code == code


def test_redelegated_shares_whose_target_lost_all_end_without_a_fault() -> None:
    chain = ruled(slashing=ALL_LOST)
    chain.order(CAROL, delegating(BOB, 10 * UNIT))
    chain.order(CAROL, moving(BOB, ALICE, 10 * UNIT))
    chain.block()
    chain.block(misbehaviour=(offence(ALICE, chain.height, 1010), offence(BOB, 1)))

    chain.block(after_ms=UNBONDING_MS)

    assert (chain.validator(ALICE).tokens, chain.shares(CAROL, ALICE)) == (0, 0)


def test_when_all_validators_have_lost_all_fees_go_to_the_treasury_and_a_new_one_takes_over() -> (
    None
):
    chain = ruled(slashing=ALL_LOST, rewards_=Rewards(fee_burn_bp=0, fee_treasury_bp=0))
    chain.block(misbehaviour=(offence(ALICE, 1), offence(BOB, 1)))

    made = chain.order(CAROL, CREATE.body(form(CAROL)))

    assert (made.code, chain.voting()) == (0, {voter(CAROL).public_key: 1000})
    assert chain.balance(pools.TREASURY) == FEE


def test_less_places_and_a_new_validator_in_the_block_of_evidence_leave_one_set() -> None:
    chain = ruled()
    vote(chain, replace(RULES, max_validators=1))

    result = chain.block(
        chain.signed(CAROL, CREATE.body(form(CAROL, stake=2 * STAKE))),
        misbehaviour=(offence(ALICE, 1), offence(BOB, 1)),
    )

    assert chain.voting() == {voter(CAROL).public_key: 2000}
    assert [each.power for each in result.validator_updates].count(0) == 2


def test_a_validator_listed_twice_and_a_stranger_in_a_commit_change_nothing_but_its_streak() -> (
    None
):
    chain = ruled()
    address = stake.address_of(voter(ALICE).public_key)
    odd = (
        Vote(address, 1000, present=True),
        Vote(address, 1000, present=False),
        Vote(b"s" * 20, 2**62, present=False),
        Vote(b"", 0, present=False),
    )

    results = [chain.block(last_commit=odd), chain.block(last_commit=odd)]

    assert [each.events for each in results] == [(), ()]
    assert not chain.validator(ALICE).jailed


@pytest.mark.parametrize("height", [0, 10**12])
def test_evidence_against_a_validator_that_everybody_left_takes_nothing_that_is_not_there(
    height: int,
) -> None:
    chain = ruled()
    chain.order(ALICE, undelegating(ALICE, STAKE))
    chain.block(after_ms=UNBONDING_MS + 1)
    paid = chain.balance(ALICE.id)
    late = replace(offence(ALICE, 1), height=Height(height), time_ms=time_of(99))

    chain.block(misbehaviour=(late,))

    assert (chain.validator(ALICE).tokens, chain.balance(ALICE.id)) == (0, paid)
    assert paid == FUNDS - FEE


def test_leaving_in_the_block_of_the_evidence_saves_nothing() -> None:
    chain = ruled()
    chain.order(CAROL, delegating(ALICE, 100 * UNIT))
    chain.block()
    caught = (offence(ALICE, chain.height, 1100),)

    chain.block(chain.signed(CAROL, undelegating(ALICE, 95 * UNIT)), misbehaviour=caught)
    chain.block(after_ms=UNBONDING_MS)

    assert chain.balance(CAROL.id) == FUNDS - 2 * FEE - 5 * UNIT
    assert chain.shares(CAROL, ALICE) == 0


def test_all_steps_of_a_getaway_in_the_block_before_the_evidence_save_nothing() -> None:
    """To another validator, out of it again, and asking for it early."""
    chain = ruled()
    chain.order(CAROL, delegating(ALICE, 100 * UNIT))
    chain.block()
    signed_at = chain.height
    settling = SETTLE.body(SettleUnbonding(BOB.id))

    done = at_once(
        chain, CAROL, moving(ALICE, BOB, 100 * UNIT), undelegating(BOB, 100 * UNIT), settling
    )
    chain.block(misbehaviour=(offence(ALICE, signed_at, 1100),))
    chain.block(after_ms=UNBONDING_MS)

    assert [each.code for each in done] == [0, 0, 128]
    assert chain.balance(CAROL.id) == FUNDS - 4 * FEE - 5 * UNIT


def test_fewer_unbondings_allowed_by_a_vote_hold_back_nobody_who_began_before() -> None:
    chain = ruled()
    chain.order(CAROL, delegating(ALICE, 9))
    at_once(chain, CAROL, *[undelegating(ALICE, 3)] * 3)
    vote(chain, replace(RULES, max_unbondings=1))
    draft = Draft(chain.state)

    told = SETTLE.apply(draft, SettleUnbonding(ALICE.id), as_late(CAROL))

    assert told == (UnbondingEnded(CAROL.id, ALICE.id, Amount(3), Amount(0)),) * 3


def test_stake_that_a_vote_would_free_sooner_stays_liable_as_long_as_it_began() -> None:
    chain = ruled(slashing=Slashing(evidence_max_age_ms=1_000))
    chain.order(CAROL, delegating(ALICE, 9))
    chain.order(CAROL, undelegating(ALICE, 9))
    vote(chain, replace(RULES, unbonding_ms=1_000))

    chain.block(after_ms=50_000)

    assert chain.balance(pools.UNBONDING) == 9


def test_dust_that_a_validator_is_flooded_with_costs_the_others_less_than_a_unit_each() -> None:
    chain = ruled(rewards_=Rewards(fee_burn_bp=0, fee_treasury_bp=0))
    before = chain.validator(ALICE)

    at_once(chain, CAROL, *[delegating(ALICE, 1)] * 20)

    after = chain.validator(ALICE)
    assert after.shares - before.shares == after.tokens - before.tokens == 20
    assert chain.balance(pools.REWARDS) * rewards.SCALE >= 20 * FEE * rewards.SCALE - 21


def test_who_stakes_just_before_an_epoch_ends_has_its_share_and_stays_liable_without_pay() -> None:
    """Known: emission is for who has stake at an epoch's end. To leave takes the unbonding time."""
    paid = Rewards(
        fee_burn_bp=10_000,
        fee_treasury_bp=0,
        epoch_ms=60_000,
        epoch_emission=Amount(3 * UNIT),
        max_emission=Amount(6 * UNIT),
    )
    chain = ruled(rewards_=paid)
    chain.order(CAROL, delegating(BOB, STAKE), after_ms=59_000)
    chain.order(CAROL, undelegating(BOB, STAKE), after_ms=1_000)
    earned = chain.balance(CAROL.id) - (FUNDS - STAKE - 2 * FEE)

    nothing = chain.order(CAROL, REWARDS.body(WithdrawRewards((BOB.id,))), after_ms=60_000)

    assert earned == 9 * UNIT // 10
    assert nothing.code == 141
    assert chain.balance(pools.UNBONDING) == STAKE
