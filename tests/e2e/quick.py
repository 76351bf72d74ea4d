"""Chains whose rules a test can wait for, and how it orders things on them and proves what they did

A test signs orders itself (`Orders`), or types the commands that people use (`Town`).
"""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from abci_chat import genesis as chat
from abci_currency import genesis as currency
from dchat.kernel import accounts, codec, genesis, params
from dchat.kernel.ids import AccountId, Amount, ChainId, Height
from dchat.kernel.merkle.proof import Proof, verify
from dchat.node import identity, network
from dchat.node.network import NetworkFile
from dchat.node.rfc3339 import parse_time
from tests.conftest import Ran
from tests.e2e.networks import entry
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.memory import Person, signed
from tests.fakes.orders import registration

FAR = Height(5_000)
"""Until when orders are valid."""
Change = Callable[[chat.Beginning], chat.Beginning]


@contextmanager
def chat_chain(
    home: Path, held: dict[Person, Amount], change: Change, chain_id: str = "test"
) -> Generator[Solo]:
    """Run a chat chain on which these people hold credits, whose beginning was changed so."""
    solo = _founded(home, "abci_chat", held, chain_id)
    solo.rewrite_genesis(chat.SHAPE.encode(change(chat.decode(solo.app_state))))
    with _running(solo):
        yield solo


@contextmanager
def currency_chain(
    home: Path,
    held: dict[Person, Amount],
    change: Callable[[currency.Beginning], currency.Beginning],
) -> Generator[Solo]:
    """Run a currency chain on which these people hold tokens, whose beginning was changed so."""
    solo = _founded(home, "abci_currency", held, "test-currency")
    solo.rewrite_genesis(currency.SHAPE.encode(change(currency.decode(solo.app_state))))
    with _running(solo):
        yield solo


def _founded(home: Path, module: str, held: dict[Person, Amount], chain_id: str) -> Solo:
    paid = sorted((who.id, units) for who, units in held.items())
    allocations = tuple(genesis.Allocation(*each) for each in paid)
    begun = genesis.SHAPE.encode(genesis.Genesis(params.DEFAULT, allocations))
    return Solo(home, module, begun, chain_id)


@contextmanager
def _running(solo: Solo) -> Generator[None]:
    try:
        solo.start()
        solo.wait_for_height(2)
        yield
    finally:
        solo.stop(signal.SIGKILL)


@dataclass
class Orders:
    """What people order on a chain, and the next nonce of each of them."""

    solo: Solo
    nonces: dict[Person, int] = field(default_factory=dict[Person, int])

    def sign(self, who: Person, body: tuple[codec.Raw, ...], **changes: object) -> bytes:
        """Somebody's next transaction, after these changes to its envelope."""
        nonce = self.nonces.get(who, 0)
        self.nonces[who] = nonce + 1
        usual = {"chain_id": ChainId(self.solo.chain_id), "valid_until_height": FAR}
        return signed(who, body, nonce, **{**usual, **changes})

    def do(self, who: Person, body: tuple[codec.Raw, ...], **changes: object) -> Json:
        """What a block made of an order, with the block's height; CheckTx let it in."""
        did = self.solo.commit(self.sign(who, body, **changes))
        assert did["check_tx"].get("code", 0) == 0, did
        return {**did["tx_result"], "height": int(did["height"])}

    def together(self, *raws: bytes) -> list[Json]:
        """What became of transactions that were all sent before any was in a block."""
        assert [self.solo.submit(raw)["code"] for raw in raws] == [0] * len(raws)
        return [self.found(raw)["tx_result"] for raw in raws]

    def found(self, raw: bytes) -> Json:
        """Polls until a block carries the transaction; its result, with its height."""
        wanted = "0x" + sha256(raw).hexdigest()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return self.solo.rpc("tx", hash=wanted)
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not in a block\n{self.solo.logs()}")

    def register(self, *people: Person) -> None:
        """Let these people have identities."""
        done = self.together(*[self.sign(who, registration(who)) for who in people])
        assert [each["code"] for each in done] == [0] * len(people), done


def proved(solo: Solo, key: bytes) -> bytes:
    """The record, led by its proof to the app hash of a real header; empty if proved absent."""
    answer = solo.query("/store", key, prove="true")
    value = base64.b64decode(answer["value"] or "")
    (op,) = answer["proofOps"]["ops"]
    proof = Proof.decode(base64.b64decode(op["data"]))
    verify(solo.app_hash_after(int(answer["height"])), key, value or None, proof)
    return value


@dataclass
class Town:
    """A chat chain, its network file, everybody's identity file, and the command line."""

    folder: Path
    solo: Solo
    dchat: Callable[..., Ran]

    @property
    def network(self) -> Path:
        """The network file."""
        return self.folder / "network.toml"

    def write_network(self) -> None:
        """Write what people are told of the chain."""
        told = entry(self.solo)
        network.save(self.network, NetworkFile("test", (), told, told))

    def ask(self, *words: object) -> Json:
        """The document that a command prints, which has to succeed."""
        return said(self.run(*words, "--json"))

    def run(self, *words: object) -> Ran:
        """What a command about the chain comes to."""
        return self.dchat(*words, "--network", self.network)

    def order(self, name: str, *words: object) -> Json:
        """The document that a command prints which somebody signs, and which has to succeed."""
        return said(self.send(name, *words, "--json"))

    def send(self, name: str, *words: object) -> Ran:
        """What a command comes to that somebody signs."""
        return self.run(*words, "--identity", self.folder / f"{name}.json")

    def person(self, name: str) -> Person:
        """Somebody's key."""
        return Person(identity.load(self.folder / f"{name}.json").account_seed)

    def account(self, name: str) -> str:
        """Somebody's account, as people write it."""
        return accounts.show_account(self.person(name).id)

    def balances(self, *held: AccountId) -> list[int]:
        """What accounts and pools hold; on the node's word."""
        values = [self.solo.query("/store", accounts.key(each))["value"] for each in held]
        return [accounts.decode(base64.b64decode(each)).balance for each in values]

    def now_ms(self) -> int:
        """The newest block's time."""
        shown = self.solo.rpc("status")["sync_info"]["latest_block_time"]
        return parse_time(shown) // 1_000_000

    def pass_ms(self, span: int) -> None:
        """Wait until the chain is so much later."""
        until, deadline = self.now_ms() + span, time.monotonic() + PATIENCE_S
        while self.now_ms() <= until:
            assert time.monotonic() < deadline, self.solo.logs()
            self.solo.wait_for_height(self.solo.height() + 1)

    def wait_for(self, field: str, wanted: str, *words: object) -> Json:
        """Polls with a query until that is in its answer; the answer."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.ask("query", *words))[field] != wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found


def write_identities(folder: Path, names: Iterable[str]) -> list[Person]:
    """Let everybody have an identity file; their keys."""
    made = [identity.create(folder / f"{name}.json", "node") for name in names]
    return [Person(each.account_seed) for each in made]


def said(ran: Ran) -> Json:
    """The document that a command has printed, which succeeded."""
    assert ran.code == 0, ran.err
    shown: Json = json.loads(ran.out)
    return shown
