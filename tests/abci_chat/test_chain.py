"""The chat chain as a whole, under any orders, proposers, deeds, times and votes."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from abci_chat import keys
from abci_chat.hooks import maturing
from abci_chat.hooks.draws import SeedDrawn
from abci_chat.machine import FAMILIES
from abci_chat.state import audit, beacon, cases, identities, parameters, weights
from abci_chat.state import credits as credits_
from abci_chat.state.beacon import Phase, PreimageRevealed
from abci_chat.state.cases import JurorDrawn, Reason
from abci_chat.state.contents import Chain, Change, ParamsChange
from abci_chat.state.parameters import ParamsChanged
from abci_chat.state.targets import Kind, Target
from abci_chat.txs import beacon as bind
from abci_chat.txs import juror, proposal, report
from dchat.kernel import bundle, due
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.machine import BlockContext
from dchat.kernel.merkle.proof import Proof, verify
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from dchat.node.proto import abci_pb2 as pb
from tests.fakes.community import (
    ADDRESSES,
    LENGTH,
    OPERATORS,
    PEOPLE,
    SPAN_MS,
    Community,
    beginning,
    head_of,
)
from tests.fakes.community_acts import acts
from tests.fakes.community_council import Council
from tests.fakes.community_errands import (
    CONCERTS,
    ERRANDS,
    OPENING,
    THEMES,
    concerted,
    opening,
    ordered,
    signed,
)
from tests.fakes.community_names import Ordered, register
from tests.fakes.community_plots import PLOTS, can_be_set, plotted
from tests.fakes.community_purse import Purse
from tests.fakes.community_ring import Ring
from tests.fakes.community_rooms import Rooms
from tests.fakes.memory import Person
from tests.fakes.world import Deed, Made, nothing

seeds = st.integers(0, 2**32 - 1)
errands = st.sampled_from(THEMES).flatmap(
    lambda names: st.lists(st.sampled_from(names), min_size=1, max_size=12)
)
spans = st.sampled_from([1, 1_000, 1_000, 5_000, 20_000, 60_000, SPAN_MS])
turns = st.integers(0, 3)
CHOICES = {
    ("identities", "handle_release_ms"): (1_000, 60_000),
    ("identities", "max_devices"): (1, 3),
    ("identities", "guardian_delay_ms"): (40_000, 50_000),
    ("identities", "recovery_delay_ms"): (1_000, 20_000, 39_999),
    ("identities", "recovery_window_ms"): (40_000, SPAN_MS),
    ("work", "step"): (1, 4),
    ("channels", "deposit"): (0, 10_000),
    ("channels", "bumps_per_hour"): (2, 12, 100),
    ("channels", "succession_ms"): (1_000, 300_000),
    ("governance", "voting_ms"): (1_000, 60_000),
    ("governance", "reveal_ms"): (1_000, 30_000),
    ("governance", "ballot_bond"): (0, 5_000),
    ("governance", "quorum_bp"): (1, 3_340),
    ("moderation", "report_bond"): (0, 20_000),
    ("moderation", "jury_size"): (1, 3, 5),
    ("moderation", "verdict_ms"): (1_000, 60_000),
    ("moderation", "appeal_ms"): (1_000, 60_000),
    ("moderation", "absence_bp"): (0, 1, 5_000),
    ("moderation", "max_open_reports"): (1, 6),
    ("reputation", "fee_points"): (0, 1, 3),
    ("reputation", "trusted_points"): (1, 60, 10**6),
}
votes = st.sampled_from(
    [(section, name, value) for (section, name), most in CHOICES.items() for value in most]
)


class Whole(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Community()
        self.purse, self.ring = Purse(beginning()), Ring()
        self.rooms = Rooms(self.ring, self.world.known)
        self.council = Council(beginning(), self.purse)
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
        self.council.begin(made)
        for act in acts(made):
            self.council.enter(act)
            self.purse.enter(act)
            self.ring.enter(act)
            self.rooms.enter(act)
        self.ring.end()
        self.council.end(made)
        self.purse.pay(made)
        return made

    def signed(self, names: list[str], seed: int) -> list[bytes]:
        raws = [ordered(self.world, name, seed) for name in names]
        self.said = [*self.said, *raws][-20:]
        return raws

    def written(self, *orders: Ordered) -> list[bytes]:
        return [signed(self.world, each) for each in orders]

    @initialize(seed=seeds)
    def something_of_everything(self, seed: int) -> None:
        for number in range(len(OPENING) + 1):
            self.block(*opening(self.world, number, seed))
        self.block(after_ms=50_000)

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

    @rule(name=st.sampled_from(sorted(CONCERTS)), names=errands, seed=seeds, span=spans)
    def many_want_the_same(self, name: str, names: list[str], seed: int, span: int) -> None:
        together = concerted(self.world, name, seed)
        self.block(*together, *self.signed(names, seed), after_ms=span)

    @rule(plot=st.sampled_from(sorted(PLOTS)), names=errands, seed=seeds, noise=st.booleans())
    def some_are_after_something(
        self, plot: str, names: list[str], seed: int, *, noise: bool
    ) -> None:
        for txs, span in plotted(self.world, plot, seed):
            others = self.signed(names, seed) if noise else []
            self.block(*txs, *others, after_ms=span)

    @rule(who=st.sampled_from(PEOPLE), weight=st.integers(0, 60), names=errands, seed=seeds)
    def the_bridge_brings_weight_to_voters(
        self, who: Person, weight: int, names: list[str], seed: int
    ) -> None:
        """What is proposed in this very block does not count it yet."""
        rest = sum(each for key, each in self.council.weights.items() if key != who.id)
        weight = max(weight, not rest)

        def deed(draft: Draft, context: BlockContext) -> None:
            now, height = context.block_time_ms, context.height
            weights.set_weight(draft, who.id, weight, height, now)

        self.block(*self.signed(["propose_text", *names], seed), deed=deed)
        self.council.weights[who.id] = weight
        ((txs, _),) = plotted(self.world, "weigh", seed)
        self.block(*txs)

    @rule(who=st.sampled_from(PEOPLE), amount=st.integers(1, 3_000_000), comes=st.booleans())
    def the_bridge_brings_and_takes_credits(self, who: Person, amount: int, *, comes: bool) -> None:
        taken = Amount(0 if comes else min(amount, self.purse.liquid[who.id]))

        def deed(draft: Draft, _: BlockContext) -> None:
            if comes:
                credits_.mint(draft, who.id, Amount(amount))
            else:
                credits_.redeem(draft, who.id, taken)

        self.block(deed=deed)
        self.purse.issued += amount if comes else 0
        self.purse.burned += taken
        self.purse.liquid[who.id] += amount if comes else -taken

    @rule(voted=votes)
    def an_earlier_vote_changed_a_parameter(self, voted: tuple[str, str, int]) -> None:
        section, name, value = voted
        order = ParamsChange(Chain.CHAT, section, (Change(name, value),))

        def deed(draft: Draft, _: BlockContext) -> None:
            parameters.change(draft, order)

        if can_be_set(self.world, order):
            self.council.set(section, {name: value})
            self.block(deed=deed)

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
    def votes_and_cases_are_as_they_were_counted(self) -> None:
        self.council.check(self.world.state, self.world.time)

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
    assert set(ERRANDS) == {each.name for each in FAMILIES.values()}


def test_a_preimage_is_booked_as_the_block_carries_it_whatever_becomes_of_its_chain() -> None:
    """The last of a window: the next one has another chain, and a third comes in this block."""
    whole, operator, reporter = Whole(), OPERATORS[0], PEOPLE[5]
    whole.block(*whole.written(register(operator, Random(0))))
    whole.block(*whole.written(_reported(reporter, operator)))
    whole.block(*whole.written(_reported(reporter, operator)), turn=1)
    whole.block(*whole.written(_bound(operator, 2)), turn=2)

    made = whole.block(*whole.written(_bound(operator, 3)), turn=0)

    (event,) = made.result.outcomes[0].events
    held = beacon.load(made.after, ADDRESSES[0])
    assert event == PreimageRevealed(ADDRESSES[0], 1, LENGTH - 1)
    assert held
    assert held.link.number == 2
    assert [each.number for each in held.next] == [3]


def test_a_jury_is_given_the_time_that_was_in_force_when_it_was_drawn() -> None:
    """A vote that changes it is over in the same block, behind the draw."""
    whole, reported = Whole(), OPERATORS[0]
    change = (Change("verdict_ms", 90_000),)
    form = proposal.ProposeParams("More", "", Amount(50_000), Chain.CHAT, "moderation", change)
    jury = [Ordered(who, juror.JOIN, juror.JoinJury(Amount(30_000))) for who in PEOPLE[1:4]]
    whole.block(*whole.written(register(reported, Random(0)), *jury))
    whole.block(*whole.written(Ordered(PEOPLE[4], proposal.PARAMS, form)))
    ((votes, _),) = plotted(whole.world, "weigh", 0)
    whole.block(*votes, *whole.written(_reported(PEOPLE[5], reported)))
    whole.block(turn=1)
    whole.block(turn=2)

    made = whole.block(after_ms=60_000)

    told = {type(each) for each in made.result.events}
    assert {SeedDrawn, JurorDrawn, ParamsChanged} <= told
    assert cases.load(made.after, 1).ends_at == made.context.block_time_ms + 60_000


def _reported(who: Person, whom: Person) -> Ordered:
    form = report.Report(Target(Kind.ACCOUNT, whom.id), (), Reason.SPAM, bytes(32), Amount(20_000))
    return Ordered(who, report.REPORT, form)


def _bound(who: Person, number: int) -> Ordered:
    form = bind.CommitBeacon(ADDRESSES[0], head_of(0, number), LENGTH, number)
    return Ordered(who, bind.FAMILY, form)


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=settings().max_examples // 3, stateful_step_count=25, deadline=None
)
