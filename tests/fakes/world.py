"""A whole chain with CometBFT's side of it, and the replicas that run its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.timestamp_pb2 import Timestamp

from dchat.kernel import accounts, bundle, contribution, machine
from dchat.kernel.codec import Raw
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Machine
from dchat.kernel.store import Draft
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2, validator_pb2
from dchat.node.storage import Storage
from tests.fakes.consensus import wrapped
from tests.fakes.memory import CHAIN, START, MemoryState, Person, signed
from tests.fakes.memory_store import MemoryStore

COST = Cost(10_000)
KEEP = 1_000
"""Versions: nothing is pruned, which other tests look at."""

Deed = Callable[[Draft, BlockContext], None]


@dataclass
class Deeds:
    """What rules that are not written yet will do at the beginning of a block."""

    of: dict[int, Deed] = field(default_factory=dict[int, Deed])

    def do(self, draft: Draft, context: BlockContext) -> tuple[Event, ...]:
        """Carry out what is due at this height."""
        self.of.get(context.height, nothing)(draft, context)
        return ()


def nothing(_: Draft, __: BlockContext) -> None:
    """Do nothing: the deed of most blocks."""


@dataclass
class Signer:
    """What an account's next transaction has to carry."""

    nonce: int
    seed: bytes
    version: int


@dataclass(frozen=True)
class Did:
    """What became of one transaction, in a bundle or not."""

    raw: bytes
    code: int
    admitted: bool
    """Nonce and fee counted."""
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Made:
    """One block, the states around it, and what it did."""

    before: MemoryState
    after: MemoryState
    context: BlockContext
    result: BlockResult
    contributed: bytes
    """What its proposer owed."""
    did: tuple[Did, ...]


class Replica:
    """A node on a disk in memory."""

    def __init__(self, rules: Machine, disk: Mapping[bytes, bytes]) -> None:
        self.store = MemoryStore(disk)
        self.storage = Storage.over(self.store, KEEP)
        self.node = Node(rules, self.storage)

    def run(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """Execute and commit a block."""
        answer = self.node.finalize_block(request)
        self.node.commit(pb.RequestCommit())
        return answer

    def accepts(self, proposer: bytes, *txs: bytes) -> bool:
        """Tell whether the node votes for that validator's proposal."""
        request = pb.RequestProcessProposal(txs=txs, proposer_address=proposer)
        answer = self.node.process_proposal(request)
        return answer.status == pb.ResponseProcessProposal.ACCEPT


class World:
    """The chain, block by block; `state` is what it has after the last one."""

    def __init__(
        self, rules: Machine, begun: bytes, powers: Mapping[bytes, int], people: Sequence[Person]
    ) -> None:
        self.deeds = Deeds()
        self.machine = replace(rules, begin_block=(self.deeds.do, *rules.begin_block))
        self._init = _init(begun, powers)
        self.first = Replica(self.machine, {})
        self.app_hashes = [self.first.node.init_chain(self._init).app_hash]
        """After each block, the genesis first."""
        self.second: Replica | None = None
        context = machine.GenesisContext(CHAIN, START, _powers(powers))
        draft = machine.init_chain(self.machine, MemoryState(), context, begun)
        self.state = MemoryState().after(draft.writes())
        self.height, self.time = 0, int(START)
        self.times: dict[int, int] = {}
        self.requests: list[pb.RequestFinalizeBlock] = []
        self.answers: list[pb.ResponseFinalizeBlock] = []
        self.disks: list[Mapping[bytes, bytes]] = [{}]
        """The first replica's data after each block."""
        self.seeds = {who.public_key: who.seed for who in people}
        self.signers: dict[AccountId, Signer] = {}

    @property
    def now(self) -> EpochMs:
        """Block time of the last block."""
        return EpochMs(self.time)

    def signer(self, who: Person) -> Signer:
        """Return what who's next transaction of this block carries, if those before succeed."""
        if who.id not in self.signers:
            held = accounts.load(self.state, who.id)
            seed = self.seeds[held.public_key or who.public_key]
            self.signers[who.id] = Signer(held.nonce, seed, held.key_version)
        return self.signers[who.id]

    def sign(self, who: Person, body: tuple[Raw, ...], fee: int, cost: Cost = COST) -> bytes:
        """Return who's next transaction of this block, signed with the key of now."""
        now = self.signer(who)
        envelope = {"sender": who.id, "fee": Amount(fee), "cost_limit": cost}
        until = Height(self.height + 50)
        now.nonce += 1
        return signed(Person(now.seed), body, now.nonce - 1, valid_until_height=until, **envelope)

    def follow(self, who: Person, public_key: bytes) -> None:
        """Sign with the new key in this block from now on."""
        now = self.signer(who)
        now.seed, now.version = self.seeds[public_key], now.version + 1

    def pass_time(self, after_ms: int, deed: Deed) -> None:
        """Begin the next block, so much later than the last one."""
        self.height, self.time = self.height + 1, self.time + after_ms
        self.times[self.height] = self.time
        self.deeds.of[self.height] = deed

    def run(self, context: BlockContext, txs: Sequence[bytes]) -> Made:
        """Run that block on every replica."""
        before = self.state
        result = machine.run_block(self.machine, before, Block(context, txs), {})
        self.state = before.after(result.writes)
        self.signers.clear()
        self._replicate(context, txs, result)
        contributed, _ = contribution.split(txs)
        return Made(before, self.state, context, result, contributed, tuple(_did(txs, result)))

    def _replicate(self, context: BlockContext, txs: Sequence[bytes], result: BlockResult) -> None:
        request = _request(context, txs)
        answer = self.first.run(request)
        assert [each.code for each in answer.tx_results] == [each.code for each in result.outcomes]
        told = {each.pub_key.ed25519: each.power for each in answer.validator_updates}
        assert told == {each.public_key: each.power for each in result.validator_updates}
        self.requests.append(request)
        self.answers.append(answer)
        self.app_hashes.append(answer.app_hash)
        self.disks.append(self.first.store.held)
        if self.second:
            assert self.second.run(request) == answer

    def join(self, height: int) -> None:
        """Start a second replica from the first's data at that height, and let it catch up."""
        self.second = Replica(self.machine, self.disks[height])
        if not height:
            self.second.node.init_chain(self._init)
        for request, answer in zip(self.requests[height:], self.answers[height:], strict=True):
            assert self.second.run(request) == answer
        assert self.second.store.held == self.first.store.held

    def restart(self) -> None:
        """Kill the first replica and start it again."""
        self.first = Replica(self.machine, self.first.store.held if self.height else {})
        if not self.height:
            self.first.node.init_chain(self._init)


def _powers(powers: Mapping[bytes, int]) -> tuple[machine.ValidatorPower, ...]:
    return tuple([machine.ValidatorPower(*each) for each in powers.items()])


def _init(begun: bytes, powers: Mapping[bytes, int]) -> pb.RequestInitChain:
    return pb.RequestInitChain(
        time=_timestamp(START),
        chain_id=CHAIN,
        initial_height=1,
        validators=[
            pb.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)
            for key, power in powers.items()
        ],
        app_state_bytes=wrapped(begun),
    )


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def _request(context: BlockContext, txs: Sequence[bytes]) -> pb.RequestFinalizeBlock:
    flags = {
        True: validator_pb2.BLOCK_ID_FLAG_COMMIT,
        False: validator_pb2.BLOCK_ID_FLAG_ABSENT,
    }
    votes = [
        pb.VoteInfo(
            validator=pb.Validator(address=each.address, power=each.power),
            block_id_flag=flags[each.present],
        )
        for each in context.last_commit
    ]
    proved = [
        pb.Misbehavior(
            type=pb.MisbehaviorType.Name(each.offence),
            validator=pb.Validator(address=each.address, power=each.power),
            height=each.height,
            time=_timestamp(each.time_ms),
        )
        for each in context.misbehaviour
    ]
    return pb.RequestFinalizeBlock(
        txs=txs,
        height=context.height,
        time=_timestamp(context.block_time_ms),
        decided_last_commit=pb.CommitInfo(votes=votes),
        misbehavior=proved,
        proposer_address=context.proposer,
        hash=context.block_hash,
    )


def _did(txs: Sequence[bytes], result: BlockResult) -> Iterator[Did]:
    """Yield what became of each transaction; a contribution is none."""
    lead, rest = contribution.split(txs)
    for raw, outcome in zip(rest, result.outcomes[bool(lead) :], strict=True):
        if bundle.carried(raw) == (raw,):
            yield Did(raw, outcome.code, outcome.cost_used > 0, outcome.events)
            continue
        for each, told in zip(bundle.carried(raw), outcome.events, strict=True):
            assert isinstance(told, machine.Carried)
            yield Did(each, told.code, told.cost_used > 0, told.events)
