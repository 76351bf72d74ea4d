from __future__ import annotations

import pytest

from dchat.kernel import accounts, holdings, supply
from dchat.kernel.accounts import module_id
from dchat.kernel.errors import InsufficientFunds
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState, give

POOL = module_id("pool")


def test_a_move_takes_from_one_account_what_the_other_gets() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, POOL, Amount(5))

    holdings.move(draft, POOL, ALICE.id, Amount(3))

    held = [accounts.load(draft, each).balance for each in (POOL, ALICE.id)]
    assert held == [2, 3]


def test_a_pool_gives_no_more_than_it_has() -> None:
    draft = Draft(MemoryState())
    accounts.credit(draft, POOL, Amount(5))

    with pytest.raises(InsufficientFunds):
        holdings.move(draft, POOL, ALICE.id, Amount(6))


def test_what_is_burned_leaves_its_account_and_the_supply() -> None:
    draft = Draft(MemoryState())
    give(draft, POOL, 5)

    holdings.burn(draft, POOL, Amount(3))

    assert accounts.load(draft, POOL).balance == 2
    assert supply.load(draft) == supply.Supply(issued=Amount(5), burned=Amount(3))


def test_to_burn_nothing_writes_nothing() -> None:
    draft = Draft(MemoryState())

    holdings.burn(draft, POOL, Amount(0))

    assert draft.writes() == {}
