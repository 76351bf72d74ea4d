from __future__ import annotations

import pytest

from dchat.kernel import accounts, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from dchat.kernel.supply import Supply
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState


def issued(amount: int) -> Draft:
    draft = Draft(MemoryState())
    supply.issue(draft, Amount(amount))
    accounts.credit(draft, ALICE.id, Amount(amount))
    return draft


def test_issue_and_burn_are_counted_apart() -> None:
    draft = issued(10)

    supply.burn(draft, Amount(4))

    assert supply.load(draft) == Supply(Amount(10), Amount(4))


def test_burning_nothing_writes_nothing() -> None:
    draft = Draft(MemoryState())

    supply.burn(draft, Amount(0))

    assert draft.writes() == {}


def test_balances_that_add_up_pass() -> None:
    supply.check_invariant(issued(10))


def test_a_unit_from_nowhere_breaks_the_invariant() -> None:
    draft = issued(10)
    accounts.credit(draft, ALICE.id, Amount(1))

    with pytest.raises(InvariantBroken):
        supply.check_invariant(draft)


def test_the_report_says_what_pools_hold_and_what_is_left() -> None:
    draft = issued(10)
    accounts.credit(draft, BOB.id, Amount(5))
    supply.issue(draft, Amount(9))
    supply.burn(draft, Amount(4))

    found = supply.report(draft, (BOB.id, CAROL.id))

    assert (found.issued, found.burned, found.total, found.liquid) == (19, 4, 15, 10)
    assert found.held == {BOB.id: 5, CAROL.id: 0}


def test_pools_that_hold_more_than_there_is_are_no_report() -> None:
    draft = issued(10)
    accounts.credit(draft, BOB.id, Amount(11))

    with pytest.raises(InvariantBroken, match="pools hold 11, and the supply is 10"):
        supply.report(draft, (BOB.id,))
