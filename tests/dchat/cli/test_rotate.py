"""`dchat identity rotate-key` against two real applications behind HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel import accounts, genesis, params
from dchat.kernel.accounts import Account
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.machine import GenesisContext, Machine
from dchat.kernel.store import Draft
from dchat.node import identity, network
from dchat.node.identity import Identity
from dchat.node.network import NetworkFile
from tests.conftest import Ran
from tests.dchat.cli.market import MarketNode
from tests.fakes.people import identity_of
from tests.fakes.rpc_node import Json, serving

FUNDS = Amount(1_000_000)
BOB = identity_of("bob").account_id


class Unreachable(MarketNode):
    """A node that takes no transactions until it is told to."""

    takes = True

    def answer(self, method: str, params: Json) -> Json:
        if method == "broadcast_tx_sync" and not self.takes:
            raise LookupError("not now")
        return super().answer(method, params)


@dataclass(frozen=True)
class World:
    """Both chains, the network file beside an old identity, and the command."""

    folder: Path
    old: Identity
    currency: Unreachable
    chat: Unreachable
    dchat: Callable[..., Ran]

    def rotate(self, old: str = "old", new: str = "new", *more: object) -> Ran:
        files = ("--identity", self.file(old), "--output", self.file(new))
        net = ("--network", self.folder / "network.toml")
        return self.dchat("identity", "rotate-key", *files, *net, *more)

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def load(self, name: str, passphrase: bytes | None = None) -> Identity:
        return identity.load(self.file(name), passphrase)

    def held(self) -> tuple[Account, Account]:
        """The account on the currency chain and on the chat chain."""
        key = self.old.account_id
        return (
            accounts.load(self.currency.storage.latest(), key),
            accounts.load(self.chat.storage.latest(), key),
        )


def node(rules: Machine, folder: Path, funds: dict[AccountId, Amount]) -> Unreachable:
    def begin(draft: Draft, context: GenesisContext, _data: bytes) -> None:
        allocations = tuple(genesis.Allocation(*each) for each in sorted(funds.items()))
        genesis.begin(draft, context.chain_id, genesis.Genesis(params.DEFAULT, allocations))

    made = Unreachable(replace(rules, genesis=begin), folder)
    made.block()
    made.block()
    return made


@contextmanager
def world(
    folder: Path, dchat: Callable[..., Ran], *, credits: int = FUNDS, sealed: bytes | None = None
) -> Generator[World]:
    old = identity.create(folder / "old.json", "user" if sealed else "node", sealed)
    currency = node(CURRENCY, folder / "currency", {old.account_id: FUNDS, BOB: FUNDS})
    on_chat = {old.account_id: Amount(credits)} if credits else {}
    chat = node(CHAT, folder / "chat", {BOB: FUNDS, **on_chat})
    with serving(currency) as one, serving(chat) as other:
        file = NetworkFile("test", (), chat.entry(other), currency.entry(one))
        network.save(folder / "network.toml", file)
        yield World(folder, old, currency, chat, dchat)


def test_the_account_has_its_new_key_on_both_chains(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        ran = here.rotate("old", "new", "--json")

        new = here.load("new")
        found = [(each.public_key, each.key_version) for each in here.held()]
    told = json.loads(ran.out)
    assert (ran.code, found) == (0, [(new.public_key, 1)] * 2)
    assert new.account_id == here.old.account_id
    assert told["account"] == accounts.show_account(here.old.account_id)
    assert [(row["chain"], row["done"]) for row in told["chains"]] == [
        ("currency", True),
        ("chat", True),
    ]


def test_the_old_file_stays_as_it_was_and_signs_no_longer(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        before = here.file("old").read_bytes()
        here.rotate()

        ran = here.rotate("old", "other")

    assert here.file("old").read_bytes() == before
    assert ran.code == 14
    assert ran.out.count("the chain has key 1 of the account") == 2


def test_the_same_command_again_finds_that_all_is_done(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        here.rotate()
        first = here.held()

        ran = here.rotate()

        assert here.held() == first
    assert ran.code == 0
    assert ran.out.count("was done before") == 2


def test_where_one_chain_fails_the_same_command_finishes(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        here.chat.takes = False
        half = here.rotate()
        halfway = [each.key_version for each in here.held()]

        here.chat.takes = True
        whole = here.rotate()

        assert halfway == [1, 0]
        assert [each.key_version for each in here.held()] == [1, 1]
    assert (half.code, whole.code) == (14, 0)
    assert "not in force on: chat" in half.err


def test_an_account_that_cannot_pay_on_a_chain_is_told_and_done_later(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat, credits=0) as here:
        ran = here.rotate()

        assert [each.key_version for each in here.held()] == [1, 0]
    assert ran.code == 14
    assert "CannotPayFee" in ran.out


def test_a_second_rotation_follows_on_the_first(tmp_path: Path, dchat: Callable[..., Ran]) -> None:
    with world(tmp_path, dchat) as here:
        here.rotate()

        ran = here.rotate("new", "newer")

        newer = here.load("newer")
        found = [(each.public_key, each.key_version) for each in here.held()]
    assert (ran.code, found) == (0, [(newer.public_key, 2)] * 2)
    assert newer.account_id == here.old.account_id


def test_a_chain_that_a_rotation_missed_takes_its_first_key_for_the_next(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        here.chat.takes = False
        here.rotate()
        here.chat.takes = True

        ran = here.rotate("new", "newer")

        newer = here.load("newer")
        found = [(each.public_key, each.key_version) for each in here.held()]
    assert ran.code == 0
    assert found == [(newer.public_key, 2), (newer.public_key, 1)]


def test_a_file_of_somebody_else_is_not_gone_on_with(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    with world(tmp_path, dchat) as here:
        identity.create(here.file("new"), "node")
        before = here.held()

        ran = here.rotate()

        assert (ran.code, here.held()) == (3, before)


def test_the_new_file_pays_from_the_old_account(tmp_path: Path, dchat: Callable[..., Ran]) -> None:
    with world(tmp_path, dchat) as here:
        here.rotate()
        net = ("--network", tmp_path / "network.toml")
        pay = ("tx", "send", "--to", accounts.show_account(BOB), "--amount", "7udchat", *net)

        paid = dchat(*pay, "--identity", here.file("new"))
        refused = dchat(*pay, "--identity", here.file("old"))

        assert here.held()[0].nonce == 2
    assert (paid.code, refused.code) == (0, 1)
    assert accounts.show_account(here.old.account_id) in paid.out
    assert "SenderKeyMismatch" in refused.err


def test_a_network_that_is_none_leaves_no_file(tmp_path: Path, dchat: Callable[..., Ran]) -> None:
    with world(tmp_path, dchat) as here:
        (tmp_path / "network.toml").write_text("")

        ran = here.rotate()

        assert ran.code != 0
        assert not here.file("new").exists()


def test_a_sealed_identity_stays_sealed_with_its_passphrase(
    tmp_path: Path, dchat: Callable[..., Ran]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    with world(tmp_path, dchat, sealed=b"correct horse") as here:
        ran = here.rotate("old", "new", "--passphrase-file", secret)

        new = here.load("new", b"correct horse")
        assert here.held()[0].public_key == new.public_key
    assert ran.code == 0
    assert new.account_key.hex() not in here.file("new").read_text()
