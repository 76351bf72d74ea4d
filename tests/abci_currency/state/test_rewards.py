from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency import params
from abci_currency.params import DAY_MS
from abci_currency.state import audit, pools, rewards, staking
from abci_currency.state.rewards import LEAST_ACTIVE, SCALE, Totals, ValidatorRewards
from abci_currency.state.stake import Delegation, Validator
from dchat.kernel import accounts, supply
from dchat.kernel.codec import MAX_U64, MAX_U128
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.earners import ONE, change, delegate, pay_fees, slash, staked, terms, validator_of
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState


def balance(draft: Draft, who: AccountId) -> int:
    return accounts.load(draft, who).balance


def test_active_stake_earns_in_proportion() -> None:
    draft = staked(3 * ONE, ONE)

    pay_fees(draft, 400)

    paid = [rewards.claim(draft, who, who) for who in (ALICE.id, BOB.id)]
    assert (paid, balance(draft, ALICE.id)) == ([300, 100], 300)


def test_a_claim_comes_out_of_the_pool_and_only_once() -> None:
    draft = staked(ONE)
    pay_fees(draft, 400)

    first, second = (rewards.claim(draft, ALICE.id, ALICE.id) for _ in range(2))

    assert (first, second, balance(draft, pools.REWARDS)) == (400, 0, 0)


def test_who_comes_later_has_no_part_in_what_came_before() -> None:
    draft = staked(ONE)
    pay_fees(draft, 400)

    delegate(draft, BOB.id, ALICE.id, ONE)
    pay_fees(draft, 100)

    assert rewards.claim(draft, BOB.id, ALICE.id) == 50


def test_what_was_earned_is_paid_when_stake_goes() -> None:
    draft = staked(ONE)
    delegate(draft, BOB.id, ALICE.id, ONE)
    pay_fees(draft, 100)

    staking.take_shares(draft, BOB.id, ALICE.id, ONE)

    assert balance(draft, BOB.id) == 50


def test_a_validator_that_does_not_vote_earns_nothing() -> None:
    draft = staked(ONE, ONE)
    change(draft, BOB.id, replace(validator_of(draft, BOB.id), active=False))
    pay_fees(draft, 100)
    change(draft, BOB.id, replace(validator_of(draft, BOB.id), active=True))

    pay_fees(draft, 10)

    assert [rewards.claim(draft, who, who) for who in (ALICE.id, BOB.id)] == [105, 5]


def test_a_slash_does_not_touch_what_was_earned_before_it() -> None:
    draft = staked(2 * ONE, 2 * ONE)
    pay_fees(draft, 100)

    slash(draft, ALICE.id, 5_000)
    pay_fees(draft, 30)

    assert [rewards.claim(draft, who, who) for who in (ALICE.id, BOB.id)] == [60, 70]


def test_commission_comes_off_before_delegators_share() -> None:
    draft = staked(ONE, rate_bp=1_000)
    delegate(draft, BOB.id, ALICE.id, ONE)
    pay_fees(draft, 1_000)

    paid = [rewards.claim(draft, who, ALICE.id) for who in (ALICE.id, BOB.id)]

    assert (paid, rewards.claim_commission(draft, ALICE.id)) == ([450, 450], 100)


def test_another_commission_does_not_reach_back() -> None:
    draft = staked(ONE, rate_bp=1_000)
    pay_fees(draft, 1_000)

    held = validator_of(draft, ALICE.id)
    change(draft, ALICE.id, replace(held, commission=terms(5_000)[0]))
    pay_fees(draft, 100)

    assert rewards.claim_commission(draft, ALICE.id) == 150


def test_commission_below_a_base_unit_waits_for_more() -> None:
    draft = staked(ONE, rate_bp=1_000)

    pay_fees(draft, 19)
    first = rewards.claim_commission(draft, ALICE.id)
    pay_fees(draft, 1)

    assert (first, rewards.claim_commission(draft, ALICE.id)) == (1, 1)


def test_rewards_below_a_base_unit_wait_for_more() -> None:
    draft = staked(ONE)
    delegate(draft, BOB.id, ALICE.id, ONE)

    pay_fees(draft, 1)
    first = rewards.claim(draft, BOB.id, ALICE.id)
    pay_fees(draft, 1)

    assert (first, rewards.claim(draft, BOB.id, ALICE.id)) == (0, 1)


def test_commission_outlives_its_validator() -> None:
    draft = staked(ONE, rate_bp=1_000)
    pay_fees(draft, 100)
    rewards.settle(draft, ALICE.id, validator_of(draft, ALICE.id))

    draft.delete(rewards.keys.validator(ALICE.id))

    assert rewards.claim_commission(draft, ALICE.id) == 10


def test_rewards_go_where_their_owner_says() -> None:
    draft = staked(ONE, rate_bp=1_000)
    pay_fees(draft, 100)

    rewards.pay_to(draft, ALICE.id, CAROL.id)
    rewards.claim(draft, ALICE.id, ALICE.id)
    rewards.claim_commission(draft, ALICE.id)

    assert (balance(draft, ALICE.id), balance(draft, CAROL.id)) == (0, 100)


def test_naming_oneself_forgets_the_address() -> None:
    draft = staked(ONE)
    before = dict(draft.writes())

    rewards.pay_to(draft, ALICE.id, CAROL.id)
    rewards.pay_to(draft, ALICE.id, ALICE.id)

    assert rewards.paid_to(draft, ALICE.id) == ALICE.id
    assert {key: value for key, value in draft.writes().items() if value} == before


def test_a_claim_without_stake_is_nothing_and_writes_nothing() -> None:
    draft = staked(ONE)
    child = draft.fork()

    assert rewards.claim(child, BOB.id, ALICE.id) == rewards.claim(child, BOB.id, CAROL.id) == 0
    assert child.writes() == {}


def test_catching_up_twice_writes_once() -> None:
    draft = staked(ONE)
    pay_fees(draft, 100)
    rewards.settle(draft, ALICE.id, validator_of(draft, ALICE.id))
    child = draft.fork()

    rewards.settle(child, ALICE.id, validator_of(draft, ALICE.id))

    assert child.writes() == {}


@pytest.mark.parametrize("active", [0, LEAST_ACTIVE - 1])
def test_where_nobody_votes_the_treasury_gets_it(active: int) -> None:
    draft = Draft(MemoryState())
    rewards.save_totals(draft, Totals(active_tokens=Amount(active)))

    rewards.share_out(draft, Amount(7))

    assert (balance(draft, pools.TREASURY), balance(draft, pools.REWARDS)) == (7, 0)
    assert rewards.totals(draft) == Totals(active_tokens=Amount(active))


def test_sharing_out_nothing_writes_nothing() -> None:
    child = staked(ONE).fork()

    rewards.share_out(child, Amount(0))

    assert child.writes() == {}


def test_the_example_in_the_docs_adds_up() -> None:
    draft = staked(4 * ONE, rate_bp=1_000)
    delegate(draft, BOB.id, ALICE.id, 4 * ONE)
    pay_fees(draft, 1_000)
    delegate(draft, CAROL.id, ALICE.id, 8 * ONE)
    pay_fees(draft, 1_000)
    slash(draft, ALICE.id, 5_000)

    paid = [rewards.claim(draft, who, ALICE.id) for who in (ALICE.id, BOB.id, CAROL.id)]

    assert (paid, rewards.claim_commission(draft, ALICE.id)) == ([675, 675, 450], 200)
    assert balance(draft, pools.REWARDS) == 0


# The extremes of 128 bits.


def test_all_that_there_can_be_fits_on_the_least_stake_a_million_times() -> None:
    each = MAX_U64 * SCALE // LEAST_ACTIVE

    assert 1_000_000 * each <= MAX_U128


@pytest.mark.parametrize("active", [LEAST_ACTIVE, MAX_U64])
def test_the_largest_reward_is_encoded(active: int) -> None:
    draft = Draft(MemoryState())
    rewards.save_totals(draft, Totals(active_tokens=Amount(active)))

    rewards.share_out(draft, Amount(MAX_U64))

    assert rewards.totals(draft).per_token == MAX_U64 * SCALE // active


@pytest.mark.parametrize(("active", "per_token"), [(SCALE, 1), (SCALE + 1, 0)])
def test_a_reward_too_small_for_the_stake_goes_to_the_treasury(active: int, per_token: int) -> None:
    draft = Draft(MemoryState())
    rewards.save_totals(draft, Totals(active_tokens=Amount(active)))

    rewards.share_out(draft, Amount(1))

    assert rewards.totals(draft).per_token == per_token
    assert balance(draft, pools.TREASURY) == 1 - per_token


@pytest.mark.parametrize(("room", "shared"), [(SCALE, True), (SCALE - 1, False)])
def test_what_would_overflow_the_sum_goes_to_the_treasury(room: int, shared: bool) -> None:
    full = Totals(per_token=MAX_U128 - room, active_tokens=LEAST_ACTIVE)
    draft = Draft(MemoryState())
    rewards.save_totals(draft, full)

    rewards.share_out(draft, LEAST_ACTIVE)

    assert (balance(draft, pools.REWARDS) > 0) is shared
    assert (rewards.totals(draft).per_token == MAX_U128) is shared
    assert (balance(draft, pools.TREASURY) > 0) is not shared


def extreme(tokens: int, shares: int, rate_bp: int) -> Validator:
    record = validator_of(staked(ONE), ALICE.id)
    commission = replace(record.commission, rate_bp=rate_bp)
    return replace(record, tokens=Amount(tokens), shares=shares, commission=commission)


@pytest.mark.parametrize("shares", [MAX_U64, MAX_U128])
@pytest.mark.parametrize("rate_bp", [0, 1, 9_999])
def test_a_validators_sums_fit_with_the_largest_stake_and_the_largest_sum(
    shares: int, rate_bp: int
) -> None:
    earned = MAX_U128 // MAX_U64
    held = Totals(per_token=earned, active_tokens=Amount(MAX_U64))

    after = rewards.caught_up(held, extreme(MAX_U64, shares, rate_bp), ValidatorRewards())

    assert rewards.VALIDATOR_REWARDS.decode(rewards.VALIDATOR_REWARDS.encode(after)) == after
    assert after.per_share <= held.per_token


def test_a_share_never_earns_more_than_a_token() -> None:
    held = Totals(per_token=MAX_U128, active_tokens=LEAST_ACTIVE)

    after = rewards.caught_up(held, extreme(LEAST_ACTIVE, LEAST_ACTIVE, 0), ValidatorRewards())

    assert after.per_share == MAX_U128


def test_commission_on_all_that_there_can_be_fits() -> None:
    held = Totals(per_token=SCALE, active_tokens=Amount(MAX_U64))

    after = rewards.caught_up(held, extreme(MAX_U64, MAX_U64, 10_000), ValidatorRewards())

    assert rewards.VALIDATOR_REWARDS.encode(after)
    assert (after.commission, after.per_share) == (MAX_U64 * SCALE, 0)


def test_what_is_due_rounds_down() -> None:
    earned = ValidatorRewards(per_share=SCALE - 1)

    assert rewards.due(Delegation(1, 0, 0), earned) == 0
    assert rewards.due(Delegation(SCALE, 0, 0), earned) == SCALE - 1


# Emission.


def emitting(emission: int = 1_000, cap: int = 10_000, treasury_bp: int = 0) -> Draft:
    draft = staked(ONE)
    rules = replace(
        params.REWARDS.default,
        epoch_emission=Amount(emission),
        max_emission=Amount(cap),
        emission_treasury_bp=treasury_bp,
    )
    params.REWARDS.save(draft, rules)
    return draft


def after(days: float) -> EpochMs:
    return EpochMs(START + round(days * DAY_MS))


def test_an_epoch_is_paid_once_it_is_over() -> None:
    draft = emitting()

    rewards.accrue(draft, EpochMs(START + DAY_MS - 1))
    before = rewards.totals(draft).emitted
    rewards.accrue(draft, EpochMs(START + DAY_MS))

    assert (before, rewards.claim(draft, ALICE.id, ALICE.id)) == (0, 1_000)
    audit.check_invariants(draft)


def test_an_epoch_is_paid_once_only() -> None:
    draft = emitting()
    rewards.accrue(draft, after(1.5))
    child = draft.fork()

    rewards.accrue(child, after(1.9))

    assert child.writes() == {}


def test_whole_epochs_are_made_up_for_after_a_quiet_time() -> None:
    draft = emitting()

    rewards.accrue(draft, after(3.7))

    assert rewards.totals(draft).emitted == 3_000
    assert rewards.totals(draft).accrued_to == after(3)


def test_epochs_count_from_the_beginning_and_not_from_1970() -> None:
    draft = emitting()

    rewards.accrue(draft, after(0.999))

    assert START % DAY_MS != 0
    assert rewards.totals(draft).emitted == 0


def test_emission_ends_at_its_cap() -> None:
    draft = emitting(cap=2_500)

    rewards.accrue(draft, after(2))
    rewards.accrue(draft, after(1_000_000))

    assert rewards.totals(draft).emitted == 2_500
    assert supply.load(draft).issued == ONE + 2_500
    audit.check_invariants(draft)


def test_a_lowered_cap_takes_nothing_back() -> None:
    draft = emitting(cap=5_000)
    rewards.accrue(draft, after(4))

    held = params.REWARDS.load(draft)
    params.REWARDS.save(draft, replace(held, max_emission=Amount(100)))
    rewards.accrue(draft, after(9))

    assert rewards.totals(draft).emitted == 4_000


def test_what_was_ever_issued_stays_within_64_bits() -> None:
    draft = emitting()
    supply.issue(draft, Amount(MAX_U64 - supply.load(draft).issued - 7))

    rewards.accrue(draft, after(1))
    rewards.accrue(draft, after(2))

    assert (supply.load(draft).issued, rewards.totals(draft).emitted) == (MAX_U64, 7)


def test_another_length_of_epochs_skips_and_repeats_none() -> None:
    draft = emitting()
    rewards.accrue(draft, after(2))

    held = params.REWARDS.load(draft)
    params.REWARDS.save(draft, replace(held, epoch_ms=DAY_MS // 2))
    rewards.accrue(draft, after(3))

    assert rewards.totals(draft).emitted == 4_000


def test_the_treasury_has_its_part_of_emission_rounded_down() -> None:
    draft = emitting(emission=999, treasury_bp=1_000)

    rewards.accrue(draft, after(1))

    assert (balance(draft, pools.TREASURY), balance(draft, pools.REWARDS)) == (99, 900)


def test_time_before_the_beginning_earns_nothing() -> None:
    child = emitting().fork()

    rewards.accrue(child, EpochMs(START - 10 * DAY_MS))

    assert child.writes() == {}


def test_a_chain_that_never_began_begins_now() -> None:
    draft = Draft(MemoryState())
    rules = replace(params.REWARDS.default, epoch_emission=Amount(5), max_emission=Amount(500))
    params.REWARDS.save(draft, rules)

    rewards.accrue(draft, START)

    assert rewards.totals(draft) == Totals(accrued_to=START)
