"""Each chain under a real CometBFT: blocks, proofs, and what a kill leaves behind."""

from __future__ import annotations

import base64
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from dchat.kernel import accounts, codec, tx
from dchat.kernel.ids import Amount, ChainId
from dchat.kernel.machine import Machine
from dchat.kernel.merkle.proof import Proof, verify
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import ALICE, BOB, FUNDS, Person, envelope

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Open = Callable[[Machine], Solo]


@pytest.fixture
def open_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    opened: list[Solo] = []

    def start(machine: Machine) -> Solo:
        home: Path = tmp_path_factory.mktemp("n")
        solo = Solo(home, f"abci_{machine.name}", genesis_bytes())
        opened.append(solo)
        solo.start()
        solo.wait_for_height(2)
        return solo

    yield start
    [solo.stop(signal.SIGKILL) for solo in opened]


def signed(solo: Solo, who: Person, body: tuple[codec.Raw, ...], nonce: int = 0) -> bytes:
    chain_id = ChainId(solo.chain_id)
    return tx.build(replace(envelope(who, body, nonce), chain_id=chain_id), who.seed)


def pay(solo: Solo, amount: int, nonce: int = 0) -> bytes:
    body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(amount)))
    return signed(solo, ALICE, body, nonce)


def proved_account(solo: Solo, who: Person) -> accounts.Account:
    """The account's record, led by its proof to the app hash of a real header."""
    key = accounts.key(who.id)
    answer = solo.query("/store", key, prove="true")
    value = base64.b64decode(answer["value"])
    (op,) = answer["proofOps"]["ops"]
    proof = Proof.decode(base64.b64decode(op["data"]))
    verify(solo.app_hash_after(int(answer["height"])), key, value, proof)
    return accounts.decode(value)


@pytest.mark.parametrize("machine", [CHAT, CURRENCY], ids=["chat", "currency"])
def test_the_genesis_state_is_proved_to_a_real_header(open_chain: Open, machine: Machine) -> None:
    solo = open_chain(machine)

    assert proved_account(solo, ALICE).balance == FUNDS


def test_a_transfer_is_committed_and_proved(open_chain: Open) -> None:
    solo = open_chain(CURRENCY)
    result = solo.commit(pay(solo, 5))

    assert (result["check_tx"]["code"], result["tx_result"]["code"]) == (0, 0)
    assert proved_account(solo, BOB).balance == FUNDS + 5
    assert proved_account(solo, ALICE).nonce == 1


@pytest.mark.parametrize("machine", [CHAT, CURRENCY], ids=["chat", "currency"])
def test_a_refused_transaction_gets_its_code_over_rpc(open_chain: Open, machine: Machine) -> None:
    solo = open_chain(machine)
    answers = [solo.submit(b"\x00\xff junk"), solo.submit(signed(solo, ALICE, (77,)))]

    assert [(answer["code"], answer["codespace"]) for answer in answers] == [
        (1, "dchat"),
        (16, "dchat"),
    ]


def test_block_bounds_of_the_genesis_are_in_force(open_chain: Open) -> None:
    answer = open_chain(CURRENCY).rpc("consensus_params", height="1")

    assert answer["consensus_params"]["block"] == {"max_bytes": "10485760", "max_gas": "1000000"}


def test_a_killed_application_restarts_and_the_chain_goes_on(open_chain: Open) -> None:
    solo = open_chain(CURRENCY)
    solo.commit(pay(solo, 5))
    before = solo.height()
    solo.stop(signal.SIGKILL)
    solo.start()
    solo.wait_for_height(before + 2)
    solo.commit(pay(solo, 7, nonce=1))

    assert proved_account(solo, BOB).balance == FUNDS + 12


def test_an_application_that_lost_its_state_is_replayed_from_genesis(open_chain: Open) -> None:
    solo = open_chain(CURRENCY)
    solo.commit(pay(solo, 5))
    before = solo.height()
    solo.stop()
    (solo.home / "state").rename(solo.home / "lost")
    solo.start()
    solo.wait_for_height(before + 2)

    assert proved_account(solo, BOB).balance == FUNDS + 5


def test_a_clean_stop_leaves_both_processes_with_status_0(open_chain: Open) -> None:
    assert open_chain(CHAT).stop() == [0, 0]
