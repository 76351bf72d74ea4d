"""Votes under a real CometBFT: private ballots change a parameter and plan an upgrade."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from abci_chat import genesis as chat
from abci_chat.genesis import Voter
from abci_chat.params import GOVERNANCE
from abci_chat.state import pools
from dchat.kernel import accounts, genesis, params
from dchat.kernel.headers import validators_hash
from dchat.kernel.ids import Amount, ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.node import network, rpc
from dchat.node.network import ChainEntry, NetworkFile
from tests.conftest import Ran
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.people import identity_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Dchat = Callable[..., Ran]
FUNDS = Amount(100_000_000)
WEIGHTS = {"alice": 60, "bob": 30, "carol": 10}
QUICK = replace(GOVERNANCE.default, voting_ms=12_000, reveal_ms=12_000, upgrade_notice_blocks=5)
PERIOD_S = 3600
DIGEST = "5a" * 32
FAR = 1_000_000


@dataclass
class Town:
    """The chain, the network file, everybody's identity file, and the command line."""

    folder: Path
    solo: Solo
    dchat: Dchat

    def run(self, who: str, *words: object) -> Json:
        """What `dchat gov` says to somebody, who is served."""
        identity_file = self.folder / f"{who}.json"
        return self._said("gov", *words, "--identity", identity_file)

    def query(self, *words: object) -> Json:
        return self._said("query", *words)

    def _said(self, *words: object) -> Json:
        ran = self.dchat(*words, "--network", self.folder / "network.toml", "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    def wait_for(self, number: int, *states: str) -> Json:
        """Polls until a proposal is in one of these states."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.query("proposal", number))["state"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found

    def pooled(self) -> list[int]:
        """What is set aside as deposits and as bonds; on the node's word."""
        held = (pools.PROPOSAL_DEPOSITS, pools.BALLOT_BONDS)
        answers = [self.solo.query("/store", accounts.key(each))["value"] for each in held]
        return [accounts.decode(base64.b64decode(each)).balance for each in answers]


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Town]:
    """A chain on which alice, bob and carol vote, quickly."""
    ids = sorted(identity_of(name).account_id for name in WEIGHTS)
    held = genesis.Genesis(params.DEFAULT, tuple(genesis.Allocation(each, FUNDS) for each in ids))
    solo = Solo(tmp_path / "node", "abci_chat", genesis.SHAPE.encode(held))
    hasten(tmp_path / "node" / "config" / "genesis.json")
    solo.start()
    solo.wait_for_height(2)
    entry = entry_of(solo, tmp_path)
    network.save(tmp_path / "network.toml", NetworkFile("test", (), entry, entry))
    [write_identity(tmp_path, name) for name in WEIGHTS]
    yield Town(tmp_path, solo, dchat)
    solo.stop(signal.SIGKILL)


def hasten(path: Path) -> None:
    """Let a genesis file's votes end within seconds, and these people vote."""
    document = json.loads(path.read_text())
    begun = chat.decode(base64.b64decode(document["app_state"]))
    voters = [Voter(identity_of(name).account_id, held) for name, held in WEIGHTS.items()]
    ordered = tuple(sorted(voters, key=lambda each: each.account))
    begun = replace(begun, rules=replace(begun.rules, governance=QUICK), voters=ordered)
    document["app_state"] = base64.b64encode(chat.SHAPE.encode(begun)).decode()
    path.write_text(json.dumps(document))


def entry_of(solo: Solo, folder: Path) -> ChainEntry:
    url = f"http://127.0.0.1:{solo.rpc_port}"

    async def first() -> TrustRoot:
        async with rpc.connect([url]) as client:
            block = await client.light_block(Height(1))
        hashed = validators_hash(block.validators)
        return TrustRoot(ChainId(solo.chain_id), Height(1), block.header.time_ns, hashed)

    return ChainEntry(folder / "genesis.json", bytes(32), (url,), (), trio.run(first), PERIOD_S)


def write_identity(folder: Path, name: str) -> None:
    whose = identity_of(name)
    sheet = {"version": 1, "kind": "node", "public_key": whose.public_key.hex()}
    file = folder / f"{name}.json"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as opened:
        json.dump({**sheet, "seed": whose.seed.hex()}, opened)


def test_private_ballots_change_a_parameter_and_plan_an_upgrade(town: Town) -> None:
    title = ("--title", "as agreed")
    plan = ("--name", "v2", "--chat-height", FAR, "--currency-height", FAR + 1)
    changed = town.run(
        *("carol", "propose", "params", *title, "--section", "governance"),
        *("--set", "voting_ms=30000"),
    )
    town.run("carol", "propose", "upgrade", *title, *plan, "--binary", f"linux-x86_64={DIGEST}")
    vote = ("vote", "--private", "--choice", "yes", "--proposal")
    told = town.run("alice", *vote, 1)
    town.run("alice", *vote, 2)
    town.run("bob", *vote, 2)

    hidden = town.query("proposal", 2)["ballots"]
    bonded = town.pooled()
    town.wait_for(2, "revealing")
    town.run("alice", "reveal", "--proposal", 1)
    town.run("alice", "reveal", "--proposal", 2)
    revealed = town.run("bob", "reveal", "--proposal", 2)["ballots"]
    decided = [town.wait_for(number, "executed") for number in (1, 2)]

    assert (changed["state"], told["choice"]) == ("voting", "hidden")
    assert (hidden["yes"], hidden["hidden"]) == (0, 90)
    assert bonded == [2 * QUICK.deposit, 3 * QUICK.ballot_bond]
    assert (revealed["yes"], revealed["hidden"]) == (90, 0)
    assert [each["ballots"]["yes"] for each in decided] == [60, 90]
    upgrade = town.query("upgrade")
    assert (upgrade["name"], upgrade["chat_height"], upgrade["ahead"]) == ("v2", FAR, True)
    assert upgrade["binaries"] == [{"platform": "linux-x86_64", "sha256": DIGEST}]
    rules = town.query("params", "--chain", "chat", "--section", "governance")
    assert rules["voting_ms"] == 30_000
    assert town.pooled() == [0, 0]


def test_a_private_ballot_that_nobody_reveals_is_burned(town: Town) -> None:
    town.run("carol", "propose", "text", "--title", "an opinion")
    town.run("alice", "vote", "--proposal", 1, "--choice", "yes")
    town.run("bob", "vote", "--proposal", 1, "--choice", "veto", "--private")
    before = town.query("supply", "--chain", "chat")["burned"]

    decided = town.wait_for(1, "executed")

    burned = town.query("supply", "--chain", "chat")["burned"]
    assert (decided["ballots"]["yes"], decided["ballots"]["hidden"]) == (60, 30)
    assert (burned - before, town.pooled()) == (QUICK.ballot_bond, [0, 0])
