"""Which method of an application answers which ABCI 2.0 request, and beside what it may run.

Source: CometBFT v0.40.0 spec/abci/abci++_methods.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from google.protobuf.message import Message

from dchat.node.proto import abci_pb2 as pb


class Application(Protocol):
    """One method per ABCI 2.0 request. A method that raises stops the node."""

    def info(self, request: pb.RequestInfo, /) -> pb.ResponseInfo:
        """Last committed height and app hash, as of the last finished Commit."""
        ...

    def query(self, request: pb.RequestQuery, /) -> pb.ResponseQuery:
        """A value of committed state, with a proof where asked; own codes for bad requests."""
        ...

    def check_tx(self, request: pb.RequestCheckTx, /) -> pb.ResponseCheckTx:
        """Whether a transaction may wait in the mempool; changes no committed state."""
        ...

    def foresee(self, txs: Sequence[bytes], /) -> None:
        """Told of several transactions that `check_tx` is asked about next, in this order.

        Unlike that, it may run beside a request of consensus, and so may touch no state.
        """
        ...

    def mempool_gone(self) -> None:
        """Told that CometBFT has hung up: its mempool ended with it, and the next one is empty."""
        ...

    def insert_tx(self, request: pb.RequestInsertTx, /) -> pb.ResponseInsertTx:
        """For application-side mempools, which this is not."""
        ...

    def reap_txs(self, request: pb.RequestReapTxs, /) -> pb.ResponseReapTxs:
        """For application-side mempools, which this is not."""
        ...

    def init_chain(self, request: pb.RequestInitChain, /) -> pb.ResponseInitChain:
        """The genesis state is staged; it reaches disk with the first Commit."""
        ...

    def prepare_proposal(self, request: pb.RequestPrepareProposal, /) -> pb.ResponsePrepareProposal:
        """The transactions of a block that every correct node accepts."""
        ...

    def process_proposal(self, request: pb.RequestProcessProposal, /) -> pb.ResponseProcessProposal:
        """Accept or reject, by the block and the committed state alone."""
        ...

    def extend_vote(self, request: pb.RequestExtendVote, /) -> pb.ResponseExtendVote:
        """Empty: vote extensions are not enabled."""
        ...

    def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension, /
    ) -> pb.ResponseVerifyVoteExtension:
        """Accepts the empty extension only."""
        ...

    def finalize_block(self, request: pb.RequestFinalizeBlock, /) -> pb.ResponseFinalizeBlock:
        """The block is executed and staged; nothing is on disk."""
        ...

    def commit(self, request: pb.RequestCommit, /) -> pb.ResponseCommit:
        """What FinalizeBlock staged is on disk."""
        ...

    def list_snapshots(self, request: pb.RequestListSnapshots, /) -> pb.ResponseListSnapshots:
        """The snapshots that peers may fetch."""
        ...

    def offer_snapshot(self, request: pb.RequestOfferSnapshot, /) -> pb.ResponseOfferSnapshot:
        """Whether a peer's snapshot is wanted."""
        ...

    def load_snapshot_chunk(
        self, request: pb.RequestLoadSnapshotChunk, /
    ) -> pb.ResponseLoadSnapshotChunk:
        """One chunk of a listed snapshot."""
        ...

    def apply_snapshot_chunk(
        self, request: pb.RequestApplySnapshotChunk, /
    ) -> pb.ResponseApplySnapshotChunk:
        """Whether a chunk of the accepted snapshot fits."""
        ...


Handler = Callable[[Application, pb.Request], Message]

HANDLERS: Final[Mapping[str, Handler]] = {
    "echo": lambda _, r: pb.ResponseEcho(message=r.echo.message),
    "flush": lambda _, __: pb.ResponseFlush(),
    "info": lambda app, r: app.info(r.info),
    "query": lambda app, r: app.query(r.query),
    "check_tx": lambda app, r: app.check_tx(r.check_tx),
    "insert_tx": lambda app, r: app.insert_tx(r.insert_tx),
    "reap_txs": lambda app, r: app.reap_txs(r.reap_txs),
    "init_chain": lambda app, r: app.init_chain(r.init_chain),
    "prepare_proposal": lambda app, r: app.prepare_proposal(r.prepare_proposal),
    "process_proposal": lambda app, r: app.process_proposal(r.process_proposal),
    "extend_vote": lambda app, r: app.extend_vote(r.extend_vote),
    "verify_vote_extension": lambda app, r: app.verify_vote_extension(r.verify_vote_extension),
    "finalize_block": lambda app, r: app.finalize_block(r.finalize_block),
    "commit": lambda app, r: app.commit(r.commit),
    "list_snapshots": lambda app, r: app.list_snapshots(r.list_snapshots),
    "offer_snapshot": lambda app, r: app.offer_snapshot(r.offer_snapshot),
    "load_snapshot_chunk": lambda app, r: app.load_snapshot_chunk(r.load_snapshot_chunk),
    "apply_snapshot_chunk": lambda app, r: app.apply_snapshot_chunk(r.apply_snapshot_chunk),
}

MEMPOOL: Final = frozenset({"check_tx", "insert_tx", "reap_txs"})
BESIDE: Final = frozenset({"echo", "flush", "info", "query", "list_snapshots"})
"""Answered without waiting for the state; storage gives these their own consistent view."""
