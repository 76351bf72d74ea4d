"""A network of signed entries, as its founders make it, and a validator that joins with stake."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat.kernel.accounts import show_account
from dchat.node import identity
from dchat.node.rfc3339 import show_time
from dchat.operator import chains
from dchat.operator.plan import keys_of
from dchat.operator.ports import Ports
from tests.dchat.operator.networks import Network
from tests.e2e.nodes import ENTRY, Node, high_ports

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FOUNDERS = ("first", "second")
NAMES = (*FOUNDERS, "third")
FAST = "timeout_commit = 300\ncreate_empty_blocks = true\n"


def dchat(*args: object) -> str:
    """What the command prints; it has to succeed."""
    command = [sys.executable, "-c", ENTRY, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seeds(folder: Path, places: dict[str, Ports], chain: chains.Chain) -> str:
    """Where peers find the founders, as TOML writes a list of text."""
    known = [
        f'"{keys_of(identity.load(folder / f"{name}.json"), chain.name).node_id}'
        f'@127.0.0.1:{places[name].p2p + chain.port_step}"'
        for name in FOUNDERS
    ]
    return f"[{', '.join(known)}]"


def settings(folder: Path, places: dict[str, Ports]) -> Path:
    """The file on which founders agree before they sign their entries."""
    ids = {
        name: show_account(identity.create(folder / f"{name}.json", "node").account_id)
        for name in (*NAMES, "rich")
    }
    held = "".join(
        f'[[accounts]]\naccount = "{ids[name]}"\nbalance = {tokens}\ncredits = 100\n'
        for name, tokens in (("first", 60), ("second", 50), ("third", 31), ("rich", 1000))
    )
    tables = "".join(
        f'[{chain.name}]\nrpc = ["http://127.0.0.1:{places["first"].rpc + chain.port_step}"]\n'
        f"seeds = {seeds(folder, places, chain)}\n"
        for chain in chains.both("test")
    )
    path = folder / "genesis.toml"
    path.write_text(f"""chain_id = "test"
genesis_time = "{show_time(int(time.time()) * 10**9)}"
{tables}
[staking]
min_validator_stake = 30
{held}
[[delegations]]
delegator = "{ids["rich"]}"
validator = "{ids["second"]}"
amount = 7
""")
    return path


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, Node]]:
    """Three nodes on a network whose genesis was built of two entries."""
    base = high_ports(len(NAMES))
    places = {name: base.at(at) for at, name in enumerate(NAMES)}
    agreed = settings(tmp_path, places)
    (tmp_path / "entries").mkdir()
    for name, stake in (("first", 40), ("second", 35)):
        dchat(
            *("genesis", "add-validator", "--identity", tmp_path / f"{name}.json"),
            *("--settings", agreed, "--stake", stake, "--moniker", name, "--commission", "0.1"),
            *("--output", tmp_path / "entries" / f"{name}.json"),
        )
    dchat(
        *("genesis", "build", "--settings", agreed, "--entries", tmp_path / "entries"),
        *("--output", tmp_path / "network"),
    )
    built = Network(tmp_path, tmp_path / "first.json", tmp_path / "network" / "network.toml")
    made = {
        name: Node(built, name, tmp_path / f"{name}.json", places[name], FAST) for name in NAMES
    }
    yield made
    [node.kill_tree() for node in made.values()]


def powers(node: Node, chain: str) -> list[int]:
    """The voting powers of a chain's validators, the strongest first."""
    found = node.rpc(chain, "validators")["validators"]
    return [int(each["voting_power"]) for each in found]


def test_founders_make_blocks_and_a_third_joins_with_its_stake(nodes: dict[str, Node]) -> None:
    first, third = nodes["first"], nodes["third"]
    third.consensus = f"{FAST}[staking]\ninitial_stake = 30\n"

    [node.start() for node in nodes.values()]
    first.wait_for_heights({"chat": 3, "currency": 3})
    begun = powers(first, "chat")
    first.wait_until(lambda: len(powers(first, "currency")) == 3, "third validator")
    third.wait_until(lambda: third.get("/status")["stake"].startswith("done"), "end of staking")
    third.wait_until(
        lambda: third.get("/status")["chains"]["currency"]["voting_power"] == 30, "power"
    )

    assert begun == powers(first, "chat") == [42, 40]
    assert powers(first, "currency") == [42, 40, 30]
    assert third.get("/status")["addresses"]["currency"]["role"] == "validator"
    assert third.get("/status")["addresses"]["chat"]["role"] == "full node"
    assert "dchat: stake: done: at block" in third.log.read_text()


def test_a_restart_stakes_nothing_more(nodes: dict[str, Node]) -> None:
    first, third = nodes["first"], nodes["third"]
    third.consensus = f"{FAST}[staking]\ninitial_stake = 30\n"
    [node.start() for node in nodes.values()]
    third.wait_until(lambda: "stake: waits for a block" in third.log.read_text(), "sending")

    third.kill_tree()
    third.start()
    third.wait_until(lambda: third.get("/status")["stake"].startswith("done"), "end of staking")
    reached = first.height("currency")
    first.wait_for_heights({"currency": reached + 4})

    assert powers(first, "currency") == [42, 40, 30]
