"""Nodes that executed the same blocks, and everything else that CometBFT may have asked of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from dchat.kernel.machine import Machine
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.memory_store import MemoryStore
from tests.fakes.orders import RECIPES, Chain, Recipe


@dataclass(frozen=True, slots=True)
class World:
    """What two nodes of a chain have on disk."""

    chain: Chain
    p: Storage
    q: Storage


@dataclass(frozen=True, slots=True)
class Asked:
    """What CometBFT may ask between two blocks, and what decides nothing."""

    ask: Callable[[Consensus, Sequence[bytes]], object]
    recipes: list[Recipe]
    ours: bool
    """About the transactions that the test is about, not about those of the recipes."""

    def of(self, node: Consensus, chain: Chain, ours: Sequence[bytes]) -> None:
        """The node is asked."""
        self.ask(node, ours if self.ours else chain.cook(self.recipes))


def started(machine: Machine, storage: Storage) -> Consensus:
    """A node just started from that disk."""
    return Consensus(Node(machine, storage))


def newborn(chain: Chain) -> Consensus:
    """A node that knows its genesis and has no block yet."""
    node = started(chain.machine, Storage.over(MemoryStore({})))
    node.init()
    return node


def lived(
    chain: Chain, storage: Storage, history: Sequence[Asked], ours: Sequence[bytes] = ()
) -> Consensus:
    """A node started from that disk and asked all this."""
    node = started(chain.machine, storage)
    [asked.of(node, chain, ours) for asked in history]
    return node


def extended(node: Consensus) -> bytes:
    """What the node adds to its vote."""
    return node.app.extend_vote(pb.RequestExtendVote(height=node.height + 1)).vote_extension


def verdict(node: Consensus, extension: bytes) -> int:
    """What the node says of an extension of somebody's vote."""
    request = pb.RequestVerifyVoteExtension(vote_extension=extension, height=node.height + 1)
    return node.app.verify_vote_extension(request).status


def info(node: Consensus) -> pb.ResponseInfo:
    """Where the node says it stands."""
    return node.app.info(pb.RequestInfo())


def entries(storage: Storage) -> list[tuple[bytes, bytes]]:
    """The whole committed state."""
    return list(storage.latest().scan(b""))


def _check(node: Consensus, txs: Sequence[bytes]) -> None:
    [node.check(raw) for raw in txs]


def _recheck(node: Consensus, txs: Sequence[bytes]) -> None:
    [node.recheck(raw) for raw in txs]


def _foresee(node: Consensus, txs: Sequence[bytes]) -> None:
    node.app.foresee(txs)


def _propose(node: Consensus, txs: Sequence[bytes]) -> None:
    node.prepare(*txs)


def _judge(node: Consensus, txs: Sequence[bytes]) -> None:
    node.accepts(*txs)


def _vote(node: Consensus, txs: Sequence[bytes]) -> None:
    extended(node)
    [verdict(node, raw) for raw in txs]


def _look(node: Consensus, txs: Sequence[bytes]) -> None:
    info(node)
    [node.query("/store", raw) for raw in txs]


ASKED = st.builds(
    Asked,
    st.sampled_from((_foresee, _check, _recheck, _propose, _judge, _vote, _look)),
    st.lists(RECIPES, max_size=2),
    st.booleans(),
)
HISTORIES = st.lists(ASKED, max_size=5)
"""What else a node was asked at a height."""
