"""A currency chain behind real HTTP that takes transactions, for commands that send and look."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.state import leaving, relays, rewards, slashing, stake, staking, vesting
from abci_currency.state.vesting import Vesting
from dchat.cli.show import LAST_MS
from dchat.kernel import accounts, genesis, params, signing, supply
from dchat.kernel.amounts import UNIT
from dchat.kernel.family import TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext, GenesisContext, Machine
from dchat.kernel.queries import PAGE, Page
from dchat.kernel.store import Draft
from dchat.node import network
from dchat.node.network import NetworkFile
from dchat.node.proto import abci_pb2 as pb
from relay.net.address import peer_id_of
from tests.conftest import Ran
from tests.fakes.chain import FakeChain
from tests.fakes.consensus import Consensus
from tests.fakes.memory import CHAIN
from tests.fakes.people import identity_of
from tests.fakes.rpc_node import Json, RpcNode, recent, serving

HEADER = (
    "proved by header 2 of test-1 (HASH…, TIME), signed by 30 of 40 at least, from the root of"
    " trust at height 1; no other node compared"
)
"""What is said of the header that proves an answer, once masked."""
WHOLE = "; they add up to a total that is proved, so none was left out"
UNKNOWN = "; that no entry was left out cannot be proved"
NAMES = ("alice", "bob", "carol", "dave")
PEOPLE: Mapping[str, AccountId] = {name: identity_of(name).account_id for name in NAMES}
FUNDS = Amount(10_000_000 * UNIT)
SHOWN = {name: accounts.show_account(account) for name, account in PEOPLE.items()}
ADDRESS = "/ip4/203.0.113.7/tcp/7070"
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
        text = text.replace(shown, name).replace(peer_id(name), f"{name}'s-relay")
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{16}…", "HASH…", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)


def said(ran: Ran) -> Json:
    """Return the document that a command with --json printed."""
    return json.loads(ran.out)


def unasked(*words: object) -> Ran:
    """Stand in for the command line until a test brings its own."""
    raise AssertionError(f"a test without a command line ran {words}")


@contextmanager
def market(
    folder: Path,
    dchat: Callable[..., Ran],
    *settings: Setting,
    headers: FakeChain | None = None,
) -> Generator[Market]:
    """Give a market where everybody but dave has funds, after two blocks on these settings."""

    node = running(CURRENCY, folder / "currency", settings, headers)
    chat, file = idle(CHAT, folder / "chat"), folder / "network.toml"
    with serving(node) as url, serving(chat) as other:
        network.save(file, NetworkFile("test", (), chat.entry(other), node.entry(url)))
        yield Market(file, node, dchat)


def running(
    machine: Machine,
    folder: Path,
    settings: Sequence[Setting],
    headers: FakeChain | None = None,
) -> MarketNode:
    """Return a node of a chain where everybody but dave has funds, after two blocks.

    Everybody's identity file lies beside its folder.
    """

    def begin(draft: Draft, context: GenesisContext, _data: bytes) -> None:
        held = sorted(PEOPLE[name] for name in NAMES[:3])
        allocations = tuple(genesis.Allocation(account, FUNDS) for account in held)
        genesis.begin(draft, context.chain_id, genesis.Genesis(params.DEFAULT, allocations))
        for setting in settings:
            setting(draft)

    node = MarketNode(replace(machine, genesis=begin), folder, headers or recent())
    node.consensus = Clocked(node)
    node.block()
    node.block()
    for name in NAMES:
        _write_identity(folder.with_name(f"{name}.json"), name)
    return node


def idle(machine: Machine, folder: Path) -> RpcNode:
    """Return a node of a chain on which nothing happens, after two blocks."""
    node = RpcNode(machine, folder)
    node.block()
    node.block()
    return node


def _write_identity(path: Path, name: str) -> None:
    whose = identity_of(name)
    sheet = {"version": 1, "kind": "node", "public_key": whose.public_key.hex()}
    path.write_text(json.dumps({**sheet, "seed": whose.seed.hex()}))
    path.chmod(0o600)


def validates(name: str, amount: int, rate_bp: int = 1000, *, active: bool = True) -> Setting:
    """Somebody operates a validator with that many tokens of its own."""

    def begin(draft: Draft) -> None:
        operator = PEOPLE[name]
        terms = stake.Commission(rate_bp, 2000, 100, EpochMs(0)), Amount(UNIT)
        staking.open_validator(draft, operator, consensus_key(name), f"{name}'s", terms)
        staking.bond(draft, operator, operator, Amount(amount * UNIT), operator)
        before = staking.found(draft, operator)
        staking.replace_validator(draft, operator, before, replace(before, active=active))

    return begin


def delegates(name: str, operator: str, amount: int) -> Setting:
    """Somebody has so many tokens with a validator."""

    def begin(draft: Draft) -> None:
        whose = PEOPLE[name]
        staking.bond(draft, whose, PEOPLE[operator], Amount(amount * UNIT), whose)

    return begin


def earns(amount: int) -> Setting:
    """Active stake earned so many tokens, which were issued for it."""

    def begin(draft: Draft) -> None:
        supply.issue(draft, Amount(amount * UNIT))
        rewards.share_out(draft, Amount(amount * UNIT))

    return begin


def consensus_key(name: str) -> bytes:
    """Return the public key by which somebody's validator votes."""
    return signing.public_key(identity_of(name).child("consensus/currency"))


def leaves(name: str, operator: str, amount: int, at: int = 1) -> Setting:
    """Somebody's tokens are on their way out, since that block; now, whatever its time."""

    def begin(draft: Draft) -> None:
        when = replace(context(name), height=Height(at))
        leaving.unbond(draft, when, PEOPLE[operator], amount * UNIT)

    return begin


def context(name: str) -> TxContext:
    """Return what a transaction of somebody's in block 1 knows."""
    whose = identity_of(name)
    now = EpochMs(time.time_ns() // 1_000_000)
    return TxContext(CHAIN, whose.account_id, whose.public_key, Height(1), now)


def table(ran: Ran) -> list[str]:
    """Return what was shown, columns one blank apart: their width is that of masked words.

    What a family's work costs is its own test's matter, so fees and what they leave are masked.
    """
    lines = [" ".join(line.split()) for line in masked(ran.out).splitlines()]
    return [re.sub(r"^(fee|fee_credits|balance): .*", r"\1: …", line) for line in lines]


def hides_the_last_entry(node: RpcNode) -> Callable[[str, Json], Json]:
    """Return answers of a node that ends every listing one entry early, its proof left out too."""
    honest = node.answer

    def answer(method: str, params: Json) -> Json:
        told = honest(method, params)
        if method != "abci_query" or params["path"] != "/entries":
            return told
        response = told["response"]
        page = PAGE.decode(base64.b64decode(response["value"]))
        shorter = PAGE.encode(Page(page.entries[:-1], b""))
        ops = {"ops": response["proofOps"]["ops"][:-1]}
        value = base64.b64encode(shorter).decode()
        return {"response": {**response, "value": value, "proofOps": ops}}

    return answer


def locks(name: str, amount: int, *, vested: bool = True) -> Setting:
    """Genesis locked so many tokens for somebody, vested by now or never."""
    ends = EpochMs(1 if vested else LAST_MS)
    lock = Vesting(Amount(amount * UNIT), False, EpochMs(0), ends, ends)
    return lambda draft: vesting.begin(draft, [(PEOPLE[name], lock)])


def jailed(name: str) -> Setting:
    """Somebody's validator was jailed; its term is over."""

    def begin(draft: Draft) -> None:
        slashing.jail(draft, PEOPLE[name], EpochMs(1))

    return begin


def runs_a_relay(name: str, amount: int) -> Setting:
    """Somebody's relay is registered, with the libp2p key of its owner's identity."""

    def begin(draft: Draft) -> None:
        record = relays.Relay(PEOPLE[name], (ADDRESS,), Amount(0), Height(0))
        relays.add_stake(draft, peer(name), record, Amount(amount * UNIT))

    return begin


def peer(name: str) -> relays.PeerKey:
    """Return the key of somebody's relay."""
    return relays.PeerKey(signing.public_key(identity_of(name).child("libp2p")))


def peer_id(name: str) -> str:
    """Return the peer id of somebody's relay."""
    return peer_id_of(peer(name))


def slashed(name: str, fraction_bp: int) -> Setting:
    """Somebody's validator lost a part of its stake in block 1 for signing twice before it."""

    def begin(draft: Draft) -> None:
        tokens = staking.found(draft, PEOPLE[name]).tokens
        charge = slashing.Charge(slashing.Fault.DUPLICATE_VOTE, Height(1), tokens, fraction_bp)
        now = EpochMs(1_700_000_000_000)
        slashing.slash(draft, PEOPLE[name], charge, BlockContext(CHAIN, Height(1), now))

    return begin
