"""A currency chain behind real HTTP that takes transactions, for commands that send and look."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel import accounts, genesis, params
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.machine import GenesisContext
from dchat.kernel.store import Draft
from dchat.node import network
from dchat.node.network import NetworkFile
from dchat.node.proto import abci_pb2 as pb
from tests.conftest import Ran
from tests.fakes.consensus import Consensus
from tests.fakes.people import identity_of
from tests.fakes.rpc_node import Json, RpcNode, serving

NAMES = ("alice", "bob", "carol", "dave")
PEOPLE: Mapping[str, AccountId] = {name: identity_of(name).account_id for name in NAMES}
FUNDS = Amount(10_000_000 * UNIT)
SHOWN = {name: accounts.show_account(account) for name, account in PEOPLE.items()}
Setting = Callable[[Draft], None]


class MarketNode(RpcNode):
    """A node that carries out each transaction in a block of its own, and makes the next one."""

    def answer(self, method: str, params: Json) -> Json:
        if method != "broadcast_tx_sync":
            return super().answer(method, params)
        raw = base64.b64decode(params["tx"])
        said = self.consensus.check(raw)
        if not said.code:
            self.block(raw)
            self.block()
        return {"code": said.code, "log": said.log, "hash": ""}


class Clocked(Consensus):
    """Consensus whose blocks have the time that their headers say."""

    def __init__(self, node: RpcNode) -> None:
        super().__init__(node.app)
        self.node = node

    def finalize(self, *txs: bytes, height: int | None = None) -> pb.ResponseFinalizeBlock:
        at = self.height + 1 if height is None else height
        request = pb.RequestFinalizeBlock(txs=txs, height=at, proposer_address=b"\x09" * 20)
        request.time.FromNanoseconds(self.node.headers.time_ns(at))
        return self.app.finalize_block(request)


@dataclass(frozen=True)
class Market:
    """The node, its network file, and everybody's identity file beside it."""

    file: Path
    node: MarketNode
    dchat: Callable[..., Ran]

    def tx(self, name: str, *words: object) -> Ran:
        """Run `dchat tx` as somebody."""
        identity_file = self.file.with_name(f"{name}.json")
        verb, *rest = words
        return self.dchat(*("tx", verb, *rest, "--identity", identity_file, "--network", self.file))

    def query(self, *words: object) -> Ran:
        """Run `dchat query`."""
        return self.dchat("query", *words, "--network", self.file)


def masked(text: str) -> str:
    """Return a transcript without what differs from run to run, people by their names."""
    for name, shown in SHOWN.items():
        text = text.replace(shown, name)
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{16}…", "HASH…", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)


def said(ran: Ran) -> Json:
    """Return the document that a command with --json printed."""
    return json.loads(ran.out)


@contextmanager
def market(
    folder: Path, dchat: Callable[..., Ran], *settings: Setting, funds: Amount = FUNDS
) -> Generator[Market]:
    """Give a market where everybody but dave has funds, after two blocks on these settings."""

    def begin(draft: Draft, context: GenesisContext, _data: bytes) -> None:
        held = sorted(PEOPLE[name] for name in NAMES[:3])
        allocations = tuple(genesis.Allocation(account, funds) for account in held)
        genesis.begin(draft, context.chain_id, genesis.Genesis(params.DEFAULT, allocations))
        for setting in settings:
            setting(draft)

    node = MarketNode(replace(CURRENCY, genesis=begin), folder / "currency")
    node.consensus = Clocked(node)
    node.block()
    node.block()
    for name in NAMES:
        _write_identity(folder / f"{name}.json", name)
    chat = RpcNode(CHAT, folder / "chat")
    file = folder / "network.toml"
    with serving(node) as url, serving(chat) as other:
        network.save(file, NetworkFile("test", (), chat.entry(other), node.entry(url)))
        yield Market(file, node, dchat)


def _write_identity(path: Path, name: str) -> None:
    whose = identity_of(name)
    sheet = {"version": 1, "kind": "node", "public_key": whose.public_key.hex()}
    path.write_text(json.dumps({**sheet, "seed": whose.seed.hex()}))
    path.chmod(0o600)
