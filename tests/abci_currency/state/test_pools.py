from __future__ import annotations

import pytest

from abci_currency.state import pools
from dchat.kernel import accounts
from tests.fakes.memory import ALICE

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


@pytest.mark.parametrize("pool", [pool for name, pool in POOLS.items() if name != "treasury"])
def test_nobody_pays_into_a_pool(pool: accounts.AccountId) -> None:
    with pytest.raises(pools.HeldByRules):
        pools.check_payee(pool)


@pytest.mark.parametrize("payee", [pools.TREASURY, ALICE.id])
def test_people_and_the_treasury_may_be_paid(payee: accounts.AccountId) -> None:
    pools.check_payee(payee)
