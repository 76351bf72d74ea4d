"""A whole currency chain with CometBFT's side of it, and the replicas that run its blocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.timestamp_pb2 import Timestamp

from abci_currency import genesis
from abci_currency.genesis import Beginning, Bond, Founder, Lock, Rules, Terms
from abci_currency.hooks import active_set
from abci_currency.machine import MACHINE
from abci_currency.params import DEFAULT, Relays, Rewards, Slashing, Staking
from abci_currency.state import stake
from abci_currency.state.liability import SET_DELAY
from dchat.kernel import accounts, bundle, machine
from dchat.kernel import genesis as kernel
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, BlockResult, Event, Misbehaviour, Vote
from dchat.kernel.store import Draft
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import keys_pb2, validator_pb2
from dchat.node.storage import Storage
from tests.fakes.consensus import wrapped
from tests.fakes.currency import voter
from tests.fakes.memory import CHAIN, START, MemoryState, Person, signed
from tests.fakes.memory_store import MemoryStore

FUNDS = Amount(5_000 * UNIT)
TREASURY = Amount(7 * UNIT)
SPAN_MS = 100_000
"""The unbonding time at the beginning, and how old evidence may be."""
COST = Cost(10_000)
KEEP = 1_000
"""Versions: nothing is pruned, which other tests look at."""
PEOPLE = tuple(Person(bytes([at]) * 32) for at in range(1, 9))
STAKES = (1_000, 800, 800, 300)
RULES = Rules(
    Staking(
        max_validators=4,
        min_validator_stake=Amount(100 * UNIT),
        unbonding_ms=SPAN_MS,
        max_unbondings=3,
        key_rotation_fee=Amount(5 * UNIT),
    ),
    Slashing(
        missed_blocks_window=10,
        downtime_slash_bp=100,
        downtime_jail_ms=5_000,
        double_sign_jail_ms=10_000,
        evidence_max_age_ms=SPAN_MS,
    ),
    Rewards(
        epoch_ms=60_000,
        epoch_emission=Amount(3_000_007),
        emission_treasury_bp=1_000,
        max_emission=Amount(10**9),
    ),
    Relays(
        min_stake=Amount(10 * UNIT),
        unbonding_ms=SPAN_MS // 2,
        min_escrow=Amount(UNIT),
        escrow_delay_ms=SPAN_MS // 2,
        token_epoch_ms=3_600_000,
    ),
)

Deed = Callable[[Draft, BlockContext], None]


def beginning() -> Beginning:
    """Return what the chain begins with: four validators, two who delegate, three with a lock."""
    four, others = PEOPLE[: len(STAKES)], PEOPLE[len(STAKES) :]
    founders = [
        Founder(
            who.id,
            voter(who).public_key,
            f"founder {at}",
            Terms(500 * at, 5_000, 1_000),
            Amount(100 * UNIT),
            Amount(STAKES[at] * UNIT),
        )
        for at, who in enumerate(four)
    ]
    bonds = [
        Bond(others[0].id, four[0].id, Amount(250 * UNIT + 7)),
        Bond(others[1].id, four[3].id, Amount(100 * UNIT)),
    ]
    middle, end = EpochMs(START + SPAN_MS), EpochMs(START + 10 * SPAN_MS)
    locks = [
        Lock(four[3].id, Amount(200 * UNIT), True, START, START, end),
        Lock(others[1].id, Amount(300 * UNIT + 1), True, START, middle, end),
        Lock(others[2].id, Amount(50 * UNIT), False, START, middle, middle),
    ]
    allocations = [Allocation(each.id, FUNDS) for each in PEOPLE]
    return Beginning(
        kernel.Genesis(DEFAULT, tuple(sorted(allocations, key=lambda each: each.account))),
        RULES,
        tuple(sorted(founders, key=lambda each: each.operator)),
        tuple(sorted(bonds, key=lambda each: each.delegator)),
        tuple(sorted(locks, key=lambda each: each.account)),
        TREASURY,
    )


@dataclass
class Deeds:
    """What rules that are not written yet will do at the beginning of a block."""

    of: dict[int, Deed] = field(default_factory=dict)

    def do(self, draft: Draft, context: BlockContext) -> tuple[Event, ...]:
        """Carry out what is due at this height."""
        self.of.get(context.height, _nothing)(draft, context)
        return ()


def _nothing(_: Draft, __: BlockContext) -> None:
    pass


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
    did: tuple[Did, ...]


class Replica:
    """A node on a disk in memory."""

    def __init__(self, rules: machine.Machine, disk: Mapping[bytes, bytes]) -> None:
        self.store = MemoryStore(disk)
        self.storage = Storage.over(self.store, KEEP)
        self.node = Node(rules, self.storage)

    def run(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """Execute and commit a block."""
        answer = self.node.finalize_block(request)
        self.node.commit(pb.RequestCommit())
        return answer


class Economy:
    """The chain, block by block; `state` is what it has after the last one."""

    def __init__(self) -> None:
        self.deeds = Deeds()
        hooks = (self.deeds.do, *MACHINE.begin_block)
        self.machine = replace(MACHINE, begin_block=hooks)
        begun = beginning()
        powers = genesis.powers(begun)
        self.first = Replica(self.machine, {})
        self.first.node.init_chain(_init(begun, powers))
        self.second: Replica | None = None
        self.state = self._begun(begun, powers)
        self.height, self.time = 0, int(START)
        self.sets: dict[int, dict[bytes, int]] = dict.fromkeys(range(1, SET_DELAY + 1), powers)
        """Who signs the block of that height, as CometBFT knows it."""
        self.told: dict[bytes, int] = powers
        """Who is to sign two blocks on."""
        self.times: dict[int, int] = {}
        self.absent: frozenset[bytes] = frozenset()
        self.requests: list[pb.RequestFinalizeBlock] = []
        self.answers: list[pb.ResponseFinalizeBlock] = []
        self.disks: list[Mapping[bytes, bytes]] = [{}]
        """The first replica's data after each block."""
        self.seeds = {who.public_key: who.seed for who in PEOPLE}
        self.signers: dict[AccountId, Signer] = {}

    def _begun(self, begun: Beginning, powers: Mapping[bytes, int]) -> MemoryState:
        context = machine.GenesisContext(CHAIN, START, _powers(powers))
        data = genesis.SHAPE.encode(begun)
        draft = machine.init_chain(self.machine, MemoryState(), context, data)
        return MemoryState().after(draft.writes())

    def signer(self, who: Person) -> Signer:
        """Return what who's next transaction of this block carries, if those before succeed."""
        if who.id not in self.signers:
            held = accounts.load(self.state, who.id)
            seed = self.seeds[held.public_key or who.public_key]
            self.signers[who.id] = Signer(held.nonce, seed, held.key_version)
        return self.signers[who.id]

    def sign(self, who: Person, body: tuple[Raw, ...], fee: int) -> bytes:
        """Return who's next transaction of this block, signed with the key of now."""
        now = self.signer(who)
        envelope = {"sender": who.id, "fee": Amount(fee), "cost_limit": COST}
        until = Height(self.height + 50)
        now.nonce += 1
        return signed(Person(now.seed), body, now.nonce - 1, valid_until_height=until, **envelope)

    def block(
        self,
        *txs: bytes,
        after_ms: int = 1_000,
        absent: Collection[bytes] = (),
        evidence: Sequence[Misbehaviour] = (),
        deed: Deed = _nothing,
    ) -> Made:
        """Run the next block on every replica; `absent` are keys that did not sign the last one."""
        self.height, self.time = self.height + 1, self.time + after_ms
        self.times[self.height] = self.time
        self.deeds.of[self.height] = deed
        self.absent = frozenset(absent)
        votes = self.votes(self.height, absent)
        context = BlockContext(
            CHAIN, Height(self.height), EpochMs(self.time), b"", votes, tuple(evidence)
        )
        before = self.state
        result = machine.run_block(self.machine, before, Block(context, txs), {})
        self.state = before.after(result.writes)
        self.signers.clear()
        self._tell(result)
        self._replicate(context, txs, result)
        return Made(before, self.state, context, result, tuple(_did(txs, result)))

    def votes(self, height: int, absent: Collection[bytes]) -> tuple[Vote, ...]:
        """Return the last commit that the block of that height carries, the first none."""
        voters = self.sets.get(height - 1, {})
        return tuple(
            [Vote(stake.address_of(key), voters[key], key not in absent) for key in voters]
        )

    def _tell(self, result: BlockResult) -> None:
        """Let CometBFT take over the updates, as strictly as it does."""
        told = dict(self.told)
        for each in result.validator_updates:
            assert told.get(each.public_key, 0) != each.power
            told[each.public_key] = each.power
        self.told = {key: power for key, power in told.items() if power}
        assert self.told
        assert sum(self.told.values()) < 2**60
        self.sets[self.height + SET_DELAY] = self.told

    def _replicate(self, context: BlockContext, txs: Sequence[bytes], result: BlockResult) -> None:
        request = _request(context, txs)
        answer = self.first.run(request)
        assert [each.code for each in answer.tx_results] == [each.code for each in result.outcomes]
        told = {each.pub_key.ed25519: each.power for each in answer.validator_updates}
        assert told == {each.public_key: each.power for each in result.validator_updates}
        self.requests.append(request)
        self.answers.append(answer)
        self.disks.append(self.first.store.held)
        if self.second:
            assert self.second.run(request) == answer

    def join(self, height: int) -> None:
        """Start a second replica from the first's data at that height, and let it catch up."""
        self.second = Replica(self.machine, self.disks[height])
        if not height:
            begun = beginning()
            self.second.node.init_chain(_init(begun, genesis.powers(begun)))
        for request, answer in zip(self.requests[height:], self.answers[height:], strict=True):
            assert self.second.run(request) == answer
        assert self.second.store.held == self.first.store.held

    def restart(self) -> None:
        """Kill the first replica and start it again."""
        self.first = Replica(self.machine, self.first.store.held if self.height else {})
        if not self.height:
            begun = beginning()
            self.first.node.init_chain(_init(begun, genesis.powers(begun)))

    def ahead(self, blocks: int) -> Iterator[BlockResult]:
        """Yield what empty blocks would do if nothing happened and no time went by."""
        state, set_ = self.state, self.sets[self.height + 1] if self.height else {}
        for height in range(self.height + 1, self.height + 1 + blocks):
            votes = tuple([Vote(stake.address_of(key), set_[key], True) for key in set_])
            context = BlockContext(CHAIN, Height(height), EpochMs(self.time), b"", votes)
            result = machine.run_block(MACHINE, state, Block(context, ()), {})
            state = state.after(result.writes)
            yield result

    def active(self) -> dict[bytes, int]:
        """Return the powers of those who vote, as the state has it."""
        return {each.consensus_key: each.power for each in active_set.load(self.state)}


def _powers(powers: Mapping[bytes, int]) -> tuple[machine.ValidatorPower, ...]:
    return tuple([machine.ValidatorPower(*each) for each in powers.items()])


def _init(begun: Beginning, powers: Mapping[bytes, int]) -> pb.RequestInitChain:
    return pb.RequestInitChain(
        time=_timestamp(START),
        chain_id=CHAIN,
        initial_height=1,
        validators=[
            pb.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)
            for key, power in powers.items()
        ],
        app_state_bytes=wrapped(genesis.SHAPE.encode(begun)),
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
    )


def _did(txs: Sequence[bytes], result: BlockResult) -> Iterator[Did]:
    for raw, outcome in zip(txs, result.outcomes, strict=True):
        if bundle.carried(raw) == (raw,):
            yield Did(raw, outcome.code, outcome.cost_used > 0, outcome.events)
            continue
        for each, told in zip(bundle.carried(raw), outcome.events, strict=True):
            assert isinstance(told, machine.Carried)
            yield Did(each, told.code, told.cost_used > 0, told.events)
