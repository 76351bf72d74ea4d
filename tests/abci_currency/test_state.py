from __future__ import annotations

from abci_currency import state
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState


def test_the_balance_of_a_stranger_is_zero() -> None:
    assert state.balance(MemoryState(), ALICE.id) == 0


def test_the_balance_is_what_came_less_what_went() -> None:
    draft = Draft(MemoryState())

    state.credit(draft, ALICE.id, Amount(5))
    state.debit(draft, ALICE.id, Amount(2))

    assert state.balance(draft, ALICE.id) == 3
