from __future__ import annotations

import pytest

from abci_currency.state import pools
from dchat.kernel import accounts, supply
from dchat.kernel.errors import InsufficientFunds
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState, give

POOLS = {
    "staked": pools.STAKED,
    "unbonding": pools.UNBONDING,
    "rewards": pools.REWARDS,
    "treasury": pools.TREASURY,
    "vesting": pools.VESTING,
    "relay_stakes": pools.RELAY_STAKES,
    "escrows": pools.ESCROWS,
    "issuer_bonds": pools.ISSUER_BONDS,
}


def test_every_pool_has_a_name_of_its_own() -> None:
    assert {name: pool for pool, name in pools.NAMES.items()} == POOLS


def test_a_move_takes_from_one_account_what_the_other_gets() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, pools.ESCROWS, Amount(5))

    pools.move(draft, pools.ESCROWS, ALICE.id, Amount(3))

    held = [accounts.load(draft, each).balance for each in (pools.ESCROWS, ALICE.id)]
    assert held == [2, 3]


def test_a_pool_gives_no_more_than_it_has() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, pools.ESCROWS, Amount(5))

    with pytest.raises(InsufficientFunds):
        pools.move(draft, pools.ESCROWS, ALICE.id, Amount(6))


def test_what_is_burned_leaves_its_account_and_the_supply() -> None:
    draft = Draft(MemoryState())
    give(draft, pools.ESCROWS, 5)

    pools.burn(draft, pools.ESCROWS, Amount(3))

    assert accounts.load(draft, pools.ESCROWS).balance == 2
    assert supply.load(draft) == supply.Supply(issued=Amount(5), burned=Amount(3))


def test_to_burn_nothing_writes_nothing() -> None:
    draft = Draft(MemoryState())

    pools.burn(draft, pools.ESCROWS, Amount(0))

    assert draft.writes() == {}


@pytest.mark.parametrize("pool", [pool for name, pool in POOLS.items() if name != "treasury"])
def test_nobody_pays_into_a_pool(pool: accounts.AccountId) -> None:
    with pytest.raises(pools.HeldByRules):
        pools.check_payee(pool)


@pytest.mark.parametrize("payee", [pools.TREASURY, ALICE.id])
def test_people_and_the_treasury_may_be_paid(payee: accounts.AccountId) -> None:
    pools.check_payee(payee)
