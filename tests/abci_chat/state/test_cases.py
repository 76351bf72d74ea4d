"""Cases: reports, verdicts, appeals, and what becomes of bonds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat import keys
from abci_chat.params import MODERATION, REPUTATION
from abci_chat.state import cases, identities, jury, pools, roll
from abci_chat.state.cases import (
    CaseDecided,
    CaseOverturned,
    CaseSettled,
    JurorDrawn,
    NotAppealable,
    Phase,
    Ruling,
    UnknownCase,
)
from abci_chat.state.jury import JurorCharged
from abci_chat.txs import juror, report
from abci_chat.txs.juror import JoinJury
from dchat.kernel import accounts, due, supply
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.ids import Amount, Cost, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.court import (
    APPEAL_MS,
    BOND,
    CAROLS,
    FEE,
    FUNDS,
    JURORS,
    REPORT,
    REPORT_BOND,
    VERDICT_MS,
    Court,
    decided,
    reported,
    seated,
)
from tests.fakes.draws import ANNA, BERT, CLEO, Lottery
from tests.fakes.memory import ALICE, BOB, CAROL, FOUNDER, START, Person, give, signed
from tests.fakes.posting import identity_of

VERDICT_POINTS = REPUTATION.default.verdict_points
REPORT_POINTS = REPUTATION.default.report_points


def overturn(court: Court, number: int = 1) -> tuple[object, ...]:
    draft = court.draft()
    told = cases.overturn(draft, number, court.context())
    court.keep(draft)
    return told


def appeal(court: Court, until: int, number: int = 1) -> None:
    draft = court.draft()
    cases.appeal(draft, number, EpochMs(until), court.now)
    court.keep(draft)


def test_a_case_waits_for_its_seed_with_the_bond_in_the_pool() -> None:
    court = reported()

    assert (court.case().phase, court.case().ends_at) == (Phase.DRAWING, 0)
    assert court.pools()[0] == REPORT_BOND
    assert court.held(BOB.id) == FUNDS - FEE - REPORT_BOND
    court.audit()


def test_a_jury_is_drawn_by_the_seed_and_judges_for_a_while() -> None:
    court = reported()

    told = court.seat()

    case = court.case()
    assert (case.phase, len(case.jurors)) == (Phase.JUDGING, MODERATION.default.jury_size)
    assert case.ends_at == court.now + VERDICT_MS
    assert told == tuple(JurorDrawn(1, juror, case.ends_at) for juror in case.jurors)
    owed = {who.id: record.cases for who in JURORS if (record := court.juror(who))}
    assert {who for who, count in owed.items() if count} == set(case.jurors)


def test_another_case_has_another_jury_though_both_have_one_seed() -> None:
    court = reported()
    court.report()

    court.seat(1)
    court.seat(2)

    assert court.case(1).jurors != court.case(2).jurors


def test_reporter_and_reported_are_never_on_their_jury() -> None:
    court = Court(jurors=2)
    draft = court.draft()
    jury.bond(draft, BOB.id, Amount(FUNDS // 2), court.height)
    jury.bond(draft, CAROL.id, Amount(FUNDS // 2), court.height)
    court.keep(draft)
    court.report()

    court.seat()

    assert set(court.case().jurors) == {JURORS[0].id, JURORS[1].id}


def test_a_seed_is_used_once() -> None:
    court = seated()
    before = court.state.entries

    assert (court.seat(seed=b"x" * 32), court.state.entries) == ((), before)


def test_a_seed_for_no_case_is_refused() -> None:
    with pytest.raises(UnknownCase):
        reported().seat(2)


@pytest.mark.parametrize(
    ("said", "ruling"),
    [
        ((True,), Ruling.UPHELD),
        ((True, True, False), Ruling.UPHELD),
        ((False,), Ruling.DISMISSED),
        ((False, True, False), Ruling.DISMISSED),
        ((True, False), Ruling.UNDECIDED),
        ((), Ruling.UNDECIDED),
    ],
)
def test_most_of_the_verdicts_given_decide(said: tuple[bool, ...], ruling: Ruling) -> None:
    court = seated()
    court.judge(*said)

    told = court.block(VERDICT_MS)

    counts = said.count(True), said.count(False)
    assert told[0] == CaseDecided(1, ruling, *counts)
    assert (court.case().phase, court.case().ruling) == (Phase.DECIDED, ruling)
    assert court.marks() == ((1,) if ruling is Ruling.UPHELD else ())
    court.audit()


def test_nothing_is_decided_before_the_time_for_verdicts_is_over() -> None:
    court = seated()
    court.judge(*[True] * 7)

    assert court.block(VERDICT_MS - 1) == ()
    assert court.case().phase is Phase.JUDGING


def test_who_judged_in_time_has_done_a_deed_and_who_did_not_pays() -> None:
    court = seated()
    court.judge(True, False)

    told = court.block(VERDICT_MS)

    jurors = court.jurors()
    lost = BOND * MODERATION.default.absence_bp // 10_000
    assert [court.score(who) for who in jurors] == [VERDICT_POINTS] * 2 + [0] * 5
    assert told[1:] == tuple(JurorCharged(who.id, Amount(lost)) for who in jurors[2:])
    bonds = [court.juror(who) for who in jurors]
    assert [(each.bond, each.cases) for each in bonds if each] == [
        *[(BOND, 0)] * 2,
        *[(BOND - lost, 0)] * 5,
    ]
    court.audit()


def test_bonds_and_the_reporters_deed_wait_for_the_appeal() -> None:
    court = decided(True)

    assert (court.pools()[0], court.score(BOB)) == (REPORT_BOND, 0)
    assert court.block(APPEAL_MS - 1) == ()
    assert court.pools()[0] == REPORT_BOND


@pytest.mark.parametrize(
    ("said", "returned", "points"),
    [
        ((True,), REPORT_BOND, REPORT_POINTS),
        ((False,), 0, 0),
        ((True, False), REPORT_BOND, 0),
        ((), REPORT_BOND, 0),
    ],
)
def test_a_bond_is_returned_unless_the_report_was_dismissed(
    said: tuple[bool, ...], returned: int, points: int
) -> None:
    court = decided(*said)
    before, burned = court.held(BOB.id), supply.load(court.state).burned

    told = court.block(APPEAL_MS)

    lost = REPORT_BOND - returned
    assert told == (CaseSettled(1, court.case().ruling, Amount(returned), Amount(lost)),)
    assert court.held(BOB.id) - before == returned
    assert supply.load(court.state).burned - burned == lost
    assert (court.pools()[0], court.score(BOB)) == (0, points)
    assert (court.case().phase, court.case().ends_at) == (Phase.SETTLED, 0)
    court.audit()


def test_a_settled_case_keeps_its_record_and_no_verdicts() -> None:
    court = decided(True, False, True)
    court.block(APPEAL_MS)

    assert list(court.state.scan(keys.verdict(1, ALICE.id)[:10])) == []
    assert (court.case().uphold, court.case().dismiss, court.marks()) == (2, 1, (1,))


def test_a_case_is_settled_once() -> None:
    court = decided(True)
    court.block(APPEAL_MS)
    settled = court.held(BOB.id)
    draft = court.draft()
    due.put(draft, court.now, keys.case(1))
    court.keep(draft)

    assert (court.block(), court.held(BOB.id)) == ((), settled)


def test_a_second_report_that_is_upheld_marks_and_earns_nothing() -> None:
    court = reported()
    court.report(ALICE)
    court.seat(1)
    court.seat(2)
    court.judge(True, case=1)
    court.judge(True, case=2)
    court.block(VERDICT_MS)

    court.block(APPEAL_MS)

    assert (court.marks(), court.score(BOB), court.score(ALICE)) == ((1, 2), REPORT_POINTS, 0)


@pytest.mark.parametrize(
    ("said", "ruling", "returned", "points"),
    [
        ((True,), Ruling.DISMISSED, 0, 0),
        ((False,), Ruling.UPHELD, REPORT_BOND, REPORT_POINTS),
        ((), Ruling.UPHELD, REPORT_BOND, REPORT_POINTS),
    ],
)
def test_a_vote_reverses_mark_bond_and_deed(
    said: tuple[bool, ...], ruling: Ruling, returned: int, points: int
) -> None:
    court = decided(*said)
    before = court.held(BOB.id)

    told = overturn(court)
    court.block(APPEAL_MS)

    assert told == (CaseOverturned(1, ruling),)
    assert court.marks() == ((1,) if ruling is Ruling.UPHELD else ())
    assert (court.held(BOB.id) - before, court.score(BOB)) == (returned, points)
    court.audit()


def test_a_case_is_overturned_once() -> None:
    court = decided(True)
    overturn(court)

    with pytest.raises(NotAppealable):
        overturn(court)


@pytest.mark.parametrize("court", [reported, seated])
def test_what_is_not_decided_is_not_overturned(court: Callable[[], Court]) -> None:
    with pytest.raises(NotAppealable):
        overturn(court())


def test_what_is_settled_is_not_overturned() -> None:
    court = decided(True)
    court.block(APPEAL_MS)

    with pytest.raises(NotAppealable):
        overturn(court)


def test_an_appeal_keeps_the_case_open_until_it_is_decided() -> None:
    court = decided(True)
    until = court.now + 2 * APPEAL_MS
    appeal(court, until)

    told = court.block(APPEAL_MS), court.block(APPEAL_MS), court.block(1)

    assert [len(each) for each in told] == [0, 0, 1]
    court.audit()


def test_an_appeal_that_is_decided_sooner_does_not_hasten_the_case() -> None:
    court = decided(True)
    appeal(court, court.now + 1)

    assert court.block(APPEAL_MS - 1) == ()


def test_an_appeal_does_not_make_time_for_another_one() -> None:
    court = decided(True)
    appeal(court, court.now + 2 * APPEAL_MS)
    court.block(APPEAL_MS)

    with pytest.raises(NotAppealable):
        appeal(court, court.now + 3 * APPEAL_MS)


@pytest.mark.parametrize("number", [0, 2])
def test_there_is_no_appeal_against_no_case(number: int) -> None:
    with pytest.raises(UnknownCase):
        appeal(decided(True), START, number)


def test_a_juror_who_left_has_the_bond_back_with_the_last_verdict_owed() -> None:
    court = seated()
    who = court.jurors()[0]
    draft = court.draft()
    jury.leave(draft, who.id, court.height, court.now)
    court.keep(draft)
    court.set_rules(verdict_ms=1000)
    court.judge(True)
    before = court.held(who.id)

    court.block(VERDICT_MS)
    early = court.held(who.id)
    court.block(MODERATION.default.unbonding_ms)

    assert (early, court.held(who.id)) == (before, before + BOND)
    court.audit()


def test_without_jurors_a_report_comes_to_nothing_and_costs_nothing() -> None:
    court = Court(jurors=0)
    court.report()
    court.seat()
    court.block(VERDICT_MS)

    told = court.block(APPEAL_MS)

    assert told == (CaseSettled(1, Ruling.UNDECIDED, REPORT_BOND, Amount(0)),)
    assert roll.load(court.state).size == 0


def test_a_pool_that_is_not_the_bonds_is_found() -> None:
    court = reported()
    draft = court.draft()
    accounts.credit(draft, pools.REPORT_BONDS, Amount(1))
    court.keep(draft)

    with pytest.raises(InvariantBroken):
        cases.check_invariant(court.state)


def lottery() -> Lottery:
    """Return a chain whose validators owe preimages, on which alice is a juror and carol known."""
    chain = Lottery()
    draft = Draft(chain.state)
    jury.bond(draft, ALICE.id, BOND, Height(0))
    give(draft, FOUNDER.id, FUNDS)
    identities.save(draft, CAROL.id, identity_of(CAROL))
    chain.state = chain.state.after(draft.writes())
    return chain


def reporting(nonce: int = 0) -> bytes:
    """Return bob's report of carol."""
    body = report.REPORT.body(REPORT)
    return signed(BOB, body, nonce, fee=Amount(3000), cost_limit=Cost(3000))


def test_the_jury_is_drawn_once_the_validators_have_added_to_its_draw() -> None:
    chain = lottery()
    opened = chain.block(ANNA, reporting())
    assert opened.result.outcomes[0].code == 0

    told = [each.events for each in chain.blocks(BERT, CLEO, ANNA, BERT, CLEO)]

    drawn = [any(isinstance(each, JurorDrawn) for each in events) for events in told]
    assert drawn == [False, False, False, True, False]
    assert cases.load(chain.state, 1).jurors == (ALICE.id,)


def test_who_joins_while_the_validators_add_to_a_draw_is_on_the_next_jury() -> None:
    chain = lottery()
    chain.block(ANNA, reporting())
    chain.blocks(BERT, CLEO)
    chain.block(ANNA, signed(FOUNDER, juror.JOIN.body(JoinJury(BOND))))
    chain.block(BERT, reporting(1))

    chain.blocks(CLEO, ANNA, BERT, CLEO)

    juries = [set(cases.load(chain.state, number).jurors) for number in (1, 2)]
    assert juries == [{ALICE.id}, {ALICE.id, FOUNDER.id}]
    jury.check_invariant(chain.state)


class Courts(RuleBasedStateMachine):
    """Whatever is reported, judged and appealed, bonds are conserved and each case settles once."""

    def __init__(self) -> None:
        super().__init__()
        self.court = Court()
        self.settled: dict[int, CaseSettled] = {}

    @property
    def drawing(self) -> list[int]:
        numbers = range(1, cases.count(self.court.state) + 1)
        return [at for at in numbers if self.court.case(at).phase is Phase.DRAWING]

    @rule(who=st.sampled_from([ALICE, BOB, *JURORS[:2]]))
    def report(self, who: Person) -> None:
        self.court.report(who, replace(REPORT, target=CAROLS))

    @rule(seed=st.binary(min_size=32, max_size=32))
    def seat(self, seed: bytes) -> None:
        for number in self.drawing[:1]:
            self.court.seat(number, seed)

    @rule(number=st.integers(1, 6), said=st.lists(st.booleans(), max_size=7))
    def judge(self, number: int, said: list[bool]) -> None:
        if number <= cases.count(self.court.state):
            self.court.judge(*said, case=number)

    @rule(span=st.sampled_from([1, VERDICT_MS, APPEAL_MS]))
    def go_on(self, span: int) -> None:
        for told in self.court.block(span):
            if isinstance(told, CaseSettled):
                assert told.case not in self.settled
                assert told.returned + told.burned == REPORT_BOND
                self.settled[told.case] = told

    @rule(number=st.integers(1, 6), step=st.sampled_from(["overturn", "appeal"]))
    def appeal(self, number: int, step: str) -> None:
        try:
            if step == "overturn":
                overturn(self.court, number)
            else:
                appeal(self.court, self.court.now + APPEAL_MS, number)
        except TxRejected as refusal:
            assert isinstance(refusal, NotAppealable | UnknownCase)  # noqa: PT017 -- a rule, no test

    @rule(at=st.integers(0, len(JURORS) - 1))
    def leave_or_join(self, at: int) -> None:
        draft, who = self.court.draft(), JURORS[at].id
        record = jury.load(draft, who)
        if record is None:
            jury.bond(draft, who, BOND, self.court.height)
        elif not record.leaves_at:
            jury.leave(draft, who, self.court.height, self.court.now)
        self.court.keep(draft)

    @invariant()
    def everything_agrees(self) -> None:
        self.court.audit()

    @invariant()
    def a_mark_names_the_cases_upheld(self) -> None:
        numbers = range(1, cases.count(self.court.state) + 1)
        upheld = {at for at in numbers if self.court.case(at).ruling is Ruling.UPHELD}
        assert set(self.court.marks()) <= upheld
        assert len(self.court.marks()) == min(len(upheld), 16)

    @invariant()
    def what_waits_is_counted(self) -> None:
        waiting = (Phase.DRAWING, Phase.JUDGING)
        found = [self.court.case(at) for at in range(1, cases.count(self.court.state) + 1)]
        open_ = [case.reporter for case in found if case.phase in waiting]
        people = [ALICE, BOB, *JURORS[:2]]
        counted = [cases.waiting(self.court.state, who.id) for who in people]
        assert counted == [open_.count(who.id) for who in people]


TestCourts = Courts.TestCase
TestCourts.settings = settings(max_examples=settings().max_examples // 2)
