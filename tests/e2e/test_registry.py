"""Relays and escrows under a real CometBFT: registered, paid for, left, and paid out on time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from abci_currency import keys
from abci_currency.genesis import Beginning
from abci_currency.params import RELAYS
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import EscrowId
from abci_currency.txs import escrow, relay
from abci_currency.txs.escrow import CloseEscrow, OpenEscrow, SettleEscrow
from abci_currency.txs.relay import NothingDue, SettleRelay, UnbondRelay
from dchat.kernel import codec, signing
from dchat.kernel.ids import Amount, ChainId, Height
from relay.registration import build_registration
from tests.e2e import quick
from tests.e2e.quick import Orders, proved
from tests.e2e.solo import PATIENCE_S
from tests.fakes.memory import ALICE, BOB
from tests.fakes.postage import PEER, STAKE, peer_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KEY = peer_of(PEER)
FUNDS = Amount(10**10)
FEE = 2000
SPAN_MS = 4000
ONE = Amount(1_000_000)
CHEQUES = signing.public_key(b"q" * 32)


@pytest.fixture
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    """A chain on which what leaves is due four seconds later."""
    held = dict.fromkeys((ALICE, BOB), FUNDS)
    with quick.currency_chain(tmp_path_factory.mktemp("n"), held, hasten) as solo:
        yield Orders(solo)


def hasten(begun: Beginning) -> Beginning:
    """Let relays and escrows wait for SPAN_MS only."""
    short = replace(RELAYS.default, unbonding_ms=SPAN_MS, escrow_delay_ms=SPAN_MS)
    return replace(begun, rules=replace(begun.rules, relays=short))


def settled(orders: Orders, body: tuple[codec.Raw, ...]) -> None:
    """Polls with orders until one is carried out; each before that is too early."""
    deadline = time.monotonic() + PATIENCE_S
    while (code := orders.do(BOB, body)["code"]) == NothingDue.code:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert code == 0


def test_a_relay_is_registered_paid_for_and_paid_out(orders: Orders) -> None:
    solo = orders.solo
    form = build_registration(
        PEER, (ALICE.id, STAKE), ("/ip4/127.0.0.1/tcp/7070",), ChainId(solo.chain_id), Height(1000)
    )

    assert orders.do(ALICE, relay.REGISTER.body(form))["code"] == 0
    assert relays.RELAY.decode(proved(solo, keys.relay(KEY))).stake == STAKE
    found = solo.rpc("tx_search", query=f"\"RelayRegistered.peer='{KEY.hex()}'\"")
    assert found["total_count"] == "1"

    assert orders.do(BOB, escrow.OPEN.body(OpenEscrow(KEY, CHEQUES, ONE)))["code"] == 0
    which = EscrowId(BOB.id, 1)
    assert escrows.ESCROW.decode(proved(solo, which.key)).payee == ALICE.id

    assert orders.do(BOB, escrow.CLOSE.body(CloseEscrow(1)))["code"] == 0
    assert orders.do(ALICE, relay.UNBOND.body(UnbondRelay(KEY)))["code"] == 0
    settled(orders, escrow.SETTLE.body(SettleEscrow(BOB.id, 1)))
    settled(orders, relay.SETTLE.body(SettleRelay(KEY)))

    assert (proved(solo, which.key), proved(solo, keys.relay(KEY))) == (b"", b"")
    assert solo.account(ALICE).balance == FUNDS - 2 * FEE
    assert solo.account(BOB).balance == FUNDS - solo.account(BOB).nonce * FEE
