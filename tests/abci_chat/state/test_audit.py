from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import audit, pools, reputation
from abci_chat.state.reputation import Deed, Record
from dchat.kernel import accounts, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, FUNDS, opened


def begun() -> Draft:
    """Alice and Bob have credits, and Bob has voted twice."""
    draft = Draft(opened(MACHINE, alice=FUNDS, bob=FUNDS))
    reputation.add(draft, BOB.id, Deed.BALLOT, 3, Height(1))
    reputation.add(draft, BOB.id, Deed.VERDICT, 3, Height(1))
    return draft


def marks(*numbers: int) -> Callable[[Draft], None]:
    return lambda draft: draft.put(keys.reputation(ALICE.id), Record(numbers))


def stray(pool: AccountId) -> Callable[[Draft], None]:
    """Alice's credits get into a pool, and no record says why."""

    def pay(draft: Draft) -> None:
        accounts.debit(draft, ALICE.id, Amount(5))
        accounts.credit(draft, pool, Amount(5))

    return pay


def test_a_state_in_order_passes() -> None:
    audit.check_invariants(begun())


@pytest.mark.parametrize("pool", pools.NAMES, ids=pools.NAMES.values())
def test_a_credit_in_a_pool_that_no_record_explains_is_found(pool: AccountId) -> None:
    draft = begun()

    stray(pool)(draft)

    supply.check_invariant(draft)
    with pytest.raises(InvariantBroken):
        audit.check_invariants(draft)


@pytest.mark.parametrize(
    "broken",
    [
        lambda draft: accounts.credit(draft, ALICE.id, Amount(1)),
        lambda draft: supply.burn(draft, Amount(1)),
        marks(2, 0, 1, 1, 0, 1),
        marks(1, 5, 1, 1, 0, 1),
        marks(1, 0, 1, 1, 0, 1),
        marks(1, 0, 0),
    ],
    ids=["from nowhere", "to nowhere", "deeds", "heights", "twice", "nothing"],
)
def test_what_is_out_of_order_is_found(broken: Callable[[Draft], None]) -> None:
    draft = begun()

    broken(draft)

    with pytest.raises(InvariantBroken):
        audit.check_invariants(draft)
