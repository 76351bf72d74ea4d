"""A Machine on a Storage, as CometBFT sees it through ABCI.

FinalizeBlock stages a block in memory and Commit alone writes it, all in one batch, so a kill at
any step leaves the last committed block and CometBFT replays from there.
Source: CometBFT v0.40.0 spec/abci/abci++_app_requirements.md, whose requirement numbers the
comments below use.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from dchat import __version__
from dchat.kernel import contribution, genesis, params, proposal, signing
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import InvariantBroken, OperatorError
from dchat.kernel.family import Event
from dchat.kernel.ids import ChainId, EpochMs, Height
from dchat.kernel.machine import (
    Block,
    BlockContext,
    BlockResult,
    Carried,
    GenesisContext,
    Machine,
    Misbehaviour,
    Offence,
    Outcome,
    ValidatorPower,
    Vote,
    init_chain,
    run_block,
)
from dchat.kernel.pool import Each, Pool
from dchat.kernel.queries import QueryCode
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft, State
from dchat.node import log, queries
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import params_pb2, validator_pb2
from dchat.node.queries import CODESPACE
from dchat.node.storage import Staged, Storage

logger: Final = log.get(__name__)
APP_VERSION: Final = 1
"""Rises when a block would be judged differently; part of every header."""

PROCESSORS_A_THREAD: Final = 2
INT64_MAX: Final = 2**63 - 1
LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, the last that a protobuf Timestamp may name."""
_Told = pb.ExecTxResult | pb.ResponseFinalizeBlock
_NO_WRITES: Final[Mapping[bytes, bytes | None]] = {}


class BadGenesis(OperatorError):
    """The genesis file is not one this application can start from."""

    hint = "build it with dchat genesis, and give every node the same file"


@dataclass(frozen=True, slots=True)
class _Executed:
    """A block that FinalizeBlock ran and Commit has yet to write."""

    staged: Staged
    block: Block


class Node:
    """One chain's application. The server lets one thread at a time into all but info and query."""

    def __init__(self, machine: Machine, storage: Storage, secret: bytes = b"") -> None:
        self._machine = machine
        self._storage = storage
        self._secret = secret
        """What the contributions of this node's validator are made from."""
        self._pool = Pool(machine, each=_verifiers())
        self._state: State = storage.working()
        self._genesis = _NO_WRITES
        """What InitChain wrote, until the first block is committed."""
        self._executed: _Executed | None = None
        self._context = self._next_context(EpochMs(0))

    # Info and query connection

    def info(self, _request: pb.RequestInfo) -> pb.ResponseInfo:
        """The last committed block, from which CometBFT replays."""
        view = self._storage.latest()
        return pb.ResponseInfo(
            data=self._machine.name,
            version=__version__,
            app_version=APP_VERSION,
            last_block_height=view.height,
            last_block_app_hash=view.app_hash if view.height else b"",
        )

    def query(self, request: pb.RequestQuery) -> pb.ResponseQuery:
        """Committed state, or a code; see queries.answer."""
        return queries.answer(self._machine, self._storage, request)

    # Mempool connection

    def foresee(self, txs: Sequence[bytes]) -> None:
        """The signatures of these are verified together, in as many threads as there are."""
        self._pool.foresee(txs)

    def mempool_gone(self) -> None:
        """Nothing counts as waiting any more."""
        self._pool.forget()

    def check_tx(self, request: pb.RequestCheckTx) -> pb.ResponseCheckTx:
        """Code 0 if the transaction may wait for the next block."""
        outcome = self._pool.check(self._state, request.tx, self._context)
        if outcome.code:
            return pb.ResponseCheckTx(code=outcome.code, log=explain(outcome), codespace=CODESPACE)
        return pb.ResponseCheckTx(gas_wanted=outcome.cost_wanted)

    def insert_tx(self, _request: pb.RequestInsertTx) -> pb.ResponseInsertTx:
        """Refused: transactions wait in CometBFT's own mempool."""
        return pb.ResponseInsertTx(code=QueryCode.NOT_SERVED)

    def reap_txs(self, _request: pb.RequestReapTxs) -> pb.ResponseReapTxs:
        """Nothing: transactions wait in CometBFT's own mempool."""
        return pb.ResponseReapTxs()

    # Consensus connection

    def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        """The genesis state is staged. Raises: BadGenesis, InvariantBroken."""
        if self._storage.height:
            raise InvariantBroken(
                f"InitChain on a state of height {self._storage.height}: "
                "CometBFT's data and the application's are not of one node"
            )
        _check_genesis(request)
        try:
            draft = init_chain(
                self._machine,
                self._storage.latest(),
                _genesis_context(request),
                unwrap(request.app_state_bytes),
            )
        except CodecError as fault:
            raise BadGenesis(f"app_state: {fault}") from None
        self._genesis = dict(draft.writes())
        self._refresh(_epoch_ms(request.time))
        return pb.ResponseInitChain(
            app_hash=self._storage.stage(Height(0), self._genesis).app_hash,
            consensus_params=_consensus_params(self._state),
        )

    def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        """The longest run of the offered transactions that every correct node accepts."""
        lead, room = self._contribution(request.proposer_address), request.max_tx_bytes
        room -= sum(map(proposal.size_in_block, lead))
        txs = self._pool.propose(self._state, request.txs, room, self._context)
        return pb.ResponsePrepareProposal(txs=(*lead, *txs))

    def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        """Accept or reject, by the predicate of prepare_proposal (requirements 3 to 5)."""
        lead, txs = contribution.split(request.txs)
        if self._is_owed(request.proposer_address, lead) and self._pool.accepts(self._state, txs):
            return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.ACCEPT)
        return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.REJECT)

    def extend_vote(self, _request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        """Empty: this chain does not enable vote extensions."""
        return pb.ResponseExtendVote()

    def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension
    ) -> pb.ResponseVerifyVoteExtension:
        """Accepts what extend_vote gives and nothing else (requirements 6 to 8)."""
        if request.vote_extension:
            return pb.ResponseVerifyVoteExtension(status=pb.ResponseVerifyVoteExtension.REJECT)
        return pb.ResponseVerifyVoteExtension(status=pb.ResponseVerifyVoteExtension.ACCEPT)

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """The block is executed and staged; again at the same height gives the same answer.

        Raises: InvariantBroken for a height that is not the next one.
        """
        if request.height != self._storage.height + 1:
            raise InvariantBroken(
                f"FinalizeBlock at height {request.height} on a state of height "
                f"{self._storage.height}"
            )
        chain_id = self._chain_id()
        if not chain_id:
            raise InvariantBroken("FinalizeBlock before InitChain")
        block = Block(
            BlockContext(
                chain_id,
                Height(request.height),
                _epoch_ms(request.time),
                request.proposer_address,
                tuple([_vote(each) for each in request.decided_last_commit.votes]),
                tuple([_misbehaviour(each) for each in request.misbehavior]),
                request.hash,
            ),
            tuple(request.txs),
        )
        known = self._pool.recognise(block.txs)
        result = run_block(self._machine, self._state, block, known)
        staged = self._storage.stage(Height(request.height), {**self._genesis, **result.writes})
        self._executed = _Executed(staged, block)
        self._pool.expect_commit()
        return _block_result(result, staged.app_hash)

    def commit(self, _request: pb.RequestCommit) -> pb.ResponseCommit:
        """The staged block is on disk. Raises: InvariantBroken if there is none."""
        if self._executed is None:
            raise InvariantBroken("Commit without a FinalizeBlock before it")
        executed, self._executed = self._executed, None
        self._storage.commit(executed.staged)
        self._genesis = _NO_WRITES
        self._pool.commit(executed.block.txs)
        self._refresh(executed.block.context.block_time_ms)
        return pb.ResponseCommit(retain_height=0)

    # Snapshot connection: none are made yet, and none are taken

    def list_snapshots(self, _request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        """None."""
        return pb.ResponseListSnapshots()

    def offer_snapshot(self, _request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        """Abort: this node syncs by blocks."""
        return pb.ResponseOfferSnapshot(result=pb.ResponseOfferSnapshot.ABORT)

    def load_snapshot_chunk(
        self, _request: pb.RequestLoadSnapshotChunk
    ) -> pb.ResponseLoadSnapshotChunk:
        """Empty, which peers read as: not here."""
        return pb.ResponseLoadSnapshotChunk()

    def apply_snapshot_chunk(
        self, _request: pb.RequestApplySnapshotChunk
    ) -> pb.ResponseApplySnapshotChunk:
        """Abort: no snapshot was accepted."""
        return pb.ResponseApplySnapshotChunk(result=pb.ResponseApplySnapshotChunk.ABORT)

    def _refresh(self, block_time_ms: EpochMs) -> None:
        committed = self._storage.working()
        self._state = _on_top(committed, self._genesis) if self._genesis else committed
        self._context = self._next_context(block_time_ms)

    def _next_context(self, block_time_ms: EpochMs) -> BlockContext:
        """What CheckTx can know of the next block: its time is that of the last one."""
        return BlockContext(self._chain_id(), Height(self._storage.height + 1), block_time_ms)

    def _contribution(self, proposer: bytes) -> tuple[bytes, ...]:
        duty = self._machine.duty
        data = duty.make(self._state, proposer, self._secret) if duty else b""
        if not self._is_owed(proposer, data):
            logger.error("contribution_missed", proposer=proposer.hex(), see="docs/randomness.md")
        return (contribution.build(data),) if data else ()

    def _is_owed(self, proposer: bytes, data: bytes) -> bool:
        duty = self._machine.duty
        return duty.accepts(self._state, proposer, data) if duty else not data

    def _chain_id(self) -> ChainId:
        return genesis.chain_id(self._state) or ChainId("")


def _verifiers() -> Each:
    """Threads on half of the processors; the other half is CometBFT's.

    On two processors that is this thread alone: CometBFT keeps the other one busy with its flush
    timer while requests wait (inbox.py), and a second thread made a flood slower.
    """
    threads = (os.cpu_count() or 1) // PROCESSORS_A_THREAD
    return ThreadPoolExecutor(threads, "verify").map if threads > 1 else map


def unwrap(app_state: bytes) -> bytes:
    """The canonical bytes in `app_state`, one JSON string of base64. Raises: BadGenesis."""
    try:
        text = json.loads(app_state)
    except ValueError as fault:
        raise BadGenesis(f"app_state is not JSON: {fault}") from None
    if not isinstance(text, str):
        raise BadGenesis("app_state is not one JSON string of base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadGenesis(f"app_state is not base64: {fault}") from None


def explain(outcome: Outcome) -> str:
    """The refusal with its numbers, and what to do next; for people."""
    refusal = REFUSALS.get(outcome.code)
    return f"{outcome.reason}; {refusal.hint}" if refusal else outcome.reason


def _check_genesis(request: pb.RequestInitChain) -> None:
    if request.initial_height != 1:
        raise BadGenesis(f"initial_height is {request.initial_height}, only 1 is supported")
    if not request.chain_id:
        raise BadGenesis("chain_id is empty")
    if not request.validators:
        raise BadGenesis("no validators")
    for validator in request.validators:
        # A small-order key would let anybody sign, and make headers that light clients refuse.
        if not signing.is_strong(validator.pub_key.ed25519):
            raise BadGenesis(f"validator key is not a strong Ed25519 key: {validator.pub_key}")


def _consensus_params(state: State) -> params_pb2.ConsensusParams:
    rules = params.load(state)
    if rules.max_block_cost > INT64_MAX:
        raise BadGenesis("the bound on a block's cost is above 2^63 - 1")
    size, most = rules.max_block_bytes, params.MAX_BLOCK_BYTES
    if not 1 <= size <= most:
        raise BadGenesis(f"a block of {size} bytes; 1 to {most} are possible")
    return params_pb2.ConsensusParams(
        block=params_pb2.BlockParams(max_bytes=rules.max_block_bytes, max_gas=rules.max_block_cost),
        # CometBFT forgets the version it got from Info once it is handed any parameters.
        version=params_pb2.VersionParams(app=APP_VERSION),
    )


def _on_top(state: State, writes: Mapping[bytes, bytes | None]) -> State:
    draft = Draft(state)
    for key, value in writes.items():
        if value is None:
            draft.delete(key)
        else:
            draft.put(key, value)
    return draft


def _genesis_context(request: pb.RequestInitChain) -> GenesisContext:
    founders = [ValidatorPower(each.pub_key.ed25519, each.power) for each in request.validators]
    return GenesisContext(ChainId(request.chain_id), _epoch_ms(request.time), tuple(founders))


def _vote(vote: pb.VoteInfo) -> Vote:
    absent = vote.block_id_flag == validator_pb2.BLOCK_ID_FLAG_ABSENT
    return Vote(vote.validator.address, vote.validator.power, not absent)


def _misbehaviour(found: pb.Misbehavior) -> Misbehaviour:
    if found.type not in set(Offence):
        raise InvariantBroken(f"evidence of a kind that CometBFT v0.40 has not: {found.type}")
    return Misbehaviour(
        Offence(found.type),
        found.validator.address,
        found.validator.power,
        Height(found.height),
        _epoch_ms(found.time),
    )


def _block_result(result: BlockResult, app_hash: bytes) -> pb.ResponseFinalizeBlock:
    """Code, gas, validators and app hash are hashed by CometBFT; log and events are not."""
    answer = pb.ResponseFinalizeBlock(app_hash=app_hash)
    for change in result.validator_updates:
        update = answer.validator_updates.add(power=change.power)
        update.pub_key.ed25519 = change.public_key
    for event in result.events:
        _tell(event, answer)
    add = answer.tx_results.add  # in place: a message made apart is copied in, at twice the time
    for outcome in result.outcomes:
        told = add(code=outcome.code, gas_wanted=outcome.cost_wanted, gas_used=outcome.cost_used)
        if outcome.code:
            told.log = explain(outcome)
            told.codespace = CODESPACE
        if outcome.data:
            told.data, told.log = outcome.data, outcome.reason
        for event in outcome.events:
            _tell(event, told)
    return answer


def _tell(event: Event, told: _Told) -> None:
    """Every field becomes an attribute; numbers are not indexed, as nobody searches by them."""
    add = told.events.add(type=type(event).__name__).attributes.add
    for name in _field_names(type(event)):
        value: object = getattr(event, name)
        add(key=name, value=_shown(value), index=not isinstance(value, int))
    if isinstance(event, Carried):
        _tell_carried(event, told)


def _tell_carried(carried: Carried, told: _Told) -> None:
    """What a bundle's transaction tells also says whose it is."""
    for event in carried.events:
        _tell(event, told)
        told.events[-1].attributes.add(key="tx_hash", value=carried.tx_hash.hex())


@cache
def _field_names(kind: type[Event]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "events")


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _epoch_ms(time: Timestamp) -> EpochMs:
    """Milliseconds since 1970. Raises: InvariantBroken for a time that protobuf does not know."""
    if not 0 <= time.seconds <= LAST_SECOND:
        raise InvariantBroken(f"a block {time.seconds} s from 1970")
    return EpochMs(time.seconds * 1000 + time.nanos // 1_000_000)
