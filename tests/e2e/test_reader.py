"""Balances, payments and keys on real chains, proved to headers that real validators signed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from abci_chat.state import handles
from abci_chat.txs import handle as handle_txs
from abci_chat.txs import identity as identity_txs
from dchat.kernel import accounts
from dchat.kernel.headers import validators_hash
from dchat.kernel.ids import AccountId, ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.node import identity, network, rpc
from dchat.node.chain import open_chain, order_of
from dchat.node.clock import SystemClock
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry, NetworkFile
from dchat.node.reader import MemoryTrustStore
from tests.conftest import Ran
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import BOB, FOUNDER, Person

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Dchat = Callable[..., Ran]
PERIOD_S = 3600


@dataclass
class Net:
    """Both chains running, their network file, and alice's identity file."""

    folder: Path
    alice: Identity
    chat: Solo
    currency: Solo

    @property
    def file(self) -> Path:
        return self.folder / "network.toml"

    @property
    def identity_file(self) -> Path:
        return self.folder / "alice.json"

    @property
    def account(self) -> str:
        return accounts.show_account(self.alice.account_id)


def entry_of(solo: Solo, folder: Path) -> ChainEntry:
    url = f"http://127.0.0.1:{solo.rpc_port}"

    async def first() -> TrustRoot:
        async with rpc.connect([url]) as client:
            block = await client.light_block(Height(1))
        hashed = validators_hash(block.validators)
        return TrustRoot(ChainId(solo.chain_id), Height(1), block.header.time_ns, hashed)

    return ChainEntry(folder / "genesis.json", bytes(32), (url,), (), trio.run(first), PERIOD_S)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("net")
    alice = identity.create(folder / "alice.json", "node")
    people = (Person(alice.child("account")), BOB)
    solos = [
        Solo(tmp_path_factory.mktemp("n"), module, genesis_bytes(people=people), chain_id)
        for module, chain_id in (("abci_chat", "chat-1"), ("abci_currency", "currency-1"))
    ]
    net = Net(folder, alice, *solos)
    [solo.start() for solo in solos]
    [solo.wait_for_height(2) for solo in solos]
    chat, currency = (entry_of(solo, folder) for solo in solos)
    network.save(net.file, NetworkFile("test", (), chat, currency))
    yield net
    [solo.stop(signal.SIGKILL) for solo in solos]


def read_json(ran: Ran) -> Any:
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def test_balance_is_proved_to_a_signed_header(net: Net, dchat: Dchat) -> None:
    said = read_json(dchat("query", "balance", net.account, "--network", net.file, "--json"))

    proof = said["checked"]
    assert said["account"] == net.account
    assert (proof["chain_id"], proof["signed_power_at_least"], proof["total_power"]) == (
        "currency-1",
        10,
        10,
    )
    assert proof["state_after_block"] == proof["header"] - 1


def test_payment_is_included_and_its_effect_proved(net: Net, dchat: Dchat) -> None:
    to = accounts.show_account(BOB.id)

    paid = read_json(
        dchat(
            *("tx", "send", "--identity", net.identity_file, "--network", net.file),
            *("--to", to, "--amount", "0.25", "--json"),
        )
    )

    bob = read_json(dchat("query", "balance", to, "--network", net.file, "--json"))
    assert (paid["amount"], bob["balance"]) == ("0.25 DCHAT", "1.25 DCHAT")
    assert paid["checked"]["state_after_block"] >= paid["height"]
    seen = read_json(dchat("query", "tx", paid["hash"], "--network", net.file, "--json"))
    assert (seen["height"], seen["code"]) == (paid["height"], 0)
    assert (seen["checked"]["proof"], seen["checked"]["header"]) == ("result", paid["height"] + 1)


def test_overdraft_is_refused_with_name_number_and_hint(net: Net, dchat: Dchat) -> None:
    ran = dchat(
        *("tx", "send", "--identity", net.identity_file, "--network", net.file),
        *("--to", accounts.show_account(BOB.id), "--amount", "1000000"),
    )

    assert (ran.code, "refused: InsufficientFunds\n" in ran.out) == (13, True)
    assert "dchat: error: refused, InsufficientFunds (21): holds " in ran.err
    assert ran.err.endswith("dchat: hint: lower the amount or fund the account\n")


def test_identity_is_found_by_handle_with_proof(net: Net, dchat: Dchat) -> None:
    salt = bytes(32)
    record = identity_txs.RegisterIdentity(
        handle="alice",
        salt=salt,
        inbox_key=net.alice.public_key,
        home_relays=(
            "/ip4/127.0.0.1/tcp/7070/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
        ),
        prekey_hash=bytes(32),
    )
    chain_id = network.load(net.file).chat.chain_id
    promised = handles.commitment(chain_id, net.alice.account_id, "alice", salt)
    orders = (
        order_of(net.alice, handle_txs.COMMIT, handle_txs.CommitHandle(promised)),
        order_of(net.alice, identity_txs.REGISTER, record),
    )

    async def register() -> None:
        entry = network.load(net.file).chat
        async with open_chain(entry, MemoryTrustStore(), SystemClock()) as chain:
            for order in orders:
                included = await chain.execute(order)
                await chain.reader.latest(included.height)

    trio.run(register)

    said = read_json(dchat("query", "identity", "alice", "--network", net.file, "--json"))

    assert (said["account"], said["public_key"]) == (net.account, net.alice.public_key.hex())
    assert said["checked"]["chain_id"] == "chat-1"


def test_unknown_handle_is_proved_absent(net: Net, dchat: Dchat) -> None:
    ran = dchat("query", "identity", "nobody", "--network", net.file)

    assert (ran.code, ran.out) == (11, "")
    checked, error, _ = ran.err.splitlines()
    assert checked.startswith("checked: absence proved by header ")
    assert error == "dchat: error: nobody has the handle 'nobody'"


def test_trusting_query_says_that_nothing_was_checked(net: Net, dchat: Dchat) -> None:
    said = read_json(
        dchat("query", "balance", net.account, "--network", net.file, "--trust", "--json")
    )

    assert said["checked"] == {"proof": "none", "why": "--trust was given"}


def test_any_block_is_verified_from_the_root(net: Net, dchat: Dchat) -> None:
    said = read_json(dchat("query", "block", "2", "--network", net.file, "--json"))

    assert (said["height"], said["validators"]) == (2, 1)


@pytest.mark.parametrize("chain", ["chat", "currency"])
def test_parameters_are_proved(net: Net, dchat: Dchat, chain: str) -> None:
    said = read_json(dchat("query", "params", "--network", net.file, "--chain", chain, "--json"))

    assert said["fee_per_1000_cost"] == 1000
    assert said["checked"]["chain_id"] == f"{chain}-1"


def test_false_root_of_trust_is_refused_on_a_real_chain(net: Net, dchat: Dchat) -> None:
    good = network.load(net.file)
    root = replace(good.currency.root, validators_hash=bytes(32))
    file = net.folder / "false.toml"
    network.save(file, replace(good, currency=replace(good.currency, root=root)))

    ran = dchat("query", "balance", net.account, "--network", file)

    assert (ran.code, ran.out) == (1, "")
    assert "its validators differ from the root" in ran.err


def test_account_never_seen_is_proved_empty(net: Net, dchat: Dchat) -> None:
    stranger = accounts.show_account(AccountId(bytes(32)))

    said = read_json(dchat("query", "account", stranger, "--network", net.file, "--json"))

    assert (said["public_key"], said["nonce"], said["balance_base_units"]) == (None, 0, 0)


@pytest.mark.parametrize("chain", ["chat", "currency"])
def test_fingerprints_belong_to_the_signed_app_hash(net: Net, dchat: Dchat, chain: str) -> None:
    said = read_json(dchat("query", "roots", "--network", net.file, "--chain", chain, "--json"))

    assert [node["as_signed"] for node in said["nodes"]] == [True]
    assert {"account", "chain", "params"} <= {row["module"] for row in said["modules"]}


def test_every_account_is_listed_with_its_proof(net: Net, dchat: Dchat) -> None:
    chat = ("--network", net.file, "--chain", "chat")
    words = ("query", "entries", "account", *chat, "--limit", "1", "--json")
    first = read_json(dchat(*words))

    second = read_json(dchat(*words, "--after", first["next_after"]))

    owners = {page["entries"][0]["key_means"][1] for page in (first, second)}
    assert owners == {net.alice.account_id.hex(), BOB.id.hex()}
    assert (second["next_after"], second["checked"]["proof"]) == (None, "presence")


def test_stake_goes_to_a_validator_and_part_of_it_back(net: Net, dchat: Dchat) -> None:
    founder = accounts.show_account(FOUNDER.id)
    who = ("--identity", net.identity_file, "--network", net.file, "--validator", founder)

    staked = read_json(dchat("tx", "delegate", *who, "--amount", "0.25", "--json"))
    left = read_json(dchat("tx", "undelegate", *who, "--amount", "0.1", "--json"))

    assert staked["delegations"] == [{"operator": founder, "stake": "0.25 DCHAT"}]
    assert left["delegations"] == [{"operator": founder, "stake": "0.15 DCHAT"}]
    assert [row["stake"] for row in left["unbondings"]] == ["0.1 DCHAT"]
    assert (left["checked"]["proof"], left["checked"]["header"]) == ("result", left["height"] + 1)


@pytest.mark.parametrize(
    "words", [("validators",), ("delegations",), ("unbondings",), ("supply", "--audit")]
)
def test_what_is_listed_adds_up_to_a_proved_total(
    net: Net, dchat: Dchat, words: tuple[str, ...]
) -> None:
    ran = dchat("query", *words, "--network", net.file)

    assert ran.code == 0
    assert ran.err.endswith("they add up to a total that is proved, so none was left out\n")


def test_state_of_an_older_height_is_proved_by_its_own_header(net: Net, dchat: Dchat) -> None:
    said = read_json(
        dchat("query", "balance", net.account, "--network", net.file, "--height", "1", "--json")
    )

    assert (said["balance"], said["checked"]["header"]) == ("1 DCHAT", 2)
