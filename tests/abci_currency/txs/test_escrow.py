from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.machine import MACHINE
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import Escrow, EscrowId
from abci_currency.state.relays import PeerKey
from abci_currency.txs import escrow, relay
from abci_currency.txs.escrow import (
    CloseEscrow,
    EscrowClosed,
    EscrowClosing,
    EscrowOpened,
    EscrowSettled,
    EscrowTooSmall,
    EscrowToppedUp,
    OpenEscrow,
    RelayNotServing,
    SettleEscrow,
    TopUpEscrow,
    UnknownEscrow,
    WeakChequeKey,
)
from abci_currency.txs.relay import NothingDue, SettleRelay, UnbondRelay
from dchat.kernel import bundle, signing
from dchat.kernel.errors import (
    InsufficientFunds,
    InvariantBroken,
    MalformedBody,
    NonceMismatch,
    ZeroAmount,
)
from dchat.kernel.family import Family, TxContext
from dchat.kernel.ids import Amount, EpochMs, Height
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, run, signed
from tests.fakes.postage import (
    FORTNIGHT_MS,
    PEER,
    STAKE,
    START,
    Clockwork,
    peer_of,
    registration,
    serving,
)

KEY = peer_of(PEER)
CHEQUES = signing.public_key(b"q" * 32)
ONE = Amount(1_000_000)
FEE = 2000
FUNDS = 10**12
FIRST = EscrowId(BOB.id, 1)
CLOSES_AT = EpochMs(START + FORTNIGHT_MS)
OPENED = OpenEscrow(KEY, CHEQUES, ONE)


def found(chain: Clockwork, which: EscrowId = FIRST) -> Escrow | None:
    return escrows.escrow(chain.state, which)


def opened() -> Clockwork:
    chain = serving()
    chain.send(BOB, escrow.OPEN, OPENED)
    return chain


def closed() -> Clockwork:
    chain = opened()
    chain.send(BOB, escrow.CLOSE, CloseEscrow(1))
    return chain


def test_an_escrow_sets_postage_aside_for_whoever_runs_the_relay() -> None:
    chain = serving()

    outcome = chain.send(BOB, escrow.OPEN, OPENED)

    assert outcome.events == (EscrowOpened(BOB.id, 1, KEY, ONE),)
    assert found(chain) == Escrow(KEY, ALICE.id, CHEQUES, ONE)
    assert (chain.balance(BOB.id), chain.pools()) == (FUNDS - FEE - ONE, (STAKE, ONE, 0))
    chain.audit()


def test_the_next_escrow_has_another_number() -> None:
    chain = opened()

    outcome = chain.send(BOB, escrow.OPEN, OPENED)

    assert outcome.events == (EscrowOpened(BOB.id, 2, KEY, ONE),)
    assert [which for which, _ in escrows.escrows(chain.state)] == [FIRST, EscrowId(BOB.id, 2)]


def test_escrows_that_one_bundle_opens_have_two_numbers() -> None:
    chain = serving()
    both = [signed(BOB, escrow.OPEN.body(OPENED), nonce) for nonce in (0, 1)]

    chain.send_raw(bundle.build(both), BOB)

    numbers = [which.number for which, _ in escrows.escrows(chain.state)]
    assert (numbers, chain.pools()[1]) == ([1, 2], 2 * ONE)


def test_no_number_comes_twice_though_its_escrow_is_gone() -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1))

    outcome = chain.send(BOB, escrow.OPEN, OPENED)

    assert (found(chain), outcome.events) == (None, (EscrowOpened(BOB.id, 4, KEY, ONE),))


def test_a_nonce_given_twice_would_stop_the_chain_rather_than_lose_an_escrow() -> None:
    draft = serving().draft()
    bob = TxContext(CHAIN, BOB.id, BOB.public_key, Height(2), START)
    escrow.OPEN.apply(draft, OPENED, bob)

    with pytest.raises(InvariantBroken):
        escrow.OPEN.apply(draft, OPENED, bob)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (replace(OPENED, amount=Amount(ONE - 1)), EscrowTooSmall.code),
        (replace(OPENED, amount=Amount(0)), EscrowTooSmall.code),
        (replace(OPENED, amount=Amount(FUNDS - FEE + 1)), InsufficientFunds.code),
        (replace(OPENED, amount=Amount(2**64 - 1)), InsufficientFunds.code),
        (replace(OPENED, relay=PeerKey(bytes(32))), RelayNotServing.code),
        (replace(OPENED, relay=peer_of(b"o" * 32)), RelayNotServing.code),
        (replace(OPENED, cheque_key=bytes(32)), WeakChequeKey.code),
    ],
)
def test_an_escrow_is_refused_and_changes_nothing(form: OpenEscrow, code: int) -> None:
    chain = serving()

    outcome = chain.send(BOB, escrow.OPEN, form)

    assert (outcome.code, found(chain), chain.pools()) == (code, None, (STAKE, 0, 0))
    assert chain.balance(BOB.id) == FUNDS - FEE


def test_a_replayed_opening_is_refused() -> None:
    chain = serving()
    raw = signed(BOB, escrow.OPEN.body(OPENED))
    chain.send_raw(raw, BOB)

    assert (chain.send_raw(raw, BOB).code, chain.pools()[1]) == (NonceMismatch.code, ONE)


@pytest.mark.parametrize(
    ("family", "order"), [(escrow.OPEN, OPENED), (escrow.TOP_UP, TopUpEscrow(1, ONE))]
)
def test_nothing_is_set_aside_for_a_relay_that_leaves(
    family: Family[object], order: object
) -> None:
    chain = opened()
    chain.send(ALICE, relay.UNBOND, UnbondRelay(KEY))

    outcome = chain.send(BOB, family, order)

    assert (outcome.code, chain.pools()[1]) == (RelayNotServing.code, ONE)


def test_nothing_is_set_aside_for_a_relay_in_jail_until_it_is_out() -> None:
    chain = serving()
    draft = chain.draft()
    relays.jail(draft, KEY, EpochMs(START + 5))
    chain.keep(draft)
    before = chain.send(BOB, escrow.OPEN, OPENED)
    chain.pass_ms(5)

    after = chain.send(BOB, escrow.OPEN, OPENED)

    assert (before.code, after.code) == (RelayNotServing.code, 0)


def test_nothing_is_set_aside_for_a_relay_that_was_slashed_below_the_least_stake() -> None:
    chain = serving()
    draft = chain.draft()
    relays.slash(draft, KEY, Amount(1), Height(1))
    chain.keep(draft)

    assert chain.send(BOB, escrow.OPEN, OPENED).code == RelayNotServing.code


def test_a_top_up_adds_to_the_escrow() -> None:
    chain = opened()

    outcome = chain.send(BOB, escrow.TOP_UP, TopUpEscrow(1, Amount(5)))

    record = found(chain)
    assert outcome.events == (EscrowToppedUp(BOB.id, 1, Amount(5)),)
    assert (record and record.held, chain.pools()[1]) == (ONE + 5, ONE + 5)


@pytest.mark.parametrize(
    ("amount", "code"), [(0, ZeroAmount.code), (FUNDS, InsufficientFunds.code)]
)
def test_a_top_up_with_nothing_or_too_much_is_refused(amount: int, code: int) -> None:
    chain = opened()

    outcome = chain.send(BOB, escrow.TOP_UP, TopUpEscrow(1, Amount(amount)))

    assert (outcome.code, chain.pools()[1]) == (code, ONE)


def test_a_top_up_does_not_reach_whom_the_payer_never_chose() -> None:
    chain = opened()
    chain.send(ALICE, relay.UNBOND, UnbondRelay(KEY))
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(ALICE, relay.SETTLE, SettleRelay(KEY))
    chain.send(BOB, relay.REGISTER, registration(BOB.id))

    outcome = chain.send(BOB, escrow.TOP_UP, TopUpEscrow(1, ONE))

    assert (outcome.code, chain.pools()[1]) == (RelayNotServing.code, ONE)


@pytest.mark.parametrize("who", [ALICE, CAROL])
@pytest.mark.parametrize(
    ("family", "order"),
    [(escrow.TOP_UP, TopUpEscrow(1, ONE)), (escrow.CLOSE, CloseEscrow(1))],
)
def test_nobody_reaches_the_escrow_of_another(
    who: Person, family: Family[object], order: object
) -> None:
    chain = serving(alice=FUNDS, bob=FUNDS, carol=FUNDS)
    chain.send(BOB, escrow.OPEN, OPENED)
    before = found(chain)

    outcome = chain.send(who, family, order)

    assert (outcome.code, found(chain)) == (UnknownEscrow.code, before)


def test_a_closed_escrow_still_holds_its_postage() -> None:
    chain = opened()

    outcome = chain.send(BOB, escrow.CLOSE, CloseEscrow(1))

    assert outcome.events == (EscrowClosed(BOB.id, 1, KEY, CLOSES_AT),)
    assert (found(chain), chain.pools()[1]) == (
        Escrow(KEY, ALICE.id, CHEQUES, ONE, closes_at=CLOSES_AT),
        ONE,
    )


@pytest.mark.parametrize(
    ("family", "order"), [(escrow.TOP_UP, TopUpEscrow(1, ONE)), (escrow.CLOSE, CloseEscrow(1))]
)
def test_a_closed_escrow_is_neither_filled_nor_put_off(
    family: Family[object], order: object
) -> None:
    chain = closed()
    before = found(chain)
    chain.pass_ms(5)

    outcome = chain.send(BOB, family, order)

    assert (outcome.code, found(chain)) == (EscrowClosing.code, before)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_whoever_settles_an_escrow_its_payer_gets_the_rest(who: Person) -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS)
    draft = chain.draft()
    escrows.claim(draft, FIRST, Amount(400), CAROL.id, EpochMs(CLOSES_AT - 1))
    chain.keep(draft)
    before = chain.balance(BOB.id)

    outcome = chain.send(who, escrow.SETTLE, SettleEscrow(BOB.id, 1))

    paid = chain.balance(BOB.id) - before + (FEE if who == BOB else 0)
    assert outcome.events == (EscrowSettled(BOB.id, 1, Amount(ONE - 400)),)
    assert (paid, found(chain), chain.pools()[1]) == (ONE - 400, None, 0)


def test_nobody_is_paid_back_early() -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS - 1)

    outcome = chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1))

    assert (outcome.code, chain.pools()[1]) == (NothingDue.code, ONE)


def test_nobody_is_paid_back_twice() -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1))

    outcome = chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1))

    assert (outcome.code, chain.pools()[1]) == (UnknownEscrow.code, 0)


def test_an_open_escrow_is_not_settled() -> None:
    chain = opened()
    chain.pass_ms(FORTNIGHT_MS * 100)

    assert chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1)).code == NothingDue.code


def test_a_vote_for_a_shorter_delay_frees_nothing_that_was_closed_before() -> None:
    chain = closed()
    draft = chain.draft()
    params.RELAYS.save(draft, replace(params.RELAYS.default, escrow_delay_ms=1000))
    chain.keep(draft)
    chain.pass_ms(FORTNIGHT_MS - 1)

    assert chain.send(BOB, escrow.SETTLE, SettleEscrow(BOB.id, 1)).code == NothingDue.code


def test_a_payer_closes_his_escrow_though_the_relay_is_gone() -> None:
    chain = opened()
    chain.send(ALICE, relay.UNBOND, UnbondRelay(KEY))
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(ALICE, relay.SETTLE, SettleRelay(KEY))

    assert chain.send(BOB, escrow.CLOSE, CloseEscrow(1)).code == 0


@pytest.mark.parametrize(
    ("family", "order"), [(escrow.OPEN, OPENED), (escrow.TOP_UP, TopUpEscrow(1, ONE))]
)
def test_what_is_set_aside_cannot_be_spent_by_what_waits_behind(
    family: Family[object], order: object
) -> None:
    assert family.prepare(family.body(order)[1:]).spends == ONE


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(escrow.FAMILIES), st.lists(fields, max_size=4))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, serving().state, signed(BOB, (family.type, *odd)))

    assert result.outcomes[0].code in {MalformedBody.code, UnknownEscrow.code, ZeroAmount.code}
