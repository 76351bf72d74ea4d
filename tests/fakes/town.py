"""Both chains' real rules and a real relay's server in one process, without consensus or sockets.

Consensus is a fake that signs a block for every transaction; links are memory. Everything else is
the code that runs in production.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.client import device
from dchat.client.engine import Chains, Client, running
from dchat.client.events import Hub
from dchat.client.ledger import Ledger
from dchat.client.office import Office
from dchat.client.store import Store
from dchat.kernel import genesis, params
from dchat.kernel.ids import Amount, ChainId, EpochMs, Height, TxHash
from dchat.kernel.inclusion import TxResult
from dchat.kernel.light import LightBlock
from dchat.kernel.machine import Block, BlockContext, GenesisContext, Machine, run_block
from dchat.kernel.merkle import tree
from dchat.kernel.merkle.proof import PROOF_TYPE, prove
from dchat.kernel.store import Draft
from dchat.kernel.tx import tx_hash
from dchat.node.chain import OpenChain
from dchat.node.clock import Clock, SystemClock
from dchat.node.follow import Trust
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry
from dchat.node.reader import ChainReader, MemoryTrustStore
from dchat.node.rpc import Found, Included, NodeUnreachable, Queried, Question, Status, Submitted
from relay.core.desk import Desk
from relay.core.limits import Limits
from relay.core.queue import Queue
from relay.net.address import Address, parse_address, peer_id
from relay.net.fence import lone_error
from relay.net.host import PeerUnreachable
from relay.net.link import Link
from relay.net.meter import Meter
from relay.net.pump import Pump
from relay.net.server import Server
from relay.net.store import Store as RelayStore
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.links import MemoryLink, link_pair
from tests.fakes.memory import VOTER, MemoryState, founded
from tests.fakes.people import identity_of

FUNDS = Amount(100_000_000)
PERIOD_S = 10**9
RELAY_SEED = b"r" * 32
RELAY = f"/ip4/127.0.0.1/tcp/7070/p2p/{peer_id(RELAY_SEED)}"
ADDRESS = parse_address(RELAY)


class TownClock:
    """Tells the machine's time, moved by what the test adds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead_ms = 0

    def now(self) -> EpochMs:
        return EpochMs(self._clock.now() + self.ahead_ms)


class FakeConsensus:
    """One chain: a block for every transaction, and the one that proves it when asked again."""

    url = "town"

    def __init__(self, rules: Machine, chain_id: str, people: Sequence[Identity]) -> None:
        self.rules = rules
        self.is_up = True
        self.refused = 0
        self.is_unproved = False
        self.chain = FakeChain((Signer("ann"),), chain_id=ChainId(chain_id))
        self.outcomes: dict[TxHash, Included] = {}
        ids = sorted(person.account_id for person in people)
        allocations = tuple(genesis.Allocation(account, FUNDS) for account in ids)
        draft = Draft(MemoryState())
        content = genesis.SHAPE.encode(genesis.Genesis(params.DEFAULT, allocations))
        context = GenesisContext(ChainId(chain_id), EpochMs(0), (VOTER,))
        rules.genesis(draft, context, founded(rules.name, content, VOTER))
        self.states = {0: MemoryState().after(draft.writes())}
        self.pages: dict[int, dict[bytes, bytes]] = {}
        self.height = 0
        self.make_block()
        self.make_block()

    def alter(self, deed: Callable[[Draft], None]) -> None:
        """Change the newest state behind the rules' back, before anybody reads it."""
        draft = Draft(self.states[self.height])
        deed(draft)
        self.states[self.height] = self.states[self.height].after(draft.writes())
        self._seal()
        self.make_block()

    def make_block(self, *txs: bytes) -> None:
        self.is_unproved = False
        self.height += 1
        context = BlockContext(
            self.chain.chain_id,
            Height(self.height),
            EpochMs(self.chain.time_ns(self.height) // 1_000_000),
            bytes(20),
        )
        before = self.states[self.height - 1]
        result = run_block(self.rules, before, Block(context, txs), {})
        self.states[self.height] = before.after(result.writes)
        for raw, did in zip(txs, result.outcomes, strict=True):
            self.outcomes[tx_hash(raw)] = Included(
                tx_hash(raw), Height(self.height), did.code, did.reason, did.cost_used, 0
            )
        self._seal()

    def _seal(self) -> None:
        update = tree.update({}, dict(self.states[self.height].entries))
        self.pages[self.height] = {k: v for k, v in update.pages.items() if v is not None}
        hashes = {**self.chain.app_hashes, self.height + 1: update.root}
        self.chain = replace(self.chain, app_hashes=hashes)

    def use_next(self) -> None:
        """There is one node only."""

    async def status(self) -> Status:
        await self._answer()
        at = self.chain.time_ns(self.height)
        told = Status(self.chain.chain_id, Height(self.height), at, catching_up=False)
        if self.is_unproved:
            self.make_block()
        return told

    async def light_block(self, height: Height) -> LightBlock:
        await self._answer()
        return self.chain.block(height)

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        await self._answer()
        self.make_block(raw)
        self.is_unproved = True
        return Submitted(tx_hash(raw), 0, "")

    async def wait_for(self, tx_hash: TxHash, timeout_s: float) -> Included:
        await self._answer()
        return self.outcomes[tx_hash]

    async def find(self, tx_hash: TxHash) -> Found | None:
        await self._answer()
        return None

    async def results(self, height: Height) -> tuple[TxResult, ...]:
        await self._answer()
        return ()

    async def abci_query(self, question: Question) -> Queried:
        await self._answer()
        at = question.height or self.height
        value = self.states[at].get(question.key) or b""
        proofs = ((PROOF_TYPE, prove(self.pages[at], question.key).encode()),)
        return Queried(0, "", value, Height(at), proofs if question.prove else ())

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.is_up:
            self.refused += 1
            raise NodeUnreachable("the test has taken the node down")


@dataclass
class Town:
    """What everybody in a test shares."""

    home: Path
    nursery: trio.Nursery
    clock: TownClock
    chat: FakeConsensus
    currency: FakeConsensus
    server: Server
    relay_is_up: bool = True
    links: list[MemoryLink] = field(default_factory=list[MemoryLink])

    async def cut(self) -> None:
        """Break every link with the relay."""
        broken, self.links = self.links, []
        for link in broken:
            await link.aclose()

    @asynccontextmanager
    async def connect(self, address: Address) -> AsyncGenerator[Link]:
        whom = peer_id(RELAY_SEED)
        if not self.relay_is_up or address.peer_id != whom:
            raise PeerUnreachable(whom, ("the test says so",))
        ours, theirs = link_pair(peer_id(b"c" * 32), whom)
        self.links.append(ours)
        self.nursery.start_soon(self.server.serve, theirs)
        try:
            yield ours
        finally:
            await ours.aclose()

    @asynccontextmanager
    async def client(self, identity: Identity, folder: str = "") -> AsyncGenerator[Client]:
        """Run somebody's client as `open_client` does, but for libp2p and RPC."""
        path = self.home / (folder or identity.public_key.hex()[:8])
        store = Store.open(path, identity.child("store"))
        office = Office(identity, store, self.clock, Hub())
        device.prepare(store, identity, office.now())
        chains = Chains(
            Ledger(self.opened(self.chat), identity), Ledger(self.opened(self.currency), identity)
        )
        try:
            async with running(office, chains, self.connect, (ADDRESS,)) as client:
                yield client
        finally:
            store.close()

    def opened(self, node: FakeConsensus) -> OpenChain:
        root = node.chain.root
        entry = ChainEntry(Path("genesis.json"), bytes(32), (), (), root, PERIOD_S)
        reader = ChainReader(node, Trust(root, PERIOD_S), self.clock, MemoryTrustStore())
        return OpenChain(entry, node, reader)


class TownStage:
    """The stage of one test; see tests.fakes.talks."""

    alice, bob, carol = "alice", "bob", "carol"

    def __init__(self, where: Town) -> None:
        self.town = where

    @asynccontextmanager
    async def client(self, name: str, device: str = "first") -> AsyncGenerator[Client]:
        async with self.town.client(identity_of(name), f"{name}-{device}") as client:
            yield client

    async def stop_relay(self) -> None:
        self.town.relay_is_up = False
        await self.town.cut()

    async def start_relay(self) -> None:
        self.town.relay_is_up = True


PEOPLE = tuple(identity_of(name) for name in ("alice", "bob", "carol"))


def in_town(
    scene: Callable[[TownStage], Awaitable[None]], home: Path, limits: Limits | None = None
) -> None:
    """Play a scene in a fresh town, in at most 60 seconds."""

    async def main() -> None:
        with trio.fail_after(60), lone_error():
            async with town(home, PEOPLE, limits) as where:
                await scene(TownStage(where))

    trio.run(main)


@asynccontextmanager
async def town(
    home: Path, people: Sequence[Identity], bounds: Limits | None = None
) -> AsyncGenerator[Town]:
    """Run a town in which each of these people has funds on both chains."""
    limits, clock = bounds or Limits(), TownClock(SystemClock())
    relay_store = RelayStore(home / "relay.db", limits)
    pump = Pump(relay_store)
    desk = Desk(RELAY_SEED, limits, Queue(limits, relay_store.places()))
    server = Server(desk, pump, clock, Meter(CollectorRegistry()))
    chat = FakeConsensus(CHAT, "town", people)
    currency = FakeConsensus(CURRENCY, "town-currency", people)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run, server.settled)
            yield Town(home, nursery, clock, chat, currency, server)
            nursery.cancel_scope.cancel()
    finally:
        relay_store.close()
