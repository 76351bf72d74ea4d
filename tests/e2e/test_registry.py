"""Relays and escrows under a real CometBFT: registered, paid for, left, and paid out on time."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_currency import genesis as currency
from abci_currency import keys
from abci_currency.params import RELAYS
from abci_currency.state import escrows, relays
from abci_currency.state.escrows import EscrowId
from abci_currency.txs import escrow, relay
from abci_currency.txs.escrow import CloseEscrow, OpenEscrow, SettleEscrow
from abci_currency.txs.relay import NothingDue, SettleRelay, UnbondRelay
from dchat.kernel import codec, genesis, params, signing, tx
from dchat.kernel.ids import Amount, ChainId, Height
from dchat.kernel.merkle.proof import Proof, verify
from relay.registration import build_registration
from tests.e2e.solo import PATIENCE_S, Solo
from tests.fakes.memory import ALICE, BOB, Person, envelope
from tests.fakes.postage import PEER, STAKE, peer_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KEY = peer_of(PEER)
FUNDS = Amount(10**10)
FEE = 2000
SPAN_MS = 4000
ONE = Amount(1_000_000)
CHEQUES = signing.public_key(b"q" * 32)


@pytest.fixture
def solo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    """A chain on which what leaves is due four seconds later."""
    ids = sorted(person.id for person in (ALICE, BOB))
    held = genesis.Genesis(params.DEFAULT, tuple(genesis.Allocation(each, FUNDS) for each in ids))
    home = tmp_path_factory.mktemp("n")
    chain = Solo(home, "abci_currency", genesis.SHAPE.encode(held))
    hasten(home / "config" / "genesis.json")
    chain.start()
    chain.wait_for_height(2)
    yield chain
    chain.stop(signal.SIGKILL)


def hasten(path: Path) -> None:
    """Let a genesis file's relays and escrows wait for SPAN_MS only."""
    document = json.loads(path.read_text())
    begun = currency.decode(base64.b64decode(document["app_state"]))
    short = replace(RELAYS.default, unbonding_ms=SPAN_MS, escrow_delay_ms=SPAN_MS)
    begun = replace(begun, rules=replace(begun.rules, relays=short))
    document["app_state"] = base64.b64encode(currency.SHAPE.encode(begun)).decode()
    path.write_text(json.dumps(document))


def order(solo: Solo, who: Person, body: tuple[codec.Raw, ...]) -> int:
    """The code with which a block carried it out."""
    plain = envelope(who, body, solo.account(who).nonce)
    raw = tx.build(replace(plain, chain_id=ChainId(solo.chain_id)), who.seed)
    result = solo.commit(raw)
    assert result["check_tx"]["code"] == 0, result
    return int(result["tx_result"]["code"])


def proved(solo: Solo, key: bytes) -> bytes:
    """The record, led by its proof to the app hash of a real header; empty if proved absent."""
    answer = solo.query("/store", key, prove="true")
    value = base64.b64decode(answer["value"] or "")
    (op,) = answer["proofOps"]["ops"]
    proof = Proof.decode(base64.b64decode(op["data"]))
    verify(solo.app_hash_after(int(answer["height"])), key, value or None, proof)
    return value


def settled(solo: Solo, body: tuple[codec.Raw, ...]) -> None:
    """Polls with orders until one is carried out; each before that is too early."""
    deadline = time.monotonic() + PATIENCE_S
    while (code := order(solo, BOB, body)) == NothingDue.code:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert code == 0


def test_a_relay_is_registered_paid_for_and_paid_out(solo: Solo) -> None:
    form = build_registration(
        PEER, (ALICE.id, STAKE), ("/ip4/127.0.0.1/tcp/7070",), ChainId(solo.chain_id), Height(1000)
    )

    assert order(solo, ALICE, relay.REGISTER.body(form)) == 0
    assert relays.RELAY.decode(proved(solo, keys.relay(KEY))).stake == STAKE
    found = solo.rpc("tx_search", query=f"\"RelayRegistered.peer='{KEY.hex()}'\"")
    assert found["total_count"] == "1"

    assert order(solo, BOB, escrow.OPEN.body(OpenEscrow(KEY, CHEQUES, ONE))) == 0
    which = EscrowId(BOB.id, 1)
    assert escrows.ESCROW.decode(proved(solo, which.key)).payee == ALICE.id

    assert order(solo, BOB, escrow.CLOSE.body(CloseEscrow(1))) == 0
    assert order(solo, ALICE, relay.UNBOND.body(UnbondRelay(KEY))) == 0
    settled(solo, escrow.SETTLE.body(SettleEscrow(BOB.id, 1)))
    settled(solo, relay.SETTLE.body(SettleRelay(KEY)))

    assert (proved(solo, which.key), proved(solo, keys.relay(KEY))) == (b"", b"")
    assert solo.account(ALICE).balance == FUNDS - 2 * FEE
    assert solo.account(BOB).balance == FUNDS - solo.account(BOB).nonce * FEE
