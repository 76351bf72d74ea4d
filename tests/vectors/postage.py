"""What the vectors of relays, escrows and issuers begin with, and what is sent to them."""

from __future__ import annotations

from dataclasses import replace

from abci_currency import params
from abci_currency.params import DAY_MS
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import Escrow, EscrowId, IssuerBond, TokenKey
from abci_currency.state.relays import Relay
from abci_currency.txs import escrow, issuer, relay
from abci_currency.txs.escrow import CloseEscrow, OpenEscrow, SettleEscrow, TopUpEscrow
from abci_currency.txs.issuer import (
    CloseIssuerBond,
    OpenIssuerBond,
    PublishTokenKey,
    SettleIssuerBond,
    TopUpIssuerBond,
)
from abci_currency.txs.relay import EditRelay, SettleRelay, TopUpRelay, UnbondRelay
from dchat.kernel import accounts, signing, supply
from dchat.kernel import params as kernel
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, signed
from tests.fakes.postage import ADDRESSES, PEER, STAKE, START, peer_of, registration

KEY = peer_of(PEER)
GONE = b"g" * 32
"""The seed of a relay whose time is up."""
CHEQUES = signing.public_key(b"q" * 32)
ONE = Amount(1_000_000)
FUNDS = Amount(10**10)
OLD = EscrowId(CAROL.id, 1)
EPOCH = START // (7 * DAY_MS)
ELSEWHERE = ("/dns/relay.example.org/tcp/7070", "/ip6/2001:db8::1/tcp/7070")


def start() -> MemoryState:
    """Return a state in which carol's relay has left, and her escrow and bond have closed.

    It has no stake and no parameters but these, so that nothing else can change the vectors.
    """
    draft, past = Draft(MemoryState()), EpochMs(START - 1)
    kernel.save(draft, kernel.DEFAULT)
    params.RELAYS.save(draft, params.RELAYS.default)
    supply.issue(draft, Amount(3 * FUNDS))
    accounts.credit(draft, ALICE.id, FUNDS)
    accounts.credit(draft, BOB.id, FUNDS)
    accounts.credit(draft, CAROL.id, FUNDS)
    left = Relay(CAROL.id, ADDRESSES, Amount(0), Height(1), leaves_at=past)
    relays.add_stake(draft, peer_of(GONE), left, STAKE)
    closed = Escrow(peer_of(GONE), CAROL.id, CHEQUES, Amount(0), Amount(7), past)
    escrows.fill(draft, OLD, closed, ONE)
    keys = (TokenKey(EPOCH - 5, 3, past, b"h" * 32),)
    escrows.fill_bond(draft, CAROL.id, IssuerBond(Amount(0), past, keys), ONE)
    return MemoryState().after(draft.writes())


def orders() -> list[bytes]:
    """Return every order once as it is carried out, and those that are refused most often."""
    form = registration(ALICE.id)
    opening = OpenEscrow(KEY, CHEQUES, ONE)
    key = PublishTokenKey(EPOCH, 3, b"h" * 32)
    return [
        signed(ALICE, relay.REGISTER.body(form)),
        signed(BOB, relay.REGISTER.body(form)),
        signed(BOB, relay.REGISTER.body(replace(form, peer=peer_of(b"n" * 32))), 1),
        signed(ALICE, relay.EDIT.body(EditRelay(KEY, ELSEWHERE)), 1),
        signed(BOB, relay.EDIT.body(EditRelay(KEY, ELSEWHERE)), 2),
        signed(ALICE, relay.TOP_UP.body(TopUpRelay(KEY, Amount(5))), 2),
        signed(BOB, escrow.OPEN.body(opening), 3),
        signed(BOB, escrow.OPEN.body(replace(opening, amount=Amount(1))), 4),
        signed(BOB, escrow.TOP_UP.body(TopUpEscrow(4, Amount(5))), 5),
        signed(BOB, escrow.CLOSE.body(CloseEscrow(4)), 6),
        signed(BOB, escrow.SETTLE.body(SettleEscrow(BOB.id, 4)), 7),
        signed(BOB, escrow.SETTLE.body(SettleEscrow(CAROL.id, 1)), 8),
        signed(ALICE, relay.UNBOND.body(UnbondRelay(KEY)), 3),
        signed(ALICE, relay.SETTLE.body(SettleRelay(KEY)), 4),
        signed(ALICE, relay.SETTLE.body(SettleRelay(peer_of(GONE))), 5),
        signed(BOB, escrow.OPEN.body(opening), 9),
        signed(ALICE, issuer.OPEN.body(OpenIssuerBond(ONE)), 6),
        signed(ALICE, issuer.TOP_UP.body(TopUpIssuerBond(Amount(5))), 7),
        signed(ALICE, issuer.PUBLISH.body(key), 8),
        signed(ALICE, issuer.PUBLISH.body(key), 9),
        signed(ALICE, issuer.CLOSE.body(CloseIssuerBond()), 10),
        signed(ALICE, issuer.SETTLE.body(SettleIssuerBond(ALICE.id)), 11),
        signed(ALICE, issuer.SETTLE.body(SettleIssuerBond(CAROL.id)), 12),
    ]
