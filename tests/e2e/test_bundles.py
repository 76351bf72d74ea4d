"""A bundle through a real CometBFT: what became of each transaction is found and proved."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_currency.txs import transfer
from dchat.kernel import bundle, errors, tx
from dchat.kernel.ids import Amount, ChainId
from dchat.node import network
from dchat.node.network import NetworkFile
from tests.conftest import Ran
from tests.e2e.solo import Solo
from tests.e2e.test_reader import entry_of
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import ALICE, BOB, envelope

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Dchat = Callable[..., Ran]


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    chain = Solo(tmp_path_factory.mktemp("n"), "abci_currency", genesis_bytes())
    chain.start()
    chain.wait_for_height(2)
    yield chain
    chain.stop(signal.SIGKILL)


def pay(solo: Solo, amount: int, nonce: int) -> bytes:
    body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(amount)))
    ours = replace(envelope(ALICE, body, nonce), chain_id=ChainId(solo.chain_id))
    return tx.build(ours, ALICE.seed)


def test_each_of_a_bundle_is_found_by_its_own_hash_and_proved(
    solo: Solo, tmp_path: Path, dchat: Dchat
) -> None:
    entry = entry_of(solo, tmp_path)
    file = tmp_path / "network.toml"
    network.save(
        file,
        NetworkFile(
            "test", (), replace(entry, root=replace(entry.root, chain_id=ChainId("other"))), entry
        ),
    )
    good, refused = pay(solo, 5, 0), pay(solo, 10**12, 1)

    answer = solo.rpc("broadcast_tx_sync", tx=f"0x{bundle.build([good, refused]).hex()}")
    ran = [
        dchat("query", "tx", tx.tx_hash(raw).hex(), "--network", file, "--wait-s", "60", "--json")
        for raw in (good, refused)
    ]

    seen = [json.loads(each.out) for each in ran]
    assert answer["code"] == 0
    assert [each["code"] for each in seen] == [0, errors.InsufficientFunds.code]
    assert [each["checked"]["proof"] for each in seen] == ["result", "result"]
    assert seen[0]["cost_used"] < seen[1]["cost_used"] == 2000
