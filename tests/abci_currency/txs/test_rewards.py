from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.machine import MACHINE
from abci_currency.state import audit, pools, rewards
from abci_currency.txs.rewards import (
    ADDRESS,
    COMMISSION,
    MAX_OPERATORS,
    REWARDS,
    CommissionWithdrawn,
    NothingToWithdraw,
    RewardAddressSet,
    RewardsWithdrawn,
    SetRewardAddress,
    WithdrawCommission,
    WithdrawRewards,
)
from dchat.kernel import codec
from dchat.kernel.errors import MalformedBody, NonceMismatch
from dchat.kernel.family import TxContext, TxFamily
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.earners import FUNDS, ONE, earned, staked
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    CHAIN,
    START,
    MemoryState,
    Person,
    balance,
    run,
    signed,
    step,
)

FEE = 2000
FROM_FEE = 225
"""What each of the four delegations gets out of one; an operator's commission is 50."""


def send(who: Person, body: tuple[codec.Raw, ...], nonce: int = 0) -> bytes:
    return signed(who, body, nonce)


def withdraw(who: Person, *operators: AccountId, nonce: int = 0) -> bytes:
    return signed(who, REWARDS.body(WithdrawRewards(operators)), nonce)


def collect(who: Person, nonce: int = 0) -> bytes:
    return signed(who, COMMISSION.body(WithdrawCommission()), nonce)


def redirect(who: Person, address: AccountId, nonce: int = 0) -> bytes:
    return signed(who, ADDRESS.body(SetRewardAddress(address)), nonce)


def test_rewards_are_paid_to_the_delegator() -> None:
    after, outcome = step(MACHINE, earned(), withdraw(BOB, ALICE.id))

    assert outcome.events == (RewardsWithdrawn(BOB.id, ALICE.id, BOB.id, Amount(900)),)
    assert balance(after, BOB) == FUNDS - FEE + 900
    audit.check_invariants(after)


def test_rewards_of_many_validators_are_paid_at_once() -> None:
    after, outcome = step(MACHINE, earned(), withdraw(BOB, ALICE.id, BOB.id))

    assert outcome.events == (
        RewardsWithdrawn(BOB.id, ALICE.id, BOB.id, Amount(900)),
        RewardsWithdrawn(BOB.id, BOB.id, BOB.id, Amount(900)),
    )
    assert balance(after, BOB) == FUNDS - FEE + 1_800


def test_a_validator_that_owes_nothing_does_not_stand_in_the_way() -> None:
    _, outcome = step(MACHINE, earned(), withdraw(BOB, CAROL.id, ALICE.id))

    assert outcome.events == (RewardsWithdrawn(BOB.id, ALICE.id, BOB.id, Amount(900)),)


def test_a_validator_named_twice_pays_once() -> None:
    after, outcome = step(MACHINE, earned(), withdraw(BOB, ALICE.id, ALICE.id))

    assert (outcome.code, balance(after, BOB)) == (0, FUNDS - FEE + 900)


def test_rewards_are_paid_once_even_in_one_block() -> None:
    before = earned()

    result = run(MACHINE, before, withdraw(BOB, ALICE.id), withdraw(BOB, ALICE.id, nonce=1))

    assert [each.code for each in result.outcomes] == [0, NothingToWithdraw.code]
    assert balance(before.after(result.writes), BOB) == FUNDS - 2 * FEE + 900


def test_commission_is_paid_to_the_operator() -> None:
    after, outcome = step(MACHINE, earned(), collect(ALICE))

    assert outcome.events == (CommissionWithdrawn(ALICE.id, ALICE.id, Amount(200)),)
    assert balance(after, ALICE) == FUNDS - FEE + 200
    audit.check_invariants(after)


def test_rewards_go_to_the_address_that_was_set() -> None:
    redirected, outcome = step(MACHINE, earned(), redirect(BOB, CAROL.id))
    paid, _ = step(MACHINE, redirected, withdraw(BOB, ALICE.id, nonce=1))
    after, _ = step(MACHINE, paid, collect(BOB, nonce=2))

    assert outcome.events == (RewardAddressSet(BOB.id, CAROL.id),)
    assert balance(after, BOB) == FUNDS - 3 * FEE
    assert balance(after, CAROL) == FUNDS + (900 + FROM_FEE) + (100 + 2 * 50)


def test_an_address_can_be_taken_back() -> None:
    redirected, _ = step(MACHINE, earned(), redirect(BOB, CAROL.id))
    back, _ = step(MACHINE, redirected, redirect(BOB, BOB.id, nonce=1))
    after, _ = step(MACHINE, back, withdraw(BOB, ALICE.id, nonce=2))

    assert balance(after, BOB) == FUNDS - 3 * FEE + 900 + 2 * FROM_FEE


def test_the_treasury_may_be_given_rewards() -> None:
    after, outcome = step(MACHINE, earned(), redirect(BOB, pools.TREASURY))

    assert (outcome.code, rewards.paid_to(after, BOB.id)) == (0, pools.TREASURY)


REFUSED = [
    pytest.param(withdraw(CAROL, ALICE.id), NothingToWithdraw.code, id="no stake there"),
    pytest.param(withdraw(CAROL, BOB.id), NothingToWithdraw.code, id="nothing earned yet"),
    pytest.param(withdraw(BOB, CAROL.id), NothingToWithdraw.code, id="no validator"),
    pytest.param(withdraw(BOB), NothingToWithdraw.code, id="none named"),
    pytest.param(collect(CAROL), NothingToWithdraw.code, id="no commission"),
    pytest.param(redirect(BOB, pools.STAKED), pools.HeldByRules.code, id="a pool"),
    pytest.param(
        send(BOB, (REWARDS.type, [ALICE.id] * (MAX_OPERATORS + 1))),
        MalformedBody.code,
        id="too many",
    ),
    pytest.param(send(BOB, (REWARDS.type, ALICE.id)), MalformedBody.code, id="not a list"),
    pytest.param(send(BOB, (COMMISSION.type, 1)), MalformedBody.code, id="a field too many"),
    pytest.param(send(BOB, (ADDRESS.type, b"short")), MalformedBody.code, id="no account"),
]


@pytest.mark.parametrize(("raw", "code"), REFUSED)
def test_what_is_refused_pays_nobody(raw: bytes, code: int) -> None:
    before = earned()

    after, outcome = step(MACHINE, before, raw)

    assert outcome.code == code
    assert claimed(after) == claimed(before)


def claimed(state: MemoryState) -> list[object]:
    """Return what a withdrawal would change, fees aside."""
    people = (ALICE, BOB, CAROL)
    return [
        *[rewards.of_validator(state, who.id) for who in people],
        *[rewards.paid_to(state, who.id) for who in people],
        *[state.get(key) for key in sorted(state.entries) if b"delegation" in key],
    ]


@pytest.mark.parametrize("raw", [withdraw(BOB, ALICE.id), collect(BOB), redirect(BOB, CAROL.id)])
def test_a_replay_is_refused(raw: bytes) -> None:
    once, _ = step(MACHINE, earned(), raw)

    twice, outcome = step(MACHINE, once, raw)

    assert (outcome.code, twice.entries) == (NonceMismatch.code, once.entries)


def test_the_longest_list_of_validators_fits_into_a_transaction() -> None:
    raw = signed(BOB, REWARDS.body(WithdrawRewards((ALICE.id,) * MAX_OPERATORS)))

    assert step(MACHINE, earned(), raw)[1].code == 0


def test_each_validator_named_costs_extra() -> None:
    one, two = ((b"o" * 32,) * count for count in (1, 2))

    costs = [REWARDS.price((list(each),)) for each in (one, two)]

    assert costs[1] - costs[0] == REWARDS.cost_per_entry


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@pytest.mark.parametrize("family", [REWARDS, COMMISSION, ADDRESS])
@given(body=st.lists(fields, max_size=3))
def test_any_fields_are_accepted_or_refused(family: TxFamily, body: list[codec.Raw]) -> None:
    _, outcome = step(MACHINE, CHAIN_AT_WORK, signed(BOB, (family.type, *body)))

    assert isinstance(outcome.code, int)


CHAIN_AT_WORK = earned()


def a_day_later() -> tuple[Draft, TxContext]:
    """Return a state in which an epoch's 1,000 are due, 900 for alice and 100 of commission."""
    draft = staked(ONE, rate_bp=1_000)
    rules = replace(
        params.REWARDS.default, epoch_emission=Amount(1_000), max_emission=Amount(1_000)
    )
    params.REWARDS.save(draft, rules)
    later = EpochMs(START + rules.epoch_ms)
    return draft, TxContext(CHAIN, ALICE.id, ALICE.public_key, Height(9), later)


def test_emission_that_is_due_is_withdrawn_along() -> None:
    draft, context = a_day_later()

    told = REWARDS.apply(draft, WithdrawRewards((ALICE.id,)), context)

    assert told == (RewardsWithdrawn(ALICE.id, ALICE.id, ALICE.id, Amount(900)),)


def test_commission_on_emission_that_is_due_is_withdrawn_along() -> None:
    draft, context = a_day_later()

    told = COMMISSION.apply(draft, WithdrawCommission(), context)

    assert told == (CommissionWithdrawn(ALICE.id, ALICE.id, Amount(100)),)


def test_a_withdrawal_from_nobody_is_refused_before_it_reaches_a_block() -> None:
    with pytest.raises(NothingToWithdraw):
        REWARDS.check(WithdrawRewards(()))
