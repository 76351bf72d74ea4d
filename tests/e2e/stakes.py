"""Four founders with stake, a fifth that may join, and a key that can be started twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dchat.kernel.accounts import show_account
from dchat.node import identity
from dchat.node.address import Address
from dchat.node.config import Consensus
from dchat.node.rfc3339 import show_time
from dchat.operator import chains, cometbft, home
from dchat.operator.plan import keys_of
from dchat.operator.ports import Ports
from tests.conftest import Ran
from tests.dchat.operator.networks import Network
from tests.e2e.fleet import Fleet, Traffic, is_running
from tests.e2e.nodes import CHAINS, ENTRY, Json, Node, high_ports
from tests.e2e.solo import free_ports

STAKES = {"validator-1": 100, "validator-2": 100, "validator-3": 100, "validator-4": 80}
FIFTH = 90
"""More than the weakest founder has."""
TERM_S = 5
"""Of either jail."""
SPEED = """timeout_propose = 1000
timeout_prevote = 500
timeout_precommit = 500
timeout_commit = 1000
"""
JOINING = f"{SPEED}[staking]\ninitial_stake = {FIFTH}\n"
RULES = f"""[staking]
min_validator_stake = 50
max_validators = 4
unbonding_time = 1800

[slashing]
missed_blocks_window = 20
min_signed_per_window = 0.5
downtime_slash = 0.01
downtime_jail_duration = {TERM_S}
double_sign_slash = 0.05
double_sign_jail_duration = {TERM_S}

[network]
trusting_period = 1200
"""
HASTY = Consensus(
    timeout_propose=50,
    timeout_prevote=50,
    timeout_precommit=50,
    timeout_commit=1000,
    create_empty_blocks=True,
)
"""Of a node that waits for no proposal: it votes for nothing where others vote for a block."""


def build(folder: Path) -> Fleet:
    """Write a network's files by `dchat genesis build`; none of its nodes runs yet."""
    first = high_ports(5)
    places = {name: first.at(at) for at, name in enumerate([*STAKES, "late"])}
    for name in (*places, "rich", "saver"):
        identity.create(folder / f"{name}.json", "node")
    (folder / "genesis.toml").write_text(_settings(folder, places))
    command = ("genesis", "build", "--settings", folder / "genesis.toml", "--output", folder)
    subprocess.run(
        [sys.executable, "-c", ENTRY, *map(str, command)],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    net = Network(folder, folder / "validator-1.json", folder / "network.toml")
    *founders, late = (
        Node(net, name, folder / f"{name}.json", place, SPEED) for name, place in places.items()
    )
    late.consensus = JOINING
    return Fleet(founders, late)


def _settings(folder: Path, places: dict[str, Ports]) -> str:
    accounts = "".join(
        f'[[accounts]]\naccount = "{_account(folder, name)}"\nbalance = 200\ncredits = 100\n'
        for name in (*places, "rich", "saver")
    )
    founders = "".join(_founder(folder, name, stake) for name, stake in STAKES.items())
    reached = "".join(_reached(folder, places, chain) for chain in chains.both("test"))
    begins = show_time(int(time.time()) * 10**9)
    return f'chain_id = "test"\ngenesis_time = "{begins}"\n{RULES}{reached}{accounts}{founders}'


def _account(folder: Path, name: str) -> str:
    return show_account(identity.load(folder / f"{name}.json").account_id)


def _founder(folder: Path, name: str, stake: int) -> str:
    owner = identity.load(folder / f"{name}.json")
    chat, currency = (keys_of(owner, name).consensus_key for name in CHAINS)
    return (
        f'[[validators]]\nmoniker = "{name}"\naccount = "{_account(folder, name)}"\n'
        f'stake = {stake}\nchat_key = "{chat.hex()}"\ncurrency_key = "{currency.hex()}"\n'
    )


def _reached(folder: Path, places: dict[str, Ports], chain: chains.Chain) -> str:
    """Where clients and peers find the founders, on one chain."""
    rpc = [f"http://127.0.0.1:{places[name].rpc + chain.port_step}" for name in STAKES]
    seeds = [
        f"{keys_of(identity.load(folder / f'{name}.json'), chain.name).node_id}"
        f"@127.0.0.1:{places[name].p2p + chain.port_step}"
        for name in STAKES
    ]
    return f"[{chain.name}]\nrpc = {json.dumps(rpc)}\nseeds = {json.dumps(seeds)}\n"


def operator(node: Node) -> str:
    """The account that a validator's stake is of."""
    return show_account(identity.load(node.identity).account_id)


def address(node: Node) -> str:
    """By what CometBFT names a validator of the currency chain."""
    keys = keys_of(identity.load(node.identity), "currency")
    return home.validator_address(keys.consensus_key).hex().upper()


def powers(judge: Node, height: int) -> dict[str, int]:
    """Who signs the block at that height, by CometBFT's word, once the one before is there."""
    judge.wait_for_heights({"currency": height - 1})
    found = judge.rpc("currency", "validators", height=str(height))["validators"]
    return {each["address"]: int(each["voting_power"]) for each in found}


def newest(judge: Node) -> dict[str, int]:
    """Who signs the next block."""
    return powers(judge, judge.height("currency") + 1)


def signers(judge: Node, height: int) -> set[str]:
    """Whose precommits for the block at that height are known."""
    said = judge.rpc("currency", "commit", height=str(height))["signed_header"]["commit"]
    return {each["validator_address"] for each in said["signatures"] if each["signature"]}


def await_vote(judge: Node, of: Node) -> None:
    """Return once a block carries a validator's precommit."""
    judge.wait_until(
        lambda: address(of) in signers(judge, judge.height("currency")), f"vote of {of.name}"
    )


def await_release(judge: Node, until: str) -> None:
    """Return once block time is past a moment."""
    judge.wait_until(
        lambda: judge.rpc("currency", "status")["sync_info"]["latest_block_time"] > until,
        "end of the jail term",
    )


def events(judge: Node, height: int) -> list[str]:
    """The kinds of what the hooks of a block told."""
    found = judge.rpc("currency", "block_results", height=str(height))["finalize_block_events"]
    return [each["type"] for each in found or []]


def halt(node: Node) -> None:
    """A node that runs is asked to stop, and has."""
    if is_running(node):
        assert node.stop() == 0


@contextmanager
def traffic(fleet: Fleet) -> Generator[None]:
    """Keep the currency chain busy, so that its blocks come one after the other."""
    sender = Traffic(fleet.validators, fleet.network.folder / "rich.json", "currency")
    sender.start()
    try:
        yield
    finally:
        sender.stop()


@dataclass(frozen=True)
class Desk:
    """The command line of somebody who works on a network."""

    network: Network
    dchat: Callable[..., Ran]

    def run(self, *words: object) -> Ran:
        return self.dchat(*words, "--network", self.network.file, "--json")

    def ask(self, *words: object) -> Json:
        """What a query shows, proved."""
        ran = self.run("query", *words)
        assert ran.code == 0, ran.err
        shown: Json = json.loads(ran.out)
        return shown

    def order(self, who: str, *words: object) -> Json:
        """What a transaction of somebody's shows, once it is in a block."""
        ran = self.refused(who, *words)
        assert ran.code == 0, ran.err
        shown: Json = json.loads(ran.out)
        return shown

    def refused(self, who: str, *words: object) -> Ran:
        """What became of a transaction that may be refused."""
        return self.run("tx", *words, "--identity", self.network.folder / f"{who}.json")

    def states(self) -> dict[str, str]:
        """Whether each validator votes, or why not, by its name."""
        return {each["moniker"]: each["state"] for each in self.ask("validators")["validators"]}


class Twin:
    """A second process with a validator's consensus key, and a fresh record of what it signed."""

    def __init__(self, of: Node, fleet: Fleet) -> None:
        self.home = of.network.folder / "twin"
        self.socket = of.network.folder / "twin.sock"
        self._processes: list[subprocess.Popen[bytes]] = []
        rpc, p2p = free_ports(2)
        node = home.Node(
            moniker="twin",
            app_socket=self.socket,
            p2p=Address("127.0.0.1", p2p),
            rpc=Address("127.0.0.1", rpc),
            peers=tuple(_peer(each) for each in fleet.validators),
            max_peers=40,
            consensus=HASTY,
        )
        theirs = keys_of(identity.load(of.identity), "currency")
        keys = home.Keys(node=os.urandom(32), consensus=theirs.consensus)
        home.write(
            self.home, node, keys, (of.network.folder / "genesis-currency.json").read_bytes()
        )

    def start(self) -> None:
        """Start the application and CometBFT; it catches up by itself."""
        folder = self.home.parent
        app = (sys.executable, "-m", "abci_currency", "--socket", self.socket)
        self._spawn(*app, "--data-dir", folder / "twin-state")
        binary = cometbft.find(print, os.environ).path
        self._spawn(binary, "start", "--home", self.home)

    def kill(self) -> None:
        """End both processes."""
        for each in reversed(self._processes):
            each.kill()
            each.wait()

    def _spawn(self, *command: object) -> None:
        with (self.home.parent / f"twin-{len(self._processes)}.log").open("ab") as log:
            words = [str(word) for word in command]
            self._processes.append(subprocess.Popen(words, stdout=log, stderr=log))


def _peer(node: Node) -> str:
    keys = keys_of(identity.load(node.identity), "currency")
    return f"{keys.node_id}@127.0.0.1:{node.ports.p2p + 10}"


@contextmanager
def started_twice(of: Node, fleet: Fleet) -> Generator[Twin]:
    """Run a second process with a validator's key."""
    twin = Twin(of, fleet)
    try:
        twin.start()
        yield twin
    finally:
        twin.kill()
