from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys, params
from abci_chat.hooks import fees
from abci_chat.machine import MACHINE
from abci_chat.params import Reputation
from abci_chat.state import identities, reputation
from abci_chat.state.identities import Identity
from abci_chat.state.reputation import Deed
from dchat.kernel import errors, supply
from dchat.kernel.ids import AccountId, Amount, Height
from dchat.kernel.pool import Pool
from dchat.kernel.store import Draft
from tests.fakes.memory import (
    ALICE,
    BOB,
    CAROL,
    FUNDS,
    MemoryState,
    Person,
    at_height,
    balance,
    opened,
    run,
    signed,
)
from tests.fakes.orders import registration

FEE = 2000
NONSENSE = (99,)
"""A body of no family: it is refused, and pays."""


def begun(**rules: int) -> Draft:
    """Alice and Bob have identities and funds, Carol has funds only."""
    draft = Draft(opened(MACHINE, alice=FUNDS, bob=FUNDS, carol=FUNDS))
    params.REPUTATION.save(draft, replace(Reputation(), **rules))
    for who in (ALICE, BOB):
        record = Identity("", who.public_key, who.public_key, (), bytes(32), Height(1))
        identities.save(draft, who.id, record)
    return draft


def trusting(points: int = 1000) -> MemoryState:
    """As begun, and Alice has so many points."""
    draft = begun()
    reputation.add(draft, ALICE.id, Deed.BALLOT, points, Height(1))
    return committed(draft)


def committed(draft: Draft) -> MemoryState:
    return MemoryState(dict(draft.scan(b"")))


def marks(state: MemoryState, who: AccountId) -> list[tuple[Deed, int]]:
    found = reputation.contributions(state, who, Height(1))
    return [(each.mark.deed, each.left) for each in found]


def test_all_fees_of_a_block_are_burned() -> None:
    before = committed(begun())

    after = before.after(
        run(MACHINE, before, signed(ALICE, NONSENSE), signed(BOB, NONSENSE)).writes
    )

    assert supply.load(after).burned == supply.load(before).burned + 2 * FEE
    supply.check_invariant(after)


def test_fees_count_for_those_with_an_identity_in_thousandths_of_a_point() -> None:
    before = committed(begun(fee_points=3))

    after = before.after(
        run(MACHINE, before, signed(ALICE, NONSENSE), signed(CAROL, NONSENSE)).writes
    )

    assert marks(after, ALICE.id) == [(Deed.FEES_PAID, 3 * FEE)]
    assert marks(after, CAROL.id) == []


def test_a_block_writes_once_for_a_payer_whatever_it_sent() -> None:
    before = committed(begun())
    sent = [signed(ALICE, NONSENSE, nonce) for nonce in range(3)]

    after = before.after(run(MACHINE, before, *sent).writes)

    assert marks(after, ALICE.id) == [(Deed.FEES_PAID, 3 * FEE)]


def test_whoever_registers_counts_the_fee_of_that_block() -> None:
    before = opened(MACHINE, carol=FUNDS)

    result = run(MACHINE, before, signed(CAROL, registration(CAROL)))

    assert result.outcomes[0].code == 0
    assert marks(before.after(result.writes), CAROL.id) == [(Deed.FEES_PAID, FEE)]


def test_a_network_that_counts_no_fees_writes_none() -> None:
    draft = begun(fee_points=0)

    fees.take(draft, {ALICE.id: Amount(5)}, at_height())

    assert draft.get(keys.reputation(ALICE.id)) is None


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_it_makes_no_difference_in_how_many_blocks_the_same_is_paid(parts: list[int]) -> None:
    once, often = begun(), begun()

    fees.take(once, {ALICE.id: Amount(sum(parts))}, at_height(1))
    for at, part in enumerate(parts, 1):
        fees.take(often, {ALICE.id: Amount(part)}, at_height(at))

    assert reputation.score(often, ALICE.id, Height(9)) == sum(parts) // 1000
    assert often.get(keys.reputation(ALICE.id)) == once.get(keys.reputation(ALICE.id))


@pytest.mark.parametrize(("fee", "owed"), [(1000, 800), (1, 1), (1001, 801), (0, 0)])
def test_a_trusted_sender_owes_a_share_of_the_fee_rounded_up(fee: int, owed: int) -> None:
    assert fees.least(trusting(), ALICE.id, Amount(fee), at_height()) == owed


@pytest.mark.parametrize("who", [ALICE, CAROL])
def test_others_owe_all_of_it(who: Person) -> None:
    assert fees.least(trusting(999), who.id, Amount(1000), at_height()) == 1000


def test_trust_that_has_decayed_lowers_no_fee() -> None:
    late = at_height(Reputation().half_life_blocks)

    assert fees.least(trusting(1000), ALICE.id, Amount(1000), late) == 1000


def test_the_lower_fee_is_taken_in_mempool_and_block() -> None:
    state, raw = trusting(), signed(ALICE, NONSENSE, fee=Amount(1600))
    pool = Pool(MACHINE)

    checked = pool.check(state, raw, at_height())
    result = run(MACHINE, state, raw)

    assert {checked.code, result.outcomes[0].code} == {errors.UnknownTransaction.code}
    assert balance(state.after(result.writes), ALICE) == FUNDS - 1600


def test_less_than_the_lower_fee_is_refused() -> None:
    state, raw = trusting(), signed(ALICE, NONSENSE, fee=Amount(1599))

    result = run(MACHINE, state, raw)

    assert result.outcomes[0].code == errors.FeeTooLow.code
    assert result.outcomes[0].reason.endswith("1600")


def test_whoever_pays_in_full_has_nothing_looked_up() -> None:
    asked: list[bytes] = []

    class Watched(MemoryState):
        def get(self, key: bytes) -> bytes | None:
            asked.append(key)
            return super().get(key)

    pool, state = Pool(MACHINE), Watched(trusting().entries)

    pool.check(state, signed(ALICE, NONSENSE), at_height())

    assert keys.reputation(ALICE.id) not in asked
    assert params.REPUTATION.key not in asked
