from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS
from abci_currency.state import escrows
from abci_currency.state.escrows import MAX_TOKEN_KEYS, IssuerBond, TokenKey
from abci_currency.txs import issuer
from abci_currency.txs.escrow import EscrowTooSmall
from abci_currency.txs.issuer import (
    MAX_EXPONENT,
    BadDenomination,
    CloseIssuerBond,
    EpochOutOfRange,
    IssuerBondClosed,
    IssuerBondClosing,
    IssuerBondExists,
    IssuerBondOpened,
    IssuerBondSettled,
    IssuerBondToppedUp,
    OpenIssuerBond,
    PublishTokenKey,
    SettleIssuerBond,
    TokenKeyAdded,
    TokenKeyPublished,
    TooManyTokenKeys,
    TopUpIssuerBond,
    UnknownIssuerBond,
)
from abci_currency.txs.relay import NothingDue
from dchat.kernel.errors import InsufficientFunds, NonceMismatch, ZeroAmount
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, EpochMs
from tests.fakes.memory import ALICE, BOB, Person, run, signed
from tests.fakes.postage import FORTNIGHT_MS, START, Clockwork

ONE = Amount(1_000_000)
FEE = 2000
FUNDS = 10**12
WEEK_MS = 7 * DAY_MS
EPOCH = START // WEEK_MS
HASH = b"h" * 32
OTHER = b"o" * 32


def found(chain: Clockwork) -> IssuerBond | None:
    return escrows.bond(chain.state, ALICE.id)


def known(chain: Clockwork) -> IssuerBond:
    record = found(chain)
    assert record is not None
    return record


def opened() -> Clockwork:
    chain = Clockwork()
    chain.send(ALICE, issuer.OPEN, OpenIssuerBond(ONE))
    return chain


def publishing(epoch: int = EPOCH) -> Clockwork:
    chain = opened()
    chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(epoch, 3, HASH))
    return chain


def closed() -> Clockwork:
    chain = opened()
    chain.send(ALICE, issuer.CLOSE, CloseIssuerBond())
    return chain


def full(chain: Clockwork, ends_at: int) -> Clockwork:
    draft = chain.draft()
    keys = tuple(TokenKey(at, 0, EpochMs(ends_at), HASH) for at in range(MAX_TOKEN_KEYS))
    escrows.save_bond(draft, ALICE.id, replace(known(chain), keys=keys))
    chain.keep(draft)
    return chain


def test_a_bond_sets_an_amount_aside() -> None:
    chain = Clockwork()

    outcome = chain.send(ALICE, issuer.OPEN, OpenIssuerBond(ONE))

    assert outcome.events == (IssuerBondOpened(ALICE.id, ONE),)
    assert (found(chain), chain.pools()) == (IssuerBond(ONE), (0, 0, ONE))
    assert chain.balance(ALICE.id) == FUNDS - FEE - ONE
    chain.audit()


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, EscrowTooSmall.code),
        (ONE - 1, EscrowTooSmall.code),
        (FUNDS, InsufficientFunds.code),
        (2**64 - 1, InsufficientFunds.code),
    ],
)
def test_a_bond_of_too_little_or_too_much_is_refused(amount: int, code: int) -> None:
    chain = Clockwork()

    outcome = chain.send(ALICE, issuer.OPEN, OpenIssuerBond(Amount(amount)))

    assert (outcome.code, found(chain), chain.pools()) == (code, None, (0, 0, 0))


@pytest.mark.parametrize("chain", [opened(), closed()])
def test_an_account_has_one_bond(chain: Clockwork) -> None:
    before = found(chain)

    outcome = chain.send(ALICE, issuer.OPEN, OpenIssuerBond(ONE))

    assert (outcome.code, found(chain)) == (IssuerBondExists.code, before)


def test_a_replayed_opening_is_refused() -> None:
    chain = Clockwork()
    raw = signed(ALICE, issuer.OPEN.body(OpenIssuerBond(ONE)))
    chain.send_raw(raw)

    assert (chain.send_raw(raw).code, chain.pools()[2]) == (NonceMismatch.code, ONE)


def test_a_top_up_adds_to_the_bond() -> None:
    chain = publishing()

    outcome = chain.send(ALICE, issuer.TOP_UP, TopUpIssuerBond(Amount(5)))

    assert outcome.events == (IssuerBondToppedUp(ALICE.id, Amount(5)),)
    assert (known(chain).held, len(known(chain).keys), chain.pools()[2]) == (ONE + 5, 1, ONE + 5)


@pytest.mark.parametrize(
    ("amount", "code"), [(0, ZeroAmount.code), (FUNDS, InsufficientFunds.code)]
)
def test_a_top_up_with_nothing_or_too_much_is_refused(amount: int, code: int) -> None:
    chain = opened()

    outcome = chain.send(ALICE, issuer.TOP_UP, TopUpIssuerBond(Amount(amount)))

    assert (outcome.code, chain.pools()[2]) == (code, ONE)


@pytest.mark.parametrize("epoch", [EPOCH, EPOCH + 2])
def test_a_key_is_published_for_this_epoch_or_one_of_the_next_two(epoch: int) -> None:
    chain = opened()

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(epoch, MAX_EXPONENT, HASH))

    ends_at = EpochMs((epoch + 1) * WEEK_MS)
    assert outcome.events == (TokenKeyAdded(ALICE.id, epoch, MAX_EXPONENT),)
    assert known(chain).keys == (TokenKey(epoch, MAX_EXPONENT, ends_at, HASH),)


@pytest.mark.parametrize("epoch", [0, EPOCH - 1, EPOCH + 3, 2**64 - 1])
def test_a_key_for_any_other_epoch_is_refused(epoch: int) -> None:
    chain = opened()

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(epoch, 3, HASH))

    assert (outcome.code, known(chain).keys) == (EpochOutOfRange.code, ())


@pytest.mark.parametrize("exponent", [MAX_EXPONENT + 1, 2**64 - 1])
def test_a_denomination_beyond_a_million_tokens_is_refused(exponent: int) -> None:
    chain = opened()

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, exponent, HASH))

    assert (outcome.code, known(chain).keys) == (BadDenomination.code, ())


@pytest.mark.parametrize("key_hash", [HASH, OTHER])
def test_a_key_is_never_replaced(key_hash: bytes) -> None:
    chain = publishing()
    before = found(chain)

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, 3, key_hash))

    assert (outcome.code, found(chain)) == (TokenKeyPublished.code, before)


def test_keys_are_kept_by_epoch_and_denomination() -> None:
    chain = publishing(EPOCH + 1)
    chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, 7, HASH))

    chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, 2, OTHER))

    shown = [(key.epoch - EPOCH, key.exponent) for key in known(chain).keys]
    assert shown == [(0, 2), (0, 7), (1, 3)]


def test_more_keys_than_there_is_room_for_are_refused() -> None:
    chain = full(opened(), ends_at=START - FORTNIGHT_MS + 1)

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, 3, HASH))

    assert (outcome.code, len(known(chain).keys)) == (TooManyTokenKeys.code, MAX_TOKEN_KEYS)


def test_keys_whose_tokens_cannot_be_claimed_any_more_make_room() -> None:
    chain = full(opened(), ends_at=START - FORTNIGHT_MS)

    chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH, 3, HASH))

    assert [key.epoch for key in known(chain).keys] == [EPOCH]


def test_a_bond_without_keys_closes_after_the_delay() -> None:
    chain = opened()

    outcome = chain.send(ALICE, issuer.CLOSE, CloseIssuerBond())

    closes_at = EpochMs(START + FORTNIGHT_MS)
    assert outcome.events == (IssuerBondClosed(ALICE.id, closes_at),)
    assert (found(chain), chain.pools()[2]) == (IssuerBond(ONE, closes_at=closes_at), ONE)


def test_a_bond_with_keys_answers_for_the_last_epoch_in_full() -> None:
    chain = publishing(EPOCH + 2)

    chain.send(ALICE, issuer.CLOSE, CloseIssuerBond())

    assert known(chain).closes_at == (EPOCH + 3) * WEEK_MS + FORTNIGHT_MS


ON_OPEN = [
    (issuer.TOP_UP, TopUpIssuerBond(ONE)),
    (issuer.CLOSE, CloseIssuerBond()),
    (issuer.PUBLISH, PublishTokenKey(EPOCH, 3, HASH)),
]


@pytest.mark.parametrize(("family", "order"), ON_OPEN)
def test_without_a_bond_nothing_is_done(family: Family[object], order: object) -> None:
    chain = opened()

    outcome = chain.send(BOB, family, order)

    assert (outcome.code, chain.pools()[2]) == (UnknownIssuerBond.code, ONE)


@pytest.mark.parametrize(("family", "order"), ON_OPEN)
def test_a_closed_bond_takes_no_orders(family: Family[object], order: object) -> None:
    chain = closed()
    before = found(chain)
    chain.pass_ms(5)

    outcome = chain.send(ALICE, family, order)

    assert (outcome.code, found(chain)) == (IssuerBondClosing.code, before)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_whoever_settles_a_bond_its_owner_gets_the_rest(who: Person) -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS)
    before = chain.balance(ALICE.id)

    outcome = chain.send(who, issuer.SETTLE, SettleIssuerBond(ALICE.id))

    paid = chain.balance(ALICE.id) - before + (FEE if who == ALICE else 0)
    assert outcome.events == (IssuerBondSettled(ALICE.id, ONE),)
    assert (paid, found(chain), chain.pools()[2]) == (ONE, None, 0)


@pytest.mark.parametrize(
    ("chain", "span_ms", "code"),
    [
        (opened(), 100 * FORTNIGHT_MS, NothingDue.code),
        (closed(), FORTNIGHT_MS - 1, NothingDue.code),
        (Clockwork(), 0, UnknownIssuerBond.code),
    ],
)
def test_what_is_not_due_is_not_paid(chain: Clockwork, span_ms: int, code: int) -> None:
    before = chain.pools()
    chain.pass_ms(span_ms)

    outcome = chain.send(BOB, issuer.SETTLE, SettleIssuerBond(ALICE.id))

    assert (outcome.code, chain.pools()) == (code, before)


def test_nobody_is_paid_twice() -> None:
    chain = closed()
    chain.pass_ms(FORTNIGHT_MS)
    chain.send(ALICE, issuer.SETTLE, SettleIssuerBond(ALICE.id))

    outcome = chain.send(ALICE, issuer.SETTLE, SettleIssuerBond(ALICE.id))

    assert (outcome.code, chain.pools()[2]) == (UnknownIssuerBond.code, 0)


def test_no_key_is_exchanged_by_closing_and_opening_again() -> None:
    chain = publishing(EPOCH + 2)
    chain.send(ALICE, issuer.CLOSE, CloseIssuerBond())
    chain.pass_ms(known(chain).closes_at - chain.now)
    chain.send(ALICE, issuer.SETTLE, SettleIssuerBond(ALICE.id))
    chain.send(ALICE, issuer.OPEN, OpenIssuerBond(ONE))

    outcome = chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(EPOCH + 2, 3, OTHER))

    assert outcome.code == EpochOutOfRange.code


def test_a_vote_for_longer_epochs_keeps_what_was_published() -> None:
    chain = publishing()
    draft = chain.draft()
    params.RELAYS.save(draft, replace(params.RELAYS.default, token_epoch_ms=4 * WEEK_MS))
    chain.keep(draft)

    chain.send(ALICE, issuer.PUBLISH, PublishTokenKey(START // (4 * WEEK_MS), 3, OTHER))

    ends = [key.ends_at for key in known(chain).keys]
    assert ends == [(START // (4 * WEEK_MS) + 1) * 4 * WEEK_MS, (EPOCH + 1) * WEEK_MS]


@pytest.mark.parametrize(
    ("family", "order"), [(issuer.OPEN, OpenIssuerBond(ONE)), (issuer.TOP_UP, TopUpIssuerBond(ONE))]
)
def test_what_is_bonded_cannot_be_spent_by_what_waits_behind(
    family: Family[object], order: object
) -> None:
    assert family.prepare(family.body(order)[1:]).spends == ONE


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(issuer.FAMILIES), st.lists(fields, min_size=1, max_size=4))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, Clockwork().state, signed(BOB, (family.type, *odd)))

    assert result.outcomes[0].code != 0
