"""What the commands that talk to a chain have in common."""

from __future__ import annotations

from pathlib import Path

import trio

from dchat.cli.chains import entry_of, show_checked, with_chain
from dchat.kernel.light import MIN_DRIFT_NS, start
from dchat.kernel.wire import NS_PER_SECOND
from dchat.node import network
from dchat.node.chain import OpenChain
from tests.dchat.node.test_network import network as network_of
from tests.fakes.chain import FakeChain, Signer


def test_chain_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    network.save(path, network_of(tmp_path))

    ids = [entry_of(str(path), name).chain_id for name in ("chat", "currency")]

    assert ids == ["devnet", "d-currency"]


def test_task_runs_on_the_opened_chain(tmp_path: Path) -> None:
    async def ask(chain: OpenChain) -> str:
        await trio.lowlevel.checkpoint()
        return chain.entry.chain_id

    assert with_chain(network_of(tmp_path).chat, ask) == "devnet"


def test_proof_is_shown_with_header_signers_and_time() -> None:
    chain = FakeChain((Signer("ann"),))
    trusted = start(chain.root, chain.block(1), chain.time_ns(2), NS_PER_SECOND * 9, MIN_DRIFT_NS)

    assert show_checked(trusted) == {
        "chain_id": "fake-chain",
        "state_after_block": 0,
        "header": 1,
        "header_hash": trusted.header_hash,
        "header_time": "2023-11-14T22:13:20Z",
        "signed_power_at_least": 10,
        "total_power": 10,
    }
