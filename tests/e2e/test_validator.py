"""`dchat validator` as an operator meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.operator.networks import network
from tests.dchat.operator.programs import wait_until_dead
from tests.e2e.nodes import ENTRY, Node, high_ports

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    place = high_ports()
    net = network(tmp_path_factory.mktemp("net"), rpc_port=place.rpc)
    node = Node(net, "validator", net.identity, place)
    node.start()
    node.wait_for_heights({"chat": 3, "currency": 3})
    yield node
    node.kill_tree()


@pytest.fixture
def node(running: Node) -> Node:
    """The running validator; started again where a test before stopped it."""
    if running.process is None or running.process.poll() is not None:
        running.start()
    running.wait_until(lambda: bool(running.get("/ready")["ready"]), "readiness")
    return running


def test_health_status_and_metrics_tell_of_both_chains(node: Node) -> None:
    node.wait_until(
        lambda: 'blocks_validated_total{chain="chat"} 0.0' not in node.metrics(), "vote"
    )

    status = node.get("/status")
    shown = node.metrics()

    assert node.get("/health")["status"] == "ok"
    assert node.get("/ready") == {"ready": True, "connected_peers": 0}
    assert status["chains"]["chat"]["chain_id"] == "test"
    assert status["chains"]["currency"]["voting_power"] == 10
    assert 'dchat_chain_height{chain="currency"}' in shown
    assert 'dchat_validator_missed_blocks_total{chain="chat"} 0.0' in shown
    assert 'dchat_validator_block_time_seconds_bucket{chain="chat",le="1.0"}' in shown


@pytest.mark.parametrize("program", ["start --home", "abci_currency"], ids=["CometBFT", "app"])
def test_a_killed_child_is_restarted_and_its_chain_goes_on(node: Node, program: str) -> None:
    before = node.heights()
    restarts = node.get("/status")["chains"]["currency"]["restarts"]
    victim = next(pid for pid in node.leftovers() if _is(pid, program, "currency"))

    os.kill(victim, signal.SIGKILL)

    wait_until_dead(victim)
    node.wait_for_heights({"currency": before["currency"] + 2})
    assert node.get("/status")["chains"]["currency"]["restarts"] == restarts + 1
    assert node.get("/status")["chains"]["chat"]["restarts"] == 0


def test_a_second_one_on_the_directory_is_refused(node: Node) -> None:
    command = [sys.executable, "-c", ENTRY, "validator", "--config", str(node.write_config())]

    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert second.returncode == 1
    assert "is in use by process" in second.stderr
    assert "dchat: hint: stop it first, or use another directory" in second.stderr


def test_ports_that_are_in_use_are_named_at_once(node: Node) -> None:
    place = Node(node.network, "second", node.identity, node.ports)
    command = [sys.executable, "-c", ENTRY, "validator", "--config", str(place.write_config())]

    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert refused.returncode == 1
    assert f"address 127.0.0.1:{node.ports.p2p + 10} is already in use" in refused.stderr


def test_stopping_leaves_no_process_and_keeps_the_chain(node: Node) -> None:
    before = node.heights()
    tree = node.tree()

    assert node.stop() == 0

    assert len(tree) == 6
    wait_until_dead(*tree[1:])
    node.start()
    node.wait_for_heights({chain: height + 1 for chain, height in before.items()})


def test_a_killed_supervisor_takes_every_child_along(node: Node) -> None:
    tree = node.tree()
    assert node.process is not None

    node.process.kill()
    node.process.wait()

    wait_until_dead(*tree[1:])
    assert node.leftovers() == []


def test_another_chain_id_than_the_directorys_is_refused(node: Node, tmp_path: Path) -> None:
    node.stop()
    config = tmp_path / "validator.toml"
    config.write_text(
        node.write_config()
        .read_text()
        .replace('chain_id = "test"', 'chain_id = "other"')
        .replace(f'network = "{node.network.file}"', "")
    )
    command = [sys.executable, "-c", ENTRY, "validator", "--config", str(config)]

    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "dchat: error: this genesis is of chain test-currency, not other-currency\n"
        "dchat: hint: --chain-id X names the chat chain; the currency chain is X-currency\n"
    )


def test_another_genesis_is_refused_by_a_directory_in_use(node: Node, tmp_path: Path) -> None:
    node.stop()
    other = network(tmp_path)
    foreign = Node(other, "validator", node.identity, node.ports)
    config = foreign.write_config().read_text().replace(str(foreign.data_dir), str(node.data_dir))
    (tmp_path / "validator.toml").write_text(config)
    command = [
        sys.executable,
        "-c",
        ENTRY,
        "validator",
        "--config",
        str(tmp_path / "validator.toml"),
    ]

    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "was started with genesis" in refused.stderr


def _is(pid: int, program: str, chain: str) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return program in command and chain in command
