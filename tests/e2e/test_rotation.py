"""An account's key is rotated on two real chains, one of which is down at first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dchat.kernel import accounts
from dchat.node import identity, network
from dchat.node.identity import Identity
from dchat.node.network import NetworkFile
from tests.conftest import Ran
from tests.e2e.networks import entry
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import BOB, Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass
class Net:
    """Two chains, and the identity that is rotated on them."""

    folder: Path
    old: Identity
    chat: Solo
    currency: Solo
    dchat: Callable[..., Ran]

    def run(self, *words: object) -> Ran:
        return self.dchat(*words, "--network", self.folder / "network.toml")

    def rotate(self) -> Ran:
        files = ("--identity", self.folder / "old.json", "--output", self.folder / "new.json")
        return self.run("identity", "rotate-key", *files)

    def pay(self, name: str) -> Ran:
        to = accounts.show_account(BOB.id)
        words = ("--to", to, "--amount", "5udchat", "--identity", self.folder / f"{name}.json")
        return self.run("tx", "send", *words)

    def key_version(self, chain: str) -> str:
        account = accounts.show_account(self.old.account_id)
        shown = self.run("query", "account", account, "--chain", chain).out.splitlines()
        return next(line.split()[-1] for line in shown if line.startswith("key_version"))


@pytest.fixture
def net(tmp_path: Path, dchat: Callable[..., Ran]) -> Iterator[Net]:
    old = identity.create(tmp_path / "old.json", "node")
    state = genesis_bytes(people=(Person(old.child("account")), BOB))
    chat = Solo(tmp_path / "chat", "abci_chat", state, "test")
    currency = Solo(tmp_path / "currency", "abci_currency", state, "test-currency")
    [solo.start() for solo in (chat, currency)]
    [solo.wait_for_height(2) for solo in (chat, currency)]
    network.save(tmp_path / "network.toml", NetworkFile("test", (), entry(chat), entry(currency)))
    yield Net(tmp_path, old, chat, currency, dchat)
    [solo.stop(signal.SIGKILL) for solo in (chat, currency)]


def test_a_rotation_that_one_chain_missed_is_finished_by_the_same_command(net: Net) -> None:
    net.chat.stop(signal.SIGKILL)
    half = net.rotate()
    between = [net.pay(name).code for name in ("old", "new")]
    net.chat.start()
    net.chat.wait_for_height(3)

    whole = net.rotate()

    assert (half.code, whole.code) == (14, 0)
    assert "not in force on: chat" in half.err
    assert between == [1, 0]
    assert [net.key_version(chain) for chain in ("currency", "chat")] == ["1", "1"]
    assert "was done before" in whole.out
