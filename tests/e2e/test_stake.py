"""Stake under a real CometBFT: its set of validators follows two blocks later."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from abci_currency.genesis import Beginning
from abci_currency.params import SLASHING, STAKING
from abci_currency.txs import consensus_key
from abci_currency.txs.consensus_key import RotateConsensusKey
from abci_currency.txs.delegate import DELEGATE, UNDELEGATE, Delegate, Undelegate
from abci_currency.txs.validator import CREATE, CreateValidator
from dchat.kernel import codec
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount, ChainId
from tests.e2e import quick
from tests.e2e.quick import Orders
from tests.e2e.solo import PATIENCE_S, Solo
from tests.fakes.memory import ALICE, BOB, FOUNDER, Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(1_000 * UNIT)
FEE = 2000
SPAN_MS = 3000
OLD, NEW = Person(b"o" * 32), Person(b"n" * 32)


@pytest.fixture
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    """A chain whose one validator votes with ten tokens, and where stake is due after SPAN_MS."""
    held = dict.fromkeys((ALICE, BOB), FUNDS)
    with quick.currency_chain(tmp_path_factory.mktemp("n"), held, hasten) as solo:
        yield Orders(solo)


def hasten(begun: Beginning) -> Beginning:
    """Let stake be due after SPAN_MS, and evidence count no longer."""
    staking = replace(begun.rules.staking, unbonding_ms=SPAN_MS, key_rotation_fee=Amount(5))
    slashing = replace(SLASHING.default, evidence_max_age_ms=SPAN_MS)
    STAKING.check(staking)
    return replace(begun, rules=replace(begun.rules, staking=staking, slashing=slashing))


def order(orders: Orders, who: Person, body: tuple[codec.Raw, ...]) -> int:
    """The height of the block that carried it out."""
    did = orders.do(who, body)
    assert did["code"] == 0, did
    return did["height"]


def voting(solo: Solo, height: int) -> list[int]:
    """The powers of those who sign the block at that height, by CometBFT's word."""
    solo.wait_for_height(height)
    found = solo.rpc("validators", height=str(height))["validators"]
    return sorted(int(each["voting_power"]) for each in found)


def keys_of(solo: Solo, height: int) -> set[bytes]:
    found = solo.rpc("validators", height=str(height))["validators"]
    return {base64.b64decode(each["pub_key"]["value"]) for each in found}


def until_paid(solo: Solo, who: Person, least: int) -> None:
    """Polls until the account holds that much, rewards on top."""
    deadline = time.monotonic() + PATIENCE_S
    while solo.account(who).balance < least:
        assert time.monotonic() < deadline, solo.account(who).balance
        time.sleep(0.1)


def test_the_set_of_validators_follows_stake_two_blocks_later(orders: Orders) -> None:
    solo = orders.solo
    staked = order(orders, BOB, DELEGATE.body(Delegate(FOUNDER.id, Amount(40 * UNIT))))
    assert (voting(solo, staked + 1), voting(solo, staked + 2)) == ([10], [50])

    form = CreateValidator(
        consensus_key=OLD.public_key,
        proof=consensus_key.prove(OLD.seed, ChainId(solo.chain_id), ALICE.id),
        moniker="alice",
        rate_bp=0,
        max_rate_bp=0,
        max_change_bp=0,
        min_self_delegation=Amount(10 * UNIT),
        stake=Amount(10 * UNIT),
    )
    made = order(orders, ALICE, CREATE.body(form))
    assert (voting(solo, made + 1), voting(solo, made + 2)) == ([50], [10, 50])

    proof = consensus_key.prove(NEW.seed, ChainId(solo.chain_id), ALICE.id)
    change = RotateConsensusKey(NEW.public_key, proof, Amount(5))
    changed = order(orders, ALICE, consensus_key.FAMILY.body(change))
    assert voting(solo, changed + 2) == [10, 50]
    assert (OLD.public_key in keys_of(solo, changed + 1)) is True
    assert (OLD.public_key in keys_of(solo, changed + 2)) is False
    assert (NEW.public_key in keys_of(solo, changed + 2)) is True

    left = order(orders, ALICE, UNDELEGATE.body(Undelegate(ALICE.id, Amount(10 * UNIT))))
    assert (voting(solo, left + 1), voting(solo, left + 2)) == ([10, 50], [50])
    until_paid(solo, ALICE, FUNDS - 3 * FEE - 5)
