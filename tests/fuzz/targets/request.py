"""ABCI requests against a real application on a state in memory."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from dchat.kernel.errors import InvariantBroken, OperatorError
from dchat.kernel.ids import Amount
from dchat.kernel.refusals import REFUSALS
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.requests import HANDLERS
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus, init_request
from tests.fakes.memory import ALICE, BOB, signed
from tests.fakes.memory_store import MemoryStore
from tests.fuzz.mutate import change_bytes, change_message
from tests.fuzz.target import REFUSED, Target, named

CONSENSUS: Final = frozenset({"init_chain", "finalize_block", "commit"})
"""What only CometBFT sends, and what may stop the node: it raises rather than fork."""
PAY: Final = signed(ALICE, transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(5))))


def running() -> Consensus:
    """An application one block after its genesis."""
    consensus = Consensus(Node(MACHINE, Storage.over(MemoryStore({}))))
    consensus.init()
    consensus.block()
    return consensus


class Bench:
    """The application in use; a new one once a request may have changed it."""

    def __init__(self) -> None:
        self.before = running()
        self.fresh: Consensus | None = None

    def judge(self, frame: bytes) -> str:
        """A frame is no request, or is answered in kind; only consensus may stop the node."""
        try:
            request = pb.Request.FromString(frame)
        except DecodeError:
            return f"{REFUSED}no request"
        kind = request.WhichOneof("value")
        if kind is None:
            return f"{REFUSED}no known kind"
        try:
            answer = self._ask(kind, request)
        except (InvariantBroken, OperatorError) as fault:
            if kind not in CONSENSUS:
                raise AssertionError(f"{kind} stops the node") from fault
            return named(fault)
        return f"{kind}: {answer}"

    def _ask(self, kind: str, request: pb.Request) -> str:
        node = (
            Node(MACHINE, Storage.over(MemoryStore({}))) if kind == "init_chain" else self._node()
        )
        response: Any = HANDLERS[kind](node, request)
        response.SerializeToString()
        if kind in CONSENSUS:
            self.fresh = None
        if kind == "prepare_proposal":
            chosen = pb.RequestProcessProposal(txs=response.txs)
            accepted = node.process_proposal(chosen).status
            assert accepted == pb.ResponseProcessProposal.ACCEPT, "refuses its own proposal"
        return self._outcome(kind, response)

    def _node(self) -> Node:
        if self.fresh is None:
            self.fresh = running()
        return self.fresh.app

    def _outcome(self, kind: str, response: object) -> str:
        match response:
            case pb.ResponseCheckTx():
                assert response.code in {0, *REFUSALS}
                self.fresh = None if response.code == 0 else self.fresh
                return str(response.code)
            case pb.ResponseFinalizeBlock():
                return ",".join(sorted({str(result.code) for result in response.tx_results}))
            case pb.ResponseQuery():
                return str(response.code)
            case pb.ResponseProcessProposal():
                return str(response.status)
            case _:
                return "answered"


def _seeds() -> tuple[bytes, ...]:
    time = Timestamp(seconds=1_700_000_002)
    requests = (
        pb.Request(echo=pb.RequestEcho(message="hello")),
        pb.Request(flush=pb.RequestFlush()),
        pb.Request(info=pb.RequestInfo(version="0.40.0", block_version=11)),
        pb.Request(query=pb.RequestQuery(path=b"/params", height=1)),
        pb.Request(query=pb.RequestQuery(path=b"/store", data=b"key", prove=True)),
        pb.Request(check_tx=pb.RequestCheckTx(tx=PAY)),
        pb.Request(check_tx=pb.RequestCheckTx(tx=PAY, type=pb.RECHECK)),
        pb.Request(insert_tx=pb.RequestInsertTx(tx=PAY)),
        pb.Request(reap_txs=pb.RequestReapTxs()),
        pb.Request(init_chain=init_request()),
        pb.Request(prepare_proposal=pb.RequestPrepareProposal(txs=[PAY, b"x"], max_tx_bytes=9999)),
        pb.Request(process_proposal=pb.RequestProcessProposal(txs=[PAY], height=2, time=time)),
        pb.Request(extend_vote=pb.RequestExtendVote(height=2)),
        pb.Request(verify_vote_extension=pb.RequestVerifyVoteExtension(vote_extension=b"x")),
        pb.Request(finalize_block=pb.RequestFinalizeBlock(txs=[PAY], height=2, time=time)),
        pb.Request(commit=pb.RequestCommit()),
        pb.Request(list_snapshots=pb.RequestListSnapshots()),
        pb.Request(offer_snapshot=pb.RequestOfferSnapshot(app_hash=bytes(32))),
        pb.Request(load_snapshot_chunk=pb.RequestLoadSnapshotChunk(height=1, chunk=0)),
        pb.Request(apply_snapshot_chunk=pb.RequestApplySnapshotChunk(chunk=b"x", sender="y")),
    )
    return tuple(request.SerializeToString() for request in requests)


def _change_request(rng: Random, data: bytes) -> bytes:
    """One field of the request exchanged, so that it still is one."""
    request = pb.Request()
    try:
        request.MergeFromString(data)
    except DecodeError:
        return change_bytes(rng, data)
    kind = request.WhichOneof("value")
    change_message(rng, getattr(request, kind) if kind else request)
    return request.SerializeToString()


TARGET: Final = Target(
    "request",
    "a frame is refused or answered in kind; nothing but consensus's own requests stops the node",
    Bench().judge,
    _seeds(),
    (_change_request, _change_request, _change_request, change_bytes),
)
