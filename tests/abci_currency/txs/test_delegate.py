from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.hooks.maturing import MOST_A_BLOCK
from abci_currency.params import DAY_MS
from abci_currency.state import leaving, pools, rewards, slashing, stake, staking
from abci_currency.state.leaving import (
    RedelegationEnded,
    StillLiable,
    TooManyEntries,
    UnbondingEnded,
    UnbondingNotDue,
)
from abci_currency.state.slashing import Charge, Fault, Jailed
from abci_currency.state.staking import (
    InsufficientStake,
    UnknownValidator,
    ValidatorTombstoned,
    WorthlessShares,
)
from abci_currency.txs.delegate import (
    DELEGATE,
    REDELEGATE,
    SETTLE,
    UNDELEGATE,
    Delegate,
    Delegated,
    Redelegate,
    Redelegated,
    SameValidator,
    SettleUnbonding,
    Undelegate,
    Undelegated,
)
from dchat.kernel import due, holdings, supply
from dchat.kernel.accounts import account_id, load
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.errors import InsufficientFunds, ZeroAmount
from dchat.kernel.family import Event, TxContext
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Outcome
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    DAVE,
    FEE,
    FUNDS,
    RULES,
    STAKE,
    UNBONDING_MS,
    Chain,
    as_,
    begun,
    block_at,
    shared_by,
    voter,
    with_emission,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, Person

ALL = begun((ALICE, BOB, DAVE))


def delegating(operator: Person, amount: int) -> tuple[Raw, ...]:
    return DELEGATE.body(Delegate(operator.id, Amount(amount)))


def undelegating(operator: Person, amount: int) -> tuple[Raw, ...]:
    return UNDELEGATE.body(Undelegate(operator.id, Amount(amount)))


def moving(source: Person, target: Person, amount: int) -> tuple[Raw, ...]:
    return REDELEGATE.body(Redelegate(source.id, target.id, Amount(amount)))


def started(*orders: tuple[Raw, ...]) -> Chain:
    """A chain of three validators on which carol has given these orders."""
    chain = Chain(ALL)
    codes = [chain.order(CAROL, each).code for each in orders]
    assert codes == [0] * len(orders)
    return chain


def slash(chain: Chain, operator: Person, fraction_bp: int, offence: int) -> None:
    """Let a validator lose a fraction of its stake, before the next block."""
    draft = Draft(chain.state)
    held = chain.validator(operator).tokens
    charge = Charge(Fault.DUPLICATE_VOTE, Height(offence), held, fraction_bp)
    slashing.slash(draft, operator.id, charge, block_at(chain.height, time=chain.time))
    chain.state = chain.state.after(draft.writes())


def after_unbonding(chain: Chain) -> tuple[Event, ...]:
    return chain.block(after_ms=UNBONDING_MS).events


def test_a_delegation_is_stake_and_power() -> None:
    chain = started()

    outcome = chain.order(CAROL, delegating(ALICE, 5 * UNIT))

    assert outcome.events == (Delegated(CAROL.id, ALICE.id, Amount(5 * UNIT)),)
    assert chain.balance(CAROL.id) == FUNDS - FEE - 5 * UNIT
    assert chain.shares(CAROL, ALICE) == 5 * UNIT
    assert chain.voting()[voter(ALICE).public_key] == 1005


def test_shares_of_a_slashed_validator_are_cheaper() -> None:
    chain = started()
    slash(chain, ALICE, 5000, offence=0)

    chain.order(CAROL, delegating(ALICE, 5 * UNIT))

    assert chain.shares(CAROL, ALICE) == 10 * UNIT


def test_undelegated_stake_comes_back_by_itself_after_the_unbonding_period() -> None:
    chain = started(delegating(ALICE, 5 * UNIT))

    outcome = chain.order(CAROL, undelegating(ALICE, 2 * UNIT))

    assert outcome.events == (Undelegated(CAROL.id, ALICE.id, Amount(2 * UNIT)),)
    assert chain.block(after_ms=UNBONDING_MS - 1).events == ()
    assert chain.balance(pools.UNBONDING) == 2 * UNIT
    ended = UnbondingEnded(CAROL.id, ALICE.id, Amount(2 * UNIT), Amount(0))
    assert chain.block(after_ms=1).events == (ended,)
    assert chain.balance(pools.UNBONDING) == 0
    assert chain.balance(CAROL.id) == FUNDS - 2 * FEE - 3 * UNIT


def test_the_whole_delegation_can_be_taken_back() -> None:
    chain = started(delegating(ALICE, 5 * UNIT), undelegating(ALICE, 5 * UNIT))

    assert stake.delegation(chain.state, CAROL.id, ALICE.id) is None
    assert chain.validator(ALICE).tokens == STAKE


def test_what_would_be_left_worth_nothing_goes_along() -> None:
    chain = started(delegating(ALICE, 3))
    slash(chain, ALICE, 9999, offence=0)  # a share is worth a ten thousandth
    chain.order(CAROL, delegating(ALICE, 1))

    chain.order(CAROL, undelegating(ALICE, 1))

    assert chain.shares(CAROL, ALICE) == 0


def test_unbonding_stake_bears_a_slash_for_an_offence_before_it_left() -> None:
    chain = started(delegating(ALICE, 10 * UNIT), undelegating(ALICE, 10 * UNIT))
    chain.block()

    slash(chain, ALICE, 1000, offence=1)

    ended = UnbondingEnded(CAROL.id, ALICE.id, Amount(9 * UNIT), Amount(UNIT))
    assert after_unbonding(chain) == (ended,)
    assert chain.balance(CAROL.id) == FUNDS - 2 * FEE - UNIT


def test_unbonding_stake_bears_nothing_for_a_later_offence() -> None:
    chain = started(delegating(ALICE, 10 * UNIT), undelegating(ALICE, 10 * UNIT))
    chain.block()

    slash(chain, ALICE, 1000, offence=20)

    assert after_unbonding(chain) == (
        UnbondingEnded(CAROL.id, ALICE.id, Amount(10 * UNIT), Amount(0)),
    )


def test_redelegated_stake_is_power_of_its_target_at_once() -> None:
    chain = started(delegating(ALICE, 5 * UNIT))

    outcome = chain.order(CAROL, moving(ALICE, BOB, 5 * UNIT))

    assert outcome.events == (Redelegated(CAROL.id, ALICE.id, BOB.id, Amount(5 * UNIT)),)
    assert (chain.shares(CAROL, ALICE), chain.shares(CAROL, BOB)) == (0, 5 * UNIT)
    assert chain.voting() == {
        voter(ALICE).public_key: 1000,
        voter(BOB).public_key: 1005,
        voter(DAVE).public_key: 1000,
    }


def test_redelegated_stake_bears_the_slash_of_its_source_when_it_is_due() -> None:
    chain = started(delegating(ALICE, 10 * UNIT), moving(ALICE, BOB, 10 * UNIT))
    chain.block()

    slash(chain, ALICE, 1000, offence=1)

    ended = RedelegationEnded(CAROL.id, BOB.id, ALICE.id, Amount(UNIT))
    assert after_unbonding(chain) == (ended,)
    assert chain.shares(CAROL, BOB) == 9 * UNIT
    assert chain.validator(BOB).tokens == STAKE + 9 * UNIT


def test_redelegated_shares_cannot_move_on_before_they_are_due() -> None:
    chain = started(
        delegating(ALICE, 5 * UNIT), delegating(BOB, UNIT), moving(ALICE, BOB, 5 * UNIT)
    )

    outcome = chain.order(CAROL, moving(BOB, DAVE, UNIT + 1))

    assert (outcome.code, chain.shares(CAROL, DAVE)) == (StillLiable.code, 0)


def test_shares_that_were_there_before_can_move_on() -> None:
    chain = started(
        delegating(ALICE, 5 * UNIT), delegating(BOB, UNIT), moving(ALICE, BOB, 5 * UNIT)
    )

    assert chain.order(CAROL, moving(BOB, DAVE, UNIT)).code == 0


def test_redelegated_shares_can_move_on_once_they_are_due() -> None:
    chain = started(delegating(ALICE, 5 * UNIT), moving(ALICE, BOB, 5 * UNIT))
    after_unbonding(chain)

    assert chain.order(CAROL, moving(BOB, DAVE, 5 * UNIT)).code == 0


def test_unbonding_redelegated_stake_carries_its_source_along() -> None:
    chain = started(
        delegating(ALICE, 10 * UNIT), moving(ALICE, BOB, 10 * UNIT), undelegating(BOB, 10 * UNIT)
    )
    chain.block()

    slash(chain, ALICE, 1000, offence=1)
    slash(chain, BOB, 5000, offence=3)

    ended = UnbondingEnded(CAROL.id, BOB.id, Amount(4_500_000), Amount(5_500_000))
    assert after_unbonding(chain) == (ended,)


def test_shares_that_owe_nothing_are_unbonded_first() -> None:
    chain = started(
        delegating(ALICE, 10 * UNIT), delegating(BOB, 2 * UNIT), moving(ALICE, BOB, 10 * UNIT)
    )

    chain.order(CAROL, undelegating(BOB, 5 * UNIT))

    slash(chain, ALICE, 1000, offence=1)
    assert after_unbonding(chain) == (
        RedelegationEnded(CAROL.id, BOB.id, ALICE.id, Amount(700_000)),
        UnbondingEnded(CAROL.id, BOB.id, Amount(2 * UNIT), Amount(0)),
        UnbondingEnded(CAROL.id, BOB.id, Amount(2_700_000), Amount(300_000)),
    )


def test_a_number_that_is_free_again_does_not_end_the_new_entry_early() -> None:
    chain = started(delegating(ALICE, 10 * UNIT), moving(ALICE, BOB, UNIT), undelegating(BOB, UNIT))
    chain.order(CAROL, moving(ALICE, BOB, UNIT))

    chain.block(after_ms=UNBONDING_MS - 2_000)

    held = stake.delegation(chain.state, CAROL.id, BOB.id)
    assert held is not None
    assert held.liable_shares == UNIT


def test_what_stake_earned_is_paid_before_it_changes() -> None:
    chain = started(delegating(ALICE, STAKE))
    chain.state = with_emission(chain.state)

    chain.order(CAROL, undelegating(ALICE, UNIT), after_ms=DAY_MS)

    # a quarter of 40,000, less a tenth of commission
    assert chain.balance(CAROL.id) == FUNDS - STAKE - 2 * FEE + 9_000


@pytest.mark.parametrize(
    "act",
    [
        lambda draft, ctx: DELEGATE.apply(draft, Delegate(ALICE.id, Amount(UNIT)), ctx),
        lambda draft, ctx: UNDELEGATE.apply(draft, Undelegate(ALICE.id, Amount(UNIT)), ctx),
        lambda draft, ctx: REDELEGATE.apply(draft, Redelegate(ALICE.id, BOB.id, Amount(1)), ctx),
    ],
)
def test_emission_that_is_due_goes_to_stake_as_it_was(
    act: Callable[[Draft, TxContext], object],
) -> None:
    draft = Draft(with_emission(started(delegating(ALICE, STAKE)).state))

    act(draft, replace(as_(CAROL), block_time_ms=EpochMs(START + DAY_MS)))

    assert shared_by(draft, 4 * STAKE)


@pytest.mark.parametrize(
    "body",
    [
        undelegating(ALICE, STAKE - 100 * UNIT + 1),
        moving(ALICE, BOB, STAKE - 100 * UNIT + 1),
    ],
)
def test_an_operator_that_keeps_less_than_promised_is_jailed(body: tuple[Raw, ...]) -> None:
    chain = started()

    outcome = chain.order(ALICE, body)

    assert isinstance(outcome.events[-1], Jailed)
    assert chain.validator(ALICE).jailed
    assert voter(ALICE).public_key not in chain.voting()


def test_an_operator_may_keep_just_what_it_promised() -> None:
    chain = started()

    outcome = chain.order(ALICE, moving(ALICE, BOB, STAKE - 100 * UNIT))

    assert (outcome.code, chain.validator(ALICE).jailed) == (0, False)


def test_a_delegator_that_leaves_jails_nobody() -> None:
    chain = started(delegating(ALICE, UNIT))
    slash(chain, ALICE, 9_500, offence=0)

    chain.order(CAROL, undelegating(ALICE, 1))

    assert not chain.validator(ALICE).jailed


def test_at_most_max_unbondings_are_under_way() -> None:
    chain = started(delegating(ALICE, 5 * UNIT), *[undelegating(ALICE, 1)] * RULES.max_unbondings)

    assert chain.order(CAROL, undelegating(ALICE, 1)).code == TooManyEntries.code
    after_unbonding(chain)
    assert chain.order(CAROL, undelegating(ALICE, 1)).code == 0


def test_at_most_max_unbondings_redelegations_are_under_way() -> None:
    chain = started(delegating(ALICE, 5 * UNIT), *[moving(ALICE, BOB, 1)] * RULES.max_unbondings)

    assert chain.order(CAROL, moving(ALICE, BOB, 1)).code == TooManyEntries.code


def settling(operator: Person) -> tuple[Raw, ...]:
    return SETTLE.body(SettleUnbonding(operator.id))


def crowded() -> Chain:
    """A chain on which so many others' dust is due before carol's stake that it has to wait."""
    chain = Chain(ALL)
    draft = Draft(chain.state)
    staking.bond(draft, CAROL.id, ALICE.id, Amount(5 * UNIT), CAROL.id)
    for number in range(MOST_A_BLOCK):
        who = account_id(number.to_bytes(32, "big"))
        staking.bond(draft, who, ALICE.id, Amount(1), BOB.id)
        leaving.unbond(draft, replace(as_(CAROL, 1), sender=who), ALICE.id, 1)
    leaving.unbond(draft, as_(CAROL, 2), ALICE.id, 3 * UNIT)
    chain.state = chain.state.after(draft.writes())
    chain.block(after_ms=UNBONDING_MS + 2_000)
    return chain


def test_nobody_has_to_wait_for_the_dust_of_others() -> None:
    chain = crowded()
    assert chain.balance(CAROL.id) == FUNDS - 5 * UNIT

    draft = Draft(chain.state)
    told = SETTLE.apply(draft, SettleUnbonding(ALICE.id), as_(CAROL, UNBONDING_MS))

    assert told == (UnbondingEnded(CAROL.id, ALICE.id, Amount(3 * UNIT), Amount(0)),)
    assert load(draft, CAROL.id).balance == FUNDS - 2 * UNIT
    assert list(draft.scan(due.SPACE)) == []


def test_what_is_not_due_is_not_settled() -> None:
    chain = started(delegating(ALICE, 5 * UNIT), undelegating(ALICE, UNIT))

    outcome = chain.order(CAROL, settling(ALICE), after_ms=UNBONDING_MS - 1)

    assert (outcome.code, chain.balance(pools.UNBONDING)) == (UnbondingNotDue.code, UNIT)


def test_a_settled_unbonding_bears_its_slashes() -> None:
    chain = started(delegating(ALICE, 10 * UNIT), undelegating(ALICE, 10 * UNIT))
    chain.block()
    slash(chain, ALICE, 1000, offence=1)
    draft = Draft(chain.state)

    told = leaving.settle(draft, as_(CAROL, UNBONDING_MS), ALICE.id)

    assert told == (UnbondingEnded(CAROL.id, ALICE.id, Amount(9 * UNIT), Amount(UNIT)),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (settling(ALICE), UnbondingNotDue.code),
        (settling(CAROL), UnbondingNotDue.code),
        (delegating(ALICE, 0), ZeroAmount.code),
        (delegating(CAROL, 5), UnknownValidator.code),
        (delegating(ALICE, FUNDS), InsufficientFunds.code),
        (undelegating(ALICE, 0), ZeroAmount.code),
        (undelegating(CAROL, 5), UnknownValidator.code),
        (undelegating(ALICE, 10 * UNIT + 1), InsufficientStake.code),
        (undelegating(BOB, 1), InsufficientStake.code),
        (moving(ALICE, BOB, 0), ZeroAmount.code),
        (moving(ALICE, ALICE, 1), SameValidator.code),
        (moving(CAROL, ALICE, 1), UnknownValidator.code),
        (moving(ALICE, CAROL, 1), UnknownValidator.code),
        (moving(ALICE, BOB, 10 * UNIT + 1), InsufficientStake.code),
        (moving(BOB, ALICE, 1), InsufficientStake.code),
    ],
)
def test_a_refused_order_moves_no_stake(body: tuple[Raw, ...], code: int) -> None:
    chain = started(delegating(ALICE, 10 * UNIT))
    before = chain.state

    outcome = chain.order(CAROL, body)

    assert outcome.code == code
    assert staked(chain, before) == staked(chain, chain.state)


def staked(chain: Chain, state: object) -> object:
    there = replace(chain, state=state)
    return [
        (there.validator(each), there.shares(CAROL, each), there.balance(pools.STAKED))
        for each in (ALICE, BOB)
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tombstoned": True}, ValidatorTombstoned.code),
        ({"tokens": Amount(0)}, WorthlessShares.code),
    ],
)
@pytest.mark.parametrize("body", [delegating(ALICE, UNIT), moving(BOB, ALICE, UNIT)])
def test_nobody_stakes_where_stake_is_lost(
    changes: dict[str, object], code: int, body: tuple[Raw, ...]
) -> None:
    chain = started(delegating(BOB, UNIT))
    before = chain.validator(ALICE)
    draft = Draft(chain.state)
    staking.replace_validator(draft, ALICE.id, before, replace(before, **changes))
    lost = Amount(before.tokens - chain_tokens(draft))
    holdings.move(draft, pools.STAKED, pools.TREASURY, lost)
    chain.state = chain.state.after(draft.writes())

    assert chain.order(CAROL, body).code == code


def chain_tokens(draft: Draft) -> int:
    return staking.found(draft, ALICE.id).tokens


def test_a_replayed_delegation_is_refused() -> None:
    chain = started()
    raw = chain.signed(CAROL, delegating(ALICE, UNIT))
    chain.block(raw)

    outcome: Outcome = chain.block(raw).outcomes[0]

    assert (outcome.code, chain.shares(CAROL, ALICE)) == (9, UNIT)


def test_rewards_of_shares_begin_with_them() -> None:
    chain = started()
    draft = Draft(chain.state)
    supply.issue(draft, Amount(3_000))
    rewards.share_out(draft, Amount(3_000))
    chain.state = chain.state.after(draft.writes())

    chain.order(CAROL, delegating(ALICE, STAKE))

    held = stake.delegation(chain.state, CAROL.id, ALICE.id)
    assert held is not None
    assert rewards.due(held, rewards.of_validator(chain.state, ALICE.id)) == 0


ids = st.sampled_from([ALICE.id, BOB.id, CAROL.id, DAVE.id, bytes(32), b"", pools.STAKED])
numbers = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 10), st.booleans(), ids)


@given(
    st.tuples(st.integers(12, 17), ids, numbers)
    | st.tuples(st.integers(12, 17), ids, ids, numbers)
    | st.tuples(st.integers(12, 17), ids)
)
def test_any_signed_body_gives_a_known_outcome(body: tuple[Raw, ...]) -> None:
    chain = started(delegating(ALICE, 10 * UNIT))

    assert chain.order(CAROL, body).code in {0, *REFUSALS}
