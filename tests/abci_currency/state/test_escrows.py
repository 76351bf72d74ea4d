from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import keys
from abci_currency.state import escrows, pools
from abci_currency.state.escrows import Escrow, EscrowId, IssuerBond, TokenKey
from dchat.kernel import accounts, codec, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState
from tests.fakes.postage import PEER, peer_of

KEY = peer_of(PEER)
FIRST = EscrowId(BOB.id, 1)
NOW = EpochMs(1000)
SUPPLY = Amount(1000)


def start(closes_at: int = 0) -> Draft:
    """Return a draft in which bob's escrow holds 300 and alice's bond 200 of 1000 units."""
    draft = Draft(MemoryState())
    supply.issue(draft, SUPPLY)
    accounts.credit(draft, BOB.id, Amount(800))
    accounts.credit(draft, ALICE.id, Amount(200))
    empty = Escrow(KEY, ALICE.id, KEY, Amount(0), closes_at=EpochMs(closes_at))
    escrows.fill(draft, FIRST, empty, Amount(300))
    bond = IssuerBond(Amount(0), closes_at=EpochMs(closes_at))
    escrows.fill_bond(draft, ALICE.id, bond, Amount(200))
    return draft


def carols(draft: Draft) -> int:
    return accounts.load(draft, CAROL.id).balance


def audit(draft: Draft) -> None:
    supply.check_invariant(draft)
    escrows.check_invariant(draft)


@given(st.lists(st.integers(0, 400) | st.just(codec.MAX_U64), min_size=1, max_size=8))
def test_of_many_cheques_the_highest_is_paid_once_as_far_as_there_is_money(
    promised: list[int],
) -> None:
    draft = start()

    paid = [escrows.claim(draft, FIRST, Amount(each), CAROL.id, NOW) for each in promised]

    assert sum(paid) == carols(draft) == min(300, max(promised))
    audit(draft)


def test_a_cheque_beyond_the_escrow_is_paid_on_once_it_is_filled() -> None:
    draft = start()
    escrows.claim(draft, FIRST, Amount(350), CAROL.id, NOW)
    record = escrows.escrow(draft, FIRST)
    assert record is not None
    escrows.fill(draft, FIRST, record, Amount(100))

    again = escrows.claim(draft, FIRST, Amount(350), CAROL.id, NOW)

    assert (again, carols(draft)) == (50, 350)
    audit(draft)


@given(st.lists(st.integers(0, 150) | st.just(codec.MAX_U64), max_size=5))
def test_a_bond_pays_what_is_asked_as_far_as_there_is_money(asked: list[int]) -> None:
    draft = start()

    paid = [escrows.claim_bond(draft, ALICE.id, Amount(each), CAROL.id, NOW) for each in asked]

    assert sum(paid) == carols(draft) == min(200, sum(asked))
    audit(draft)


CLAIMS: list[Callable[[Draft, EpochMs], Amount]] = [
    lambda draft, now: escrows.claim(draft, FIRST, Amount(7), CAROL.id, now),
    lambda draft, now: escrows.claim_bond(draft, ALICE.id, Amount(7), CAROL.id, now),
]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize(("now", "paid"), [(NOW - 1, 7), (NOW, 0), (NOW + 1, 0)])
def test_what_closes_pays_until_then(
    claim: Callable[[Draft, EpochMs], Amount], now: int, paid: int
) -> None:
    draft = start(closes_at=NOW)

    assert (claim(draft, EpochMs(now)), carols(draft)) == (paid, paid)


def test_claims_on_nothing_write_nothing() -> None:
    draft = Draft(MemoryState())

    paid = [claim(draft, NOW) for claim in CLAIMS]

    assert (paid, dict(draft.writes())) == ([0, 0], {})


def test_the_rest_goes_back_and_nothing_is_left() -> None:
    draft = start()
    record, bond = escrows.escrow(draft, FIRST), escrows.bond(draft, ALICE.id)
    assert record is not None
    assert bond is not None

    escrows.pay_back(draft, FIRST, record)
    escrows.pay_back_bond(draft, ALICE.id, bond)

    held = [accounts.load(draft, who.id).balance for who in (ALICE, BOB)]
    assert (held, list(escrows.escrows(draft)), list(escrows.bonds(draft))) == ([200, 800], [], [])
    audit(draft)


def test_escrows_and_bonds_are_listed_in_the_order_of_their_keys() -> None:
    draft = start()
    record, bond = escrows.escrow(draft, FIRST), escrows.bond(draft, ALICE.id)
    assert record is not None
    assert bond is not None
    low, high = AccountId(bytes(32)), AccountId(b"\xff" * 32)
    ids = [EscrowId(low, 2**64 - 1), EscrowId(high, 0), EscrowId(BOB.id, 300), FIRST]
    saved = [escrows.save(draft, each, record) for each in ids]
    saved += [escrows.save_bond(draft, each, bond) for each in (high, low)]

    listed = [each for each, _ in escrows.escrows(draft)]

    assert (listed, len(saved)) == (sorted(ids, key=lambda e: (e.payer, e.number)), 6)
    assert [owner for owner, _ in escrows.bonds(draft)] == sorted((low, high, ALICE.id))


@pytest.mark.parametrize("number", [0, 1, 2**64 - 1])
def test_records_are_read_back_to_the_edges(number: int) -> None:
    draft, most = Draft(MemoryState()), codec.MAX_U64
    widest = Escrow(KEY, ALICE.id, KEY, Amount(most), Amount(most), EpochMs(most))
    keys_ = tuple(TokenKey(at, most, EpochMs(most), KEY) for at in range(escrows.MAX_TOKEN_KEYS))
    fullest = IssuerBond(Amount(most), EpochMs(most), keys_)

    escrows.save(draft, EscrowId(BOB.id, number), widest)
    escrows.save_bond(draft, ALICE.id, fullest)

    assert escrows.escrow(draft, EscrowId(BOB.id, number)) == widest
    assert escrows.bond(draft, ALICE.id) == fullest


@pytest.mark.parametrize("pool", [pools.ESCROWS, pools.ISSUER_BONDS])
def test_a_pool_that_holds_anything_else_is_found(pool: AccountId) -> None:
    draft = start()
    accounts.credit(draft, pool, Amount(1))

    with pytest.raises(InvariantBroken):
        escrows.check_invariant(draft)


def test_an_escrow_is_kept_under_payer_and_number() -> None:
    assert codec.unpack(FIRST.key) == ["escrow", BOB.id, 1]
    assert FIRST.key.startswith(keys.ESCROWS)
