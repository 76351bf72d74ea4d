"""A lost key, its guardians, the owner's veto: on a real chain, by the commands people use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from abci_chat.genesis import Beginning
from abci_chat.params import Identities, Work
from dchat.kernel.ids import Amount
from tests.conftest import Ran
from tests.e2e import quick
from tests.e2e.quick import Orders, Town
from tests.e2e.solo import Json

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FUNDS = Amount(1_000_000)
NAMES = ("alice", "bob", "carol")
GUARDIAN_MS, RECOVERY_MS = 12_001, 12_000
RULES = Identities(guardian_delay_ms=GUARDIAN_MS, recovery_delay_ms=RECOVERY_MS)


@dataclass
class Family(Town):
    """Alice, and those who guard her identity."""

    def guard(self) -> None:
        """Let bob and carol guard alice together."""
        friends = [word for name in ("bob", "carol") for word in ("--guardian", self.account(name))]
        self.order("alice", "identity", "set-guardians", *friends, "--threshold", 2)
        self.pass_ms(GUARDIAN_MS)

    def request(self) -> Json:
        """Let alice, who lost her file, make another and ask for its key."""
        output = ("--output", self.folder / "new.json")
        return self.ask("identity", "request-recovery", self.account("alice"), *output)

    def approve(self, asked: Json) -> list[int]:
        """Let both guardians approve what was asked."""
        words = ("approve-recovery", "--request", asked["request"])
        return [self.send(name, "identity", *words).code for name in ("bob", "carol")]

    def finish(self, asked: Json) -> Ran:
        """Let bob finish it."""
        words = ("--account", asked["account"], "--key", asked["public_key"])
        return self.send("bob", "identity", "finish-recovery", *words)

    def key(self) -> str:
        """The key that signs for alice's account."""
        shown = self.ask("query", "account", self.account("alice"), "--chain", "chat")
        return shown["public_key"]

    def log(self) -> list[str]:
        """The kinds of all entries of alice's key log, which was checked."""
        shown = self.ask("query", "key-log", self.account("alice"))
        return [row["kind"] for row in shown["entries"]]


@pytest.fixture
def town(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Family]:
    """A chain whose delays are seconds, and whose work is soon done; alice has an identity."""
    people = quick.write_identities(tmp_path, NAMES)
    quick.write_identities(tmp_path, ["phone"])
    with quick.chat_chain(tmp_path / "chat", dict.fromkeys(people, FUNDS), hasten) as solo:
        made = Family(tmp_path, solo, dchat)
        made.write_network()
        Orders(solo).register(made.person("alice"))
        yield made


def hasten(begun: Beginning) -> Beginning:
    """Let recoveries take seconds, and work next to nothing."""
    rules = replace(begun.rules, identities=RULES, work=Work(base_bits=8))
    return replace(begun, rules=rules)


def test_a_lost_key_is_recovered_once_the_timelock_is_over(town: Family) -> None:
    town.send("alice", "identity", "add-device", "--device", town.folder / "phone.json")
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
    signs = [town.send(name, "identity", "cancel-guardians").err for name in ("alice", "new")]
    assert ["SenderKeyMismatch" in said for said in signs] == [True, False]
    assert "DeviceKnown" in town.send("new", "identity", "add-device", *phone).err


def test_the_owner_s_veto_ends_a_recovery_without_a_fee(town: Family) -> None:
    town.guard()
    asked, before = town.request(), town.key()
    town.approve(asked)

    veto = town.order("alice", "identity", "veto-recovery", "--work")
    town.pass_ms(RECOVERY_MS)
    refused = town.finish(asked)

    assert (refused.code, "RecoveryNotReady" in refused.err) == (13, True)
    assert veto["fee_credits"] == 0
    assert (town.key(), town.log()) == (before, ["registered", "guardians_set"])
