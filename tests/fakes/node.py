"""A node that answers from a fake chain: real headers, real tree, real proofs, no socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio

from dchat.kernel.ids import EpochMs, Height, TxHash
from dchat.kernel.inclusion import TxResult
from dchat.kernel.light import LightBlock, TrustRoot
from dchat.kernel.merkle import tree
from dchat.kernel.merkle.proof import PROOF_TYPE, prove
from dchat.kernel.queries import LISTING, PAGE, page
from dchat.kernel.tx import tx_hash
from dchat.node.rpc import Found, Included, Queried, Question, RpcRefused, Status, Submitted
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.memory import MemoryState

ANN = Signer("ann")


class Ledger(MemoryState):
    """A state that can be read on from any key."""

    def walk(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        return (entry for entry in self.scan(prefix) if entry[0] > after)


@dataclass
class HandClock:
    """A clock that the test sets."""

    now_ns: int

    def now(self) -> EpochMs:
        return EpochMs(self.now_ns // 1_000_000)


@dataclass
class FakeNode:
    """`states[h]` is the state after block h, given by the test; headers follow from it."""

    states: Mapping[int, Mapping[bytes, bytes]]
    height: int
    chain: FakeChain = field(default_factory=lambda: FakeChain((ANN,)))
    asked: list[str] = field(default_factory=list[str])
    left: int = 0
    url: str = "fake"
    found: Found | None = None
    done: tuple[TxResult, ...] = ()

    def __post_init__(self) -> None:
        self.pages: dict[int, dict[bytes, bytes]] = {}
        hashes: dict[int, bytes] = {}
        for height, state in self.states.items():
            update = tree.update({}, dict(state))
            self.pages[height] = {k: v for k, v in update.pages.items() if v is not None}
            hashes[height + 1] = update.root
        self.chain = replace(self.chain, app_hashes=hashes)

    @property
    def root(self) -> TrustRoot:
        return self.chain.root

    def use_next(self) -> None:
        self.left += 1

    async def status(self) -> Status:
        await trio.lowlevel.checkpoint()
        self.asked.append("status")
        time_ns = self.chain.time_ns(self.height)
        return Status(self.chain.chain_id, Height(self.height), time_ns, catching_up=False)

    async def light_block(self, height: Height) -> LightBlock:
        await trio.lowlevel.checkpoint()
        self.asked.append(f"block {height}")
        if height > self.height:
            raise RpcRefused("commit", -32603, "height must not be above the latest")
        return self.chain.block(height)

    async def find(self, tx_hash: TxHash) -> Found | None:
        await trio.lowlevel.checkpoint()
        self.asked.append("find")
        return self.found

    async def results(self, height: Height) -> tuple[TxResult, ...]:
        await trio.lowlevel.checkpoint()
        self.asked.append(f"results {height}")
        return self.done

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        await trio.lowlevel.checkpoint()
        self.asked.append("broadcast")
        return Submitted(tx_hash(raw), 0, "")

    async def wait_for(self, tx_hash: TxHash, timeout_s: float) -> Included:
        await trio.lowlevel.checkpoint()
        return Included(tx_hash, Height(self.height), 0, "", 0, 0)

    async def abci_query(self, question: Question) -> Queried:
        await trio.lowlevel.checkpoint()
        at = question.height or self.height - 1
        self.asked.append(f"query {at}")
        if question.path == "/entries":
            found = page(Ledger(self.states[at]), LISTING.decode(question.key))
            return self._answer(at, PAGE.encode(found), [each.key for each in found.entries])
        value = self.states[at].get(question.key, b"")
        return self._answer(at, value, [question.key] if question.prove else [])

    def _answer(self, at: int, value: bytes, proved: Sequence[bytes]) -> Queried:
        proofs = tuple((PROOF_TYPE, prove(self.pages[at], key).encode()) for key in proved)
        return Queried(0, "", value, Height(at), proofs)
