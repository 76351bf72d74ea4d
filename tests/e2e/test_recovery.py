"""A lost key, its guardians, the owner's veto: on a real chain, by the commands people use."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from abci_chat import genesis as chat
from abci_chat.params import Identities, Work
from dchat.kernel import accounts
from dchat.kernel import genesis as kernel
from dchat.kernel.ids import Height
from dchat.node import identity, network
from dchat.node.network import NetworkFile
from dchat.node.rfc3339 import parse_time
from tests.conftest import Ran
from tests.e2e.networks import entry
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes import orders
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import Person, signed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NAMES = ("alice", "bob", "carol")
GUARDIAN_MS, RECOVERY_MS = 12_001, 12_000
RULES = Identities(guardian_delay_ms=GUARDIAN_MS, recovery_delay_ms=RECOVERY_MS)


class Quick(Solo):
    """A chat chain whose delays are seconds, and whose work is soon done."""

    def _write_genesis(self) -> None:
        super()._write_genesis()
        begun = chat.SHAPE.decode(self.app_state, kernel.MAX_BYTES, kernel.MAX_ALLOCATIONS)
        rules = replace(begun.rules, identities=RULES, work=Work(base_bits=8))
        self.app_state = chat.SHAPE.encode(replace(begun, rules=rules))
        path = self.home / "config" / "genesis.json"
        file: Json = json.loads(path.read_text())
        file["app_state"] = base64.b64encode(self.app_state).decode()
        path.write_text(json.dumps(file))


@dataclass
class Town:
    """A chat chain, and everybody's identity file."""

    folder: Path
    chat: Quick
    dchat: Callable[..., Ran]

    def ask(self, *words: object) -> dict[str, Any]:
        """The document that a command with --json prints, which has to succeed."""
        ran = self.dchat(*words, "--network", self.folder / "network.toml", "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    def send(self, name: str, verb: str, *words: object) -> Ran:
        """Run a command of `dchat identity` that somebody signs."""
        who = ("--identity", self.folder / f"{name}.json")
        network_file = ("--network", self.folder / "network.toml")
        return self.dchat("identity", verb, *words, *who, *network_file)

    def account(self, name: str) -> str:
        """Somebody's account, as people write it."""
        file = self.folder / f"{name}.json"
        return accounts.show_account(identity.read(file).account)

    def now_ms(self) -> int:
        """The newest block's time."""
        shown = self.chat.rpc("status")["sync_info"]["latest_block_time"]
        return parse_time(shown) // 1_000_000

    def pass_ms(self, span: int) -> None:
        """Wait until the chain is so much later."""
        until, deadline = self.now_ms() + span, time.monotonic() + PATIENCE_S
        while self.now_ms() <= until:
            assert time.monotonic() < deadline, self.chat.logs()
            self.chat.wait_for_height(self.chat.height() + 1)

    def register(self, name: str) -> None:
        """Let somebody have an identity."""
        who = Person(identity.load(self.folder / f"{name}.json").account_seed)
        raw = signed(
            who,
            orders.registration(who),
            chain_id=self.chat.chain_id,
            valid_until_height=Height(1000),
        )
        assert self.chat.commit(raw)["tx_result"]["code"] == 0

    def guard(self) -> None:
        """Let bob and carol guard alice together."""
        friends = [word for name in ("bob", "carol") for word in ("--guardian", self.account(name))]
        assert self.send("alice", "set-guardians", *friends, "--threshold", "2").code == 0
        self.pass_ms(GUARDIAN_MS)

    def request(self) -> dict[str, Any]:
        """Let alice, who lost her file, make another and ask for its key."""
        output = ("--output", self.folder / "new.json")
        return self.ask("identity", "request-recovery", self.account("alice"), *output)

    def approve(self, asked: dict[str, Any]) -> list[int]:
        """Let both guardians approve what was asked."""
        words = ("approve-recovery", "--request", asked["request"])
        return [self.send(name, *words).code for name in ("bob", "carol")]

    def finish(self, asked: dict[str, Any]) -> Ran:
        """Let bob finish it."""
        words = ("--account", asked["account"], "--key", asked["public_key"])
        return self.send("bob", "finish-recovery", *words)

    def key(self) -> str:
        """The key that signs for alice's account."""
        shown = self.ask("query", "account", self.account("alice"), "--chain", "chat")
        return shown["public_key"]

    def log(self) -> list[str]:
        """The kinds of all entries of alice's key log, which was checked."""
        shown = self.ask("query", "key-log", self.account("alice"))
        return [row["kind"] for row in shown["entries"]]


@pytest.fixture
def town(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Town]:
    people = [identity.create(tmp_path / f"{name}.json", "node") for name in NAMES]
    identity.create(tmp_path / "phone.json", "node")
    state = genesis_bytes(people=[Person(each.account_seed) for each in people])
    solo = Quick(tmp_path / "chat", "abci_chat", state, "test")
    try:
        solo.start()
        solo.wait_for_height(2)
        network.save(tmp_path / "network.toml", NetworkFile("test", (), entry(solo), entry(solo)))
        yield Town(tmp_path, solo, dchat)
    finally:
        solo.stop(signal.SIGKILL)


def test_a_lost_key_is_recovered_once_the_timelock_is_over(town: Town) -> None:
    town.register("alice")
    town.send("alice", "add-device", "--device", town.folder / "phone.json")
    town.guard()
    asked = town.request()

    approved = town.approve(asked)
    early = town.finish(asked)
    town.pass_ms(RECOVERY_MS)
    done = town.finish(asked)

    assert (approved, early.code, done.code) == ([0, 0], 13, 0)
    assert "RecoveryNotReady" in early.err
    assert town.key() == asked["public_key"]
    assert town.log() == ["registered", "device_added", "guardians_set", "recovered"]
    phone = ("--device", town.folder / "phone.json")
    signs = [town.send(name, "cancel-guardians").err for name in ("alice", "new")]
    assert ["SenderKeyMismatch" in said for said in signs] == [True, False]
    assert "DeviceKnown" in town.send("new", "add-device", *phone).err


def test_the_owner_s_veto_ends_a_recovery_without_a_fee(town: Town) -> None:
    town.register("alice")
    town.guard()
    asked, before = town.request(), town.key()
    town.approve(asked)

    veto = town.send("alice", "veto-recovery", "--work")
    town.pass_ms(RECOVERY_MS)
    refused = town.finish(asked)

    assert (veto.code, refused.code) == (0, 13)
    assert "fee: 0 DCHAT" in " ".join(veto.out.split())
    assert (town.key(), town.log()) == (before, ["registered", "guardians_set"])
