from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency.params import DAY_MS
from abci_currency.state import pools, rewards, stake, staking
from abci_currency.state.staking import AlreadyValidator, ConsensusKeyTaken, UnknownValidator
from abci_currency.txs import consensus_key
from abci_currency.txs.consensus_key import BadPossessionProof, WeakConsensusKey
from abci_currency.txs.validator import (
    CREATE,
    EDIT,
    BadCommission,
    BadMinSelfDelegation,
    BadMoniker,
    CommissionTooSoon,
    CreateValidator,
    EditValidator,
    ValidatorCreated,
    ValidatorEdited,
    ValidatorStakeTooLow,
)
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.errors import InsufficientFunds, MalformedBody
from dchat.kernel.ids import Amount, ChainId, EpochMs
from dchat.kernel.machine import ValidatorPower
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from tests.fakes.currency import (
    DAVE,
    FEE,
    FUNDS,
    STAKE,
    Chain,
    as_,
    begun,
    form,
    shared_by,
    voter,
    with_emission,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START

LEAST = Amount(100 * UNIT)


def editing(moniker: str = "new", rate_bp: int = 1000, least: int = LEAST) -> tuple[Raw, ...]:
    return EDIT.body(EditValidator(moniker, rate_bp, Amount(least)))


def test_a_new_validator_has_its_stake_and_votes() -> None:
    chain = Chain(begun())

    result = chain.block(chain.signed(CAROL, CREATE.body(form(CAROL))))

    key = voter(CAROL).public_key
    assert result.outcomes[0].events == (ValidatorCreated(CAROL.id, key, STAKE),)
    assert result.validator_updates == (ValidatorPower(key, 1000),)
    assert (chain.shares(CAROL, CAROL), chain.balance(CAROL.id)) == (STAKE, FUNDS - STAKE - FEE)
    assert chain.balance(pools.STAKED) == 3 * STAKE
    assert stake.operator_of(chain.state, stake.address_of(key)) == CAROL.id


def test_a_new_validator_is_as_it_was_declared() -> None:
    chain = Chain(begun())

    chain.order(CAROL, CREATE.body(form(CAROL)))

    record = chain.validator(CAROL)
    assert (record.moniker, record.min_self_delegation, record.key_changed_at) == (
        "validator 3",
        LEAST,
        0,
    )
    assert record.commission == stake.Commission(1000, 2000, 100, EpochMs(chain.time))


BORROWED = voter(DAVE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"consensus_key": bytes(32)}, WeakConsensusKey.code),
        ({"consensus_key": b"\x01" + bytes(31)}, WeakConsensusKey.code),
        ({"consensus_key": b"\xff" * 32}, WeakConsensusKey.code),
        ({"consensus_key": voter(ALICE).public_key}, ConsensusKeyTaken.code),
        ({"consensus_key": BORROWED.public_key}, BadPossessionProof.code),
        ({"proof": bytes(64)}, BadPossessionProof.code),
        (
            {"proof": consensus_key.prove(voter(CAROL).seed, CHAIN, BOB.id)},
            BadPossessionProof.code,
        ),
        (
            {"proof": consensus_key.prove(voter(CAROL).seed, ChainId("other"), CAROL.id)},
            BadPossessionProof.code,
        ),
        ({"moniker": ""}, BadMoniker.code),
        ({"moniker": "a\nb"}, BadMoniker.code),
        ({"moniker": "\x1b[2J"}, BadMoniker.code),
        ({"moniker": "a\u202eb"}, BadMoniker.code),
        ({"moniker": "a\u061cb"}, BadMoniker.code),
        ({"rate_bp": 2001}, BadCommission.code),
        ({"max_rate_bp": 10_001}, BadCommission.code),
        ({"max_change_bp": 2001}, BadCommission.code),
        ({"min_self_delegation": Amount(0)}, BadMinSelfDelegation.code),
        ({"min_self_delegation": Amount(STAKE + 1)}, BadMinSelfDelegation.code),
        ({"stake": Amount(LEAST - 1), "min_self_delegation": Amount(1)}, ValidatorStakeTooLow.code),
        ({"stake": FUNDS}, InsufficientFunds.code),
    ],
)
def test_a_validator_that_is_not_allowed_is_refused_and_leaves_nothing(
    changes: dict[str, object], code: int
) -> None:
    chain = Chain(begun())
    order: CreateValidator = replace(form(CAROL), **changes)

    outcome = chain.order(CAROL, CREATE.body(order))

    assert (outcome.code, stake.validator(chain.state, CAROL.id)) == (code, None)
    named = stake.operator_of(chain.state, stake.address_of(order.consensus_key))
    assert named != CAROL.id
    assert chain.balance(CAROL.id) == FUNDS - FEE


def test_an_account_operates_one_validator() -> None:
    chain = Chain(begun())
    key = voter(ALICE, 1)
    proof = consensus_key.prove(key.seed, CHAIN, ALICE.id)
    order = form(ALICE, consensus_key=key.public_key, proof=proof)

    assert chain.order(ALICE, CREATE.body(order)).code == AlreadyValidator.code


@pytest.mark.parametrize(
    "body",
    [
        (10, bytes(31), bytes(64), "m", 0, 0, 0, 1, 1),
        (10, bytes(32), bytes(63), "m", 0, 0, 0, 1, 1),
        (10, bytes(32), bytes(64), "m" * 65, 0, 0, 0, 1, 1),
        (10, bytes(32), bytes(64), "m", 0, 0, 0, 1),
        (11, "m" * 65, 0, 1),
        (11, "m", True, 1),
    ],
)
def test_fields_out_of_bounds_are_malformed(body: tuple[Raw, ...]) -> None:
    chain = Chain(begun())

    assert chain.order(CAROL, body).code == MalformedBody.code


def test_a_validator_may_change_its_promises() -> None:
    chain = Chain(begun())

    outcome = chain.order(ALICE, editing("new", 1100, LEAST + 1), after_ms=DAY_MS)

    assert outcome.events == (ValidatorEdited(ALICE.id, "new", 1100, Amount(LEAST + 1)),)
    record = chain.validator(ALICE)
    assert (record.moniker, record.min_self_delegation) == ("new", LEAST + 1)
    assert record.commission == stake.Commission(1100, 2000, 100, EpochMs(chain.time))


def test_a_commission_that_stays_is_no_change() -> None:
    chain = Chain(begun())
    before = chain.validator(ALICE).commission

    assert chain.order(ALICE, editing("new")).code == 0
    assert chain.validator(ALICE).commission == before


def test_the_commission_changes_once_a_day() -> None:
    chain = Chain(begun())

    assert chain.order(ALICE, editing(rate_bp=1001), DAY_MS - 1).code == CommissionTooSoon.code
    assert chain.order(ALICE, editing(rate_bp=1001), 1).code == 0
    assert chain.order(ALICE, editing(rate_bp=1002), DAY_MS - 1).code == CommissionTooSoon.code


def test_the_commission_stays_within_its_maximum() -> None:
    chain = Chain(begun())
    orders = [editing(rate_bp=1000 + 100 * day) for day in range(1, 11)]
    codes = [chain.order(ALICE, each, DAY_MS).code for each in orders]

    assert codes == [0] * 10
    assert chain.order(ALICE, editing(rate_bp=2001), DAY_MS).code == BadCommission.code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (editing(moniker=""), BadMoniker.code),
        (editing(rate_bp=1101), BadCommission.code),
        (editing(rate_bp=899), BadCommission.code),
        (editing(least=LEAST - 1), BadMinSelfDelegation.code),
        (editing(least=STAKE + 1), BadMinSelfDelegation.code),
    ],
)
def test_a_promise_that_is_not_allowed_changes_nothing(body: tuple[Raw, ...], code: int) -> None:
    chain = Chain(begun())
    before = chain.validator(ALICE)

    outcome = chain.order(ALICE, body, DAY_MS)

    assert (outcome.code, chain.validator(ALICE)) == (code, before)


def test_a_stranger_has_nothing_to_edit() -> None:
    chain = Chain(begun())

    assert chain.order(CAROL, editing()).code == UnknownValidator.code


def test_a_replayed_creation_is_refused() -> None:
    chain = Chain(begun())
    raw = chain.signed(CAROL, CREATE.body(form(CAROL)))
    chain.block(raw)

    assert chain.block(raw).outcomes[0].code == 9


def test_who_was_slashed_below_its_promise_may_still_change_its_name() -> None:
    chain = Chain(begun())
    draft = Draft(chain.state)
    before = staking.found(draft, ALICE.id)
    staking.replace_validator(draft, ALICE.id, before, replace(before, tokens=Amount(UNIT)))

    EDIT.apply(draft, EditValidator("poor", 1000, LEAST), as_(ALICE))

    assert staking.found(draft, ALICE.id).moniker == "poor"


def test_emission_that_is_due_bears_the_old_commission() -> None:
    draft = Draft(with_emission(begun()))
    later = replace(as_(ALICE), block_time_ms=EpochMs(START + DAY_MS))

    EDIT.apply(draft, EditValidator("alice", 1100, LEAST), later)

    assert shared_by(draft, 2 * STAKE)
    assert rewards.claim_commission(draft, ALICE.id) == 2_000


KEYS = st.sampled_from([voter(CAROL).public_key, voter(ALICE).public_key, bytes(32), b""])
PROOFS = st.sampled_from([form(CAROL).proof, bytes(64), b"", "text"])
TEXTS = st.text(max_size=70).filter(lambda text: text.isascii() or text.isalnum())
NUMBERS = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2000), st.just(int(STAKE)))


@given(
    st.tuples(st.just(10), KEYS, PROOFS, TEXTS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
    | st.tuples(st.just(11), TEXTS, NUMBERS, NUMBERS)
    | st.tuples(st.just(15), KEYS, PROOFS, NUMBERS)
)
def test_any_signed_body_gives_a_known_outcome(body: tuple[Raw, ...]) -> None:
    chain = Chain(begun())

    assert chain.order(CAROL, body).code in {0, *REFUSALS}
    assert chain.order(ALICE, body).code in {0, *REFUSALS}
