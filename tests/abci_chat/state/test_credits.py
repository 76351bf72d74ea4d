from __future__ import annotations

import pytest

from abci_chat.machine import MACHINE
from abci_chat.state import credits
from dchat.kernel import accounts, codec, supply
from dchat.kernel.errors import AmountTooLarge, InsufficientFunds
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from dchat.kernel.supply import Supply
from tests.fakes.memory import ALICE, BOB, opened


def begun() -> Draft:
    """Alice holds 100 credits, which are all that there are."""
    return Draft(opened(MACHINE, alice=100))


def held(draft: Draft) -> tuple[int, int]:
    return accounts.load(draft, ALICE.id).balance, accounts.load(draft, BOB.id).balance


def test_minted_credits_are_their_owners_and_issued() -> None:
    draft = begun()

    credits.mint(draft, BOB.id, Amount(7))

    assert (held(draft), supply.load(draft)) == ((100, 7), Supply(Amount(107), Amount(0)))
    supply.check_invariant(draft)


def test_redeemed_credits_are_nobodys_any_more() -> None:
    draft = begun()

    credits.redeem(draft, ALICE.id, Amount(60))

    assert (held(draft), supply.load(draft)) == ((40, 0), Supply(Amount(100), Amount(60)))
    supply.check_invariant(draft)


def test_more_than_somebody_has_cannot_go_back() -> None:
    with pytest.raises(InsufficientFunds):
        credits.redeem(begun(), ALICE.id, Amount(101))


def test_more_than_64_bits_are_never_minted() -> None:
    with pytest.raises(AmountTooLarge):
        credits.mint(begun(), ALICE.id, Amount(codec.MAX_U64))
