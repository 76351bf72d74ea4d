"""The chat chain as a whole, under any orders, proposers, deeds, times and votes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from abci_chat import keys
from abci_chat.hooks import maturing
from abci_chat.machine import FAMILIES
from abci_chat.state import audit, beacon, identities
from abci_chat.state.beacon import Phase
from dchat.kernel import bundle, due
from dchat.kernel.ids import EpochMs
from dchat.kernel.merkle.proof import Proof, verify
from dchat.kernel.refusals import REFUSALS
from dchat.node.proto import abci_pb2 as pb
from tests.fakes.community import SPAN_MS, Community, beginning
from tests.fakes.community_acts import acts
from tests.fakes.community_errands import ERRANDS, opening, ordered
from tests.fakes.community_purse import Purse
from tests.fakes.community_ring import Ring
from tests.fakes.community_rooms import Rooms
from tests.fakes.world import Deed, Made, nothing

seeds = st.integers(0, 2**32 - 1)
errands = st.lists(st.sampled_from(sorted(ERRANDS)), min_size=1, max_size=12)
spans = st.sampled_from([1, 1_000, 1_000, 5_000, 20_000, 60_000, SPAN_MS])
turns = st.integers(0, 3)


class Whole(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Community()
        self.purse, self.ring = Purse(beginning()), Ring()
        self.rooms = Rooms(self.ring, self.world.known)
        self.said: list[bytes] = []

    def block(
        self,
        *txs: bytes,
        after_ms: int = 1_000,
        turn: int = 0,
        withheld: int = 0,
        mask: int = 0,
        deed: Deed = nothing,
    ) -> Made:
        made = self.world.block(
            *txs, after_ms=after_ms, turn=turn, withheld=withheld, mask=mask, deed=deed
        )
        for did in made.did:
            assert did.code in {0, *REFUSALS}
        for act in acts(made):
            self.purse.enter(act)
            self.ring.enter(act)
            self.rooms.enter(act)
        self.ring.end()
        self.purse.pay(made)
        return made

    def signed(self, names: list[str], seed: int) -> list[bytes]:
        raws = [ordered(self.world, name, seed) for name in names]
        self.said = [*self.said, *raws][-20:]
        return raws

    @initialize()
    def some_register(self) -> None:
        self.block(*opening(self.world))

    @rule(names=errands, seed=seeds, span=spans, turn=turns, mask=st.integers(0, 15))
    def orders(self, names: list[str], seed: int, span: int, turn: int, mask: int) -> None:
        self.block(*self.signed(names, seed), after_ms=span, turn=turn, mask=mask)

    @rule(names=errands, more=errands, seed=seeds, span=spans, turn=turns)
    def orders_in_bundles(
        self, names: list[str], more: list[str], seed: int, span: int, turn: int
    ) -> None:
        raws, others = self.signed(names, seed), self.signed(more, seed)
        txs = (bundle.build(raws), others[0], bundle.build(others))
        self.block(*txs, after_ms=span, turn=turn)

    @precondition(lambda self: self.said)
    @rule(pick=st.integers(0, 99), harm=st.integers(0, 2_000))
    def a_stranger_repeats_and_harms(self, pick: int, harm: int) -> None:
        raw = self.said[pick % len(self.said)]
        at = harm % len(raw)
        harmed = raw[:at] + bytes([raw[at] ^ (1 + harm % 255)]) + raw[at + 1 :]
        made = self.block(raw, harmed)
        assert not made.did[1].admitted

    @rule(many=st.integers(1, 4), span=spans, turn=turns, withheld=st.integers(0, 3))
    def time_goes_by(self, many: int, span: int, turn: int, withheld: int) -> None:
        self.block(after_ms=span, turn=turn, withheld=withheld)
        for at in range(many):
            self.block(turn=turn + at, withheld=withheld)

    @rule(part=st.integers(0, 100))
    def a_replica_joins_and_the_first_restarts(self, part: int) -> None:
        self.world.join(self.world.height * part // 100)
        self.world.restart()

    @precondition(lambda self: self.ring.holders)
    @rule(pick=st.integers(0, 99), back=st.integers(0, 99))
    def a_stranger_audits_a_key_log(self, pick: int, back: int) -> None:
        """At any height there ever was, by proofs alone."""
        owner = sorted(self.ring.holders)[pick % len(self.ring.holders)]
        height = max(1, self.world.height - back)
        record = self.proved(keys.identity(owner), height)
        assert (record != b"") == (self.ring.holders[owner].log[0][2] <= height)
        if record:
            held = identities.IDENTITY.decode(record)
            head = identities.EMPTY_LOG
            for number in range(held.log_length):
                entry = identities.LOG_ENTRY.decode(
                    self.proved(keys.key_log(owner, number), height)
                )
                line = (entry.kind, entry.key, entry.height)
                assert line == self.ring.holders[owner].log[number]
                assert entry.previous == head
                head = identities.entry_hash(entry)
            assert head == held.log_head

    def proved(self, key: bytes, height: int) -> bytes:
        """Return what the first replica proves to be there at that height."""
        request = pb.RequestQuery(path=b"/store", data=key, height=height, prove=True)
        answer = self.world.first.node.query(request)
        (op,) = answer.proof_ops.ops
        root = self.world.app_hashes[height]
        verify(root, key, answer.value or None, Proof.decode(op.data))
        return answer.value

    @invariant()
    def every_credit_is_where_the_records_say(self) -> None:
        audit.check_invariants(self.world.state)
        self.purse.check(self.world.state, self.world.height)

    @invariant()
    def everybody_is_who_the_log_says(self) -> None:
        self.ring.check(self.world.state, sorted(self.world.seeds))

    @invariant()
    def channels_are_as_people_would_have_it(self) -> None:
        self.rooms.check(self.world.state)

    @invariant()
    def what_is_due_has_ended(self) -> None:
        left = list(due.pending(self.world.state, EpochMs(self.world.time)))
        assert len(left) < maturing.MOST_A_BLOCK
        assert not left

    @invariant()
    def an_idle_chain_idles(self) -> None:
        *_, last = self.world.ahead(4)
        waits = beacon.load_draw(self.world.state).phase is Phase.OPEN
        assert set(last.writes) <= ({keys.DRAW, keys.WORK} if waits else set())

    def teardown(self) -> None:
        self.world.join(self.world.height // 2)


def test_there_is_an_errand_for_every_family() -> None:
    assert set(ERRANDS) <= {each.name for each in FAMILIES.values()}


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=settings().max_examples // 3, stateful_step_count=25, deadline=None
)
