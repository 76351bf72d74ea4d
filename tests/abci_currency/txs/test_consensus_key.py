from __future__ import annotations

from dataclasses import replace

import pytest

from abci_currency.state import stake, staking
from abci_currency.state.staking import ConsensusKeyTaken, UnknownValidator, ValidatorTombstoned
from abci_currency.txs import consensus_key
from abci_currency.txs.consensus_key import (
    FAMILY,
    BadPossessionProof,
    ConsensusKeyRotated,
    RotateConsensusKey,
    RotationFeeTooLow,
    RotationTooSoon,
    WeakConsensusKey,
)
from dchat.kernel import supply
from dchat.kernel.accounts import debit
from dchat.kernel.codec import Raw
from dchat.kernel.errors import InsufficientFunds
from dchat.kernel.ids import Amount
from dchat.kernel.machine import ValidatorPower
from dchat.kernel.store import Draft
from tests.fakes.currency import FEE, FUNDS, RULES, STAKE, UNBONDING_MS, Chain, begun, voter
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person

BURNED = RULES.key_rotation_fee


def order(who: Person, number: int = 1) -> RotateConsensusKey:
    key = voter(who, number)
    proof = consensus_key.prove(key.seed, CHAIN, who.id)
    return RotateConsensusKey(key.public_key, proof, BURNED)


def rotation(who: Person, number: int = 1) -> tuple[Raw, ...]:
    return FAMILY.body(order(who, number))


def test_a_validator_votes_with_its_new_key_and_no_more_with_the_old() -> None:
    chain = Chain(begun())
    old, new = voter(ALICE).public_key, voter(ALICE, 1).public_key

    result = chain.block(chain.signed(ALICE, rotation(ALICE)))

    assert result.outcomes[0].events == (ConsensusKeyRotated(ALICE.id, old, new),)
    assert sorted(result.validator_updates, key=lambda each: each.power) == [
        ValidatorPower(old, 0),
        ValidatorPower(new, 1000),
    ]
    assert chain.validator(ALICE).active


def test_a_retired_key_still_names_its_operator() -> None:
    chain = Chain(begun())

    chain.order(ALICE, rotation(ALICE))

    addresses = [stake.address_of(voter(ALICE, each).public_key) for each in (0, 1)]
    assert [stake.operator_of(chain.state, each) for each in addresses] == [ALICE.id] * 2


def test_a_rotation_burns_its_fee() -> None:
    chain = Chain(begun())

    chain.order(ALICE, FAMILY.body(replace(order(ALICE), most_burned=Amount(BURNED + 1))))

    assert chain.balance(ALICE.id) == FUNDS - STAKE - FEE - BURNED
    assert supply.load(chain.state).burned == FEE + BURNED


def test_a_key_changes_once_in_an_unbonding_period() -> None:
    chain = Chain(begun())
    chain.order(ALICE, rotation(ALICE))

    early = chain.order(ALICE, rotation(ALICE, 2), UNBONDING_MS - 1)
    due = chain.order(ALICE, rotation(ALICE, 2), 1)

    assert (early.code, due.code) == (RotationTooSoon.code, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_no_key_is_used_again(number: int) -> None:
    chain = Chain(begun())
    chain.order(ALICE, rotation(ALICE))

    outcome = chain.order(ALICE, rotation(ALICE, number), UNBONDING_MS)

    assert outcome.code == ConsensusKeyTaken.code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"consensus_key": bytes(32)}, WeakConsensusKey.code),
        ({"consensus_key": voter(BOB).public_key}, ConsensusKeyTaken.code),
        ({"consensus_key": voter(BOB, 7).public_key}, BadPossessionProof.code),
        ({"proof": bytes(64)}, BadPossessionProof.code),
        ({"most_burned": Amount(BURNED - 1)}, RotationFeeTooLow.code),
    ],
)
def test_a_refused_rotation_changes_nothing(changes: dict[str, object], code: int) -> None:
    chain = Chain(begun())
    before = chain.validator(ALICE)

    outcome = chain.order(ALICE, FAMILY.body(replace(order(ALICE), **changes)))

    assert (outcome.code, chain.validator(ALICE)) == (code, before)
    assert chain.balance(ALICE.id) == FUNDS - STAKE - FEE


def test_who_cannot_pay_the_fee_keeps_the_key() -> None:
    chain = Chain(begun())
    draft = Draft(chain.state)
    spent = Amount(FUNDS - STAKE - FEE)
    debit(draft, ALICE.id, spent)
    supply.burn(draft, spent)
    chain.state = chain.state.after(draft.writes())

    assert chain.order(ALICE, rotation(ALICE)).code == InsufficientFunds.code


def test_a_stranger_has_no_key_to_change() -> None:
    chain = Chain(begun())

    assert chain.order(CAROL, rotation(CAROL)).code == UnknownValidator.code


def test_who_never_votes_again_needs_no_other_key() -> None:
    chain = Chain(begun())
    before = chain.validator(ALICE)
    draft = Draft(chain.state)
    after = replace(before, jailed=True, tombstoned=True)
    staking.replace_validator(draft, ALICE.id, before, after)
    chain.state = chain.state.after(draft.writes())

    assert chain.order(ALICE, rotation(ALICE)).code == ValidatorTombstoned.code


def test_a_key_that_changes_does_not_free_who_is_in_jail() -> None:
    chain = Chain(begun())
    before = chain.validator(ALICE)
    draft = Draft(chain.state)
    staking.replace_validator(draft, ALICE.id, before, replace(before, jailed=True))
    chain.state = chain.state.after(draft.writes())

    chain.order(ALICE, rotation(ALICE))

    assert chain.voting() == {voter(BOB).public_key: 1000}
