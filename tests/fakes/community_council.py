"""Plain books of votes and what they ordered, of reports and juries, and of preimages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from abci_chat import keys, params
from abci_chat.genesis import Beginning
from abci_chat.hooks.draws import SeedDrawn
from abci_chat.state import (
    ballots,
    beacon,
    cases,
    decisions,
    jury,
    parameters,
    proposals,
    roll,
    targets,
)
from abci_chat.state.ballots import Choice
from abci_chat.state.beacon import PreimageRevealed
from abci_chat.state.cases import (
    CaseDecided,
    CaseOverturned,
    CaseSettled,
    JurorDrawn,
    Phase,
    Ruling,
)
from abci_chat.state.execution import DecisionMade, ProposalDecided
from abci_chat.state.jury import JurorCharged, JurorLeft
from abci_chat.state.parameters import ParamsChanged
from abci_chat.state.proposals import Kind, Status
from abci_chat.state.reputation import Deed
from abci_chat.state.targets import Target
from abci_chat.state.upgrades import UpgradeCancelled, UpgradePlanned
from abci_chat.txs.ballot import BallotCast, BallotCommitted
from abci_chat.txs.juror import JurorBonded, JurorLeaves
from abci_chat.txs.proposal import ProposalOpened
from abci_chat.txs.report import Reported
from abci_chat.txs.verdict import Judged
from dchat.kernel.ids import AccountId
from tests.fakes.community import ADDRESSES
from tests.fakes.community_acts import Act
from tests.fakes.community_purse import Purse
from tests.fakes.memory import CHAIN, MemoryState
from tests.fakes.world import Made

Weights = dict[AccountId, int]


@dataclass
class Vote:
    """Something that is voted on, as somebody writes it down who reads all blocks."""

    kind: Kind
    weights: Weights
    rules: params.Governance
    ends_at: int
    reveals_until: int
    form: object
    cast: dict[AccountId, Choice] = field(default_factory=dict[AccountId, Choice])
    status: Status = Status.OPEN
    waits: bool = False
    """Somebody revealed, so private ballots there were when voting ended."""

    def due_at(self) -> int:
        """Return when it is decided."""
        hides = self.waits or Choice.HIDDEN in self.cast.values()
        return self.reveals_until if hides else self.ends_at

    def verdict(self) -> set[Status]:
        """Return what can become of it by the ballots that count."""
        sums: Counter[Choice] = Counter()
        for who, choice in self.cast.items():
            sums[choice] += self.weights[who]
        del sums[Choice.HIDDEN]
        said = sums.total()
        total, basis = sum(self.weights.values()), params.BASIS_POINTS
        if not said or Fraction(said, total) < Fraction(self.rules.quorum_bp, basis):
            return {Status.SHORT_OF_QUORUM}
        if Fraction(sums[Choice.VETO], said) >= Fraction(self.rules.veto_bp, basis):
            return {Status.VETOED}
        judged = said - sums[Choice.ABSTAIN]
        bound = Fraction(self.rules.threshold_bp, basis)
        if not judged or Fraction(sums[Choice.YES], judged) <= bound:
            return {Status.REJECTED}
        return {Status.EXECUTED, Status.FAILED}


@dataclass
class Report:
    """A case, as somebody writes it down who reads all blocks."""

    reporter: AccountId
    target: Target
    roll: frozenset[AccountId]
    """Who can be drawn: as it was behind the block that opened it."""
    jurors: list[AccountId] = field(default_factory=list[AccountId])
    said: dict[AccountId, bool] = field(default_factory=dict[AccountId, bool])
    ruling: Ruling = Ruling.PENDING
    phase: Phase = Phase.DRAWING
    overturned: bool = False
    until: int = 0


class Council:
    """All votes, cases, jurors and draws."""

    def __init__(self, begun: Beginning, purse: Purse) -> None:
        self.purse = purse
        self.weights: Weights = {each.account: each.weight for each in begun.voters}
        self.standing: Weights = dict(self.weights)
        """As they were when the block began."""
        self.votes: dict[int, Vote] = {}
        self.rules: dict[str, Any] = {name: getattr(begun.rules, name) for name in params.SECTIONS}
        """What is in force, also between two hooks of a block."""
        self.decisions: list[int] = []
        self.executed: list[int] = []
        self.cases: dict[int, Report] = {}
        self.opened: list[int] = []
        """Cases of this block."""
        self.jurors: Counter[AccountId] = Counter()
        self.leaving: dict[AccountId, int] = {}
        self.marks: dict[Target, list[int]] = {}
        self.revealed: list[tuple[bytes, bytes]] = []
        """Validator and preimage, of the window that is open."""
        self.seeds: Counter[bytes] = Counter()

    def begin(self, made: Made) -> None:
        """Take in what the proposer of a block contributed."""
        self.standing = dict(self.weights)
        for event in made.result.outcomes[0].events if made.result.outcomes else ():
            if isinstance(event, PreimageRevealed):
                before = beacon.load(made.before, event.validator)
                assert before is not None
                assert event.validator == made.context.proposer
                link = beacon.current(before, beacon.load_draw(made.before).window)
                assert beacon.after(made.contributed) == link.head
                assert event.left == link.left - 1
                self.revealed.append((event.validator, made.contributed))

    def enter(self, act: Act) -> None:
        """Book what happened to a vote, a case or a draw."""
        self._vote(act)
        self._order(act)
        self._report(act)
        self._juror(act)
        if isinstance(act.event, SeedDrawn):
            self._draw(act, act.event)

    def _vote(self, act: Act) -> None:
        match act.event:
            case ProposalOpened(number, _, kind, __, ends_at, reveals_until):
                assert number == len(self.votes) + 1
                rules = params.GOVERNANCE.load(act.rules)
                assert ends_at == act.now + rules.voting_ms
                weights = dict(self.standing)
                self.votes[number] = Vote(kind, weights, rules, ends_at, reveals_until, act.form)
            case BallotCommitted(number, voter, _, weight):
                vote = self._open(number, voter, weight)
                assert act.now < vote.ends_at
                assert vote.cast.get(voter, Choice.HIDDEN) is Choice.HIDDEN
                vote.cast[voter] = Choice.HIDDEN
            case BallotCast(number, voter, choice, weight):
                vote = self._open(number, voter, weight)
                hidden = vote.cast.get(voter) is Choice.HIDDEN
                assert act.now < vote.ends_at or (hidden and act.now < vote.reveals_until)
                vote.waits = vote.waits or act.now >= vote.ends_at
                if hidden or voter not in vote.cast:
                    points = 1000 * params.REPUTATION.load(act.rules).vote_points
                    self.purse.count(voter, Deed.BALLOT, points, act.height, act.rules)
                vote.cast[voter] = choice
            case ProposalDecided(number, status, code):
                vote = self.votes[number]
                assert vote.status is Status.OPEN
                assert vote.due_at() <= act.now
                assert status in vote.verdict()
                assert (code > 0) == (status is Status.FAILED)
                vote.status = status
            case _:
                pass

    def _open(self, number: int, voter: AccountId, weight: int) -> Vote:
        vote = self.votes[number]
        assert vote.status is Status.OPEN
        assert 0 < weight == vote.weights.get(voter, 0)
        return vote

    def _order(self, act: Act) -> None:
        """Book what a vote ordered, right behind that it was decided."""
        event = act.event
        if isinstance(event, ProposalDecided):
            self._executes = event.proposal if event.status is Status.EXECUTED else 0
        if isinstance(event, ParamsChanged | DecisionMade | UpgradePlanned | UpgradeCancelled):
            self._executed()
        match event:
            case ParamsChanged(section, changes):
                self.set(section, {each.name: each.value for each in changes})
            case DecisionMade(number, decision):
                self.decisions.append(number)
                assert decision == len(self.decisions)
            case CaseOverturned(number, ruling):
                self._executed()
                self._overturn(number, ruling)
            case _:
                pass

    _executes = 0

    def _executed(self) -> None:
        assert self._executes not in self.executed
        assert self._executes
        self.executed.append(self._executes)

    def set(self, section: str, changes: Mapping[str, int]) -> None:
        """Book that other parameters are in force."""
        if section in self.rules:
            self.rules[section] = replace(self.rules[section], **changes)

    def _overturn(self, number: int, ruling: Ruling) -> None:
        case = self.cases[number]
        assert case.phase is Phase.DECIDED
        assert not case.overturned
        assert ruling is (Ruling.DISMISSED if case.ruling is Ruling.UPHELD else Ruling.UPHELD)
        case.ruling, case.overturned = ruling, True
        self._mark(number, case)

    def _mark(self, number: int, case: Report) -> None:
        marks = self.marks.setdefault(case.target, [])
        if case.ruling is Ruling.UPHELD:
            marks.append(number)
        elif number in marks:
            marks.remove(number)

    def _report(self, act: Act) -> None:
        match act.event:
            case Reported(number, reporter):
                assert number == len(self.cases) + 1
                self.cases[number] = Report(reporter, act.form.target, frozenset())
                self.opened.append(number)
            case JurorDrawn(number, juror, until):
                case = self.cases[number]
                assert case.phase is Phase.DRAWING or case.until == until
                assert juror not in {case.reporter, *case.jurors}
                case.jurors.append(juror)
                case.phase, case.until = Phase.JUDGING, until
            case Judged(number, juror, upholds):
                case = self.cases[number]
                assert (juror, case.phase) == (act.who, Phase.JUDGING)
                assert juror in case.jurors
                assert juror not in case.said
                assert act.now < case.until
                case.said[juror] = upholds
            case CaseDecided(number, ruling):
                self._decide(act, number, ruling)
            case CaseSettled(number, ruling):
                self._settle(act, number, ruling)
            case _:
                pass

    def _decide(self, act: Act, number: int, ruling: Ruling) -> None:
        case = self.cases[number]
        assert case.phase is Phase.JUDGING
        assert case.until <= act.now
        upheld = sum(case.said.values())
        dismissed = len(case.said) - upheld
        won = Ruling.UPHELD if upheld > dismissed else Ruling.DISMISSED
        assert ruling is (Ruling.UNDECIDED if upheld == dismissed else won)
        case.ruling, case.phase = ruling, Phase.DECIDED
        self._mark(number, case)
        points = 1000 * self.rules["reputation"].verdict_points
        for juror in case.said:
            self.purse.count(juror, Deed.VERDICT, points, act.height, act.rules)

    def _settle(self, act: Act, number: int, ruling: Ruling) -> None:
        case = self.cases[number]
        assert (case.phase, case.ruling) == (Phase.DECIDED, ruling)
        case.phase = Phase.SETTLED
        if ruling is Ruling.UPHELD and self.marks[case.target][:1] == [number]:
            points = 1000 * self.rules["reputation"].report_points
            self.purse.count(case.reporter, Deed.REPORT_UPHELD, points, act.height, act.rules)

    def _juror(self, act: Act) -> None:
        match act.event:
            case JurorBonded(juror, bond):
                assert juror not in self.leaving
                assert bond >= params.MODERATION.load(act.rules).juror_bond
                self.jurors[juror] += act.form.amount
                assert self.jurors[juror] == bond
            case JurorLeaves(juror, leaves_at):
                assert juror in self.jurors
                self.leaving[juror] = leaves_at
            case JurorCharged(juror, lost):
                self.jurors[juror] -= lost
            case JurorLeft(juror, bond):
                assert self.jurors.pop(juror) == bond
                assert self.leaving.pop(juror) <= act.now
            case _:
                pass

    def _draw(self, act: Act, event: SeedDrawn) -> None:
        """Return if the seed is made of enough preimages that came after it was asked for."""
        self.seeds[event.entry] += 1
        digest = beacon.EMPTY_HEAD
        for address, preimage in self.revealed:
            assert address in ADDRESSES
            digest = beacon.with_preimage(digest, address, preimage)
        assert event.seed == beacon.seed_of(CHAIN, event.window, digest, event.entry)
        assert len(self.revealed) >= 2
        number = next(at for at in self.cases if keys.case(at) == event.entry)
        assert self.cases[number].phase is Phase.DRAWING
        self.cases[number].phase = Phase.JUDGING
        self.cases[number].until = act.now + self.rules["moderation"].verdict_ms

    def end(self, made: Made) -> None:
        """Forget the preimages of a window that is over; note who is on the roll."""
        draws = [each for each in made.result.events if isinstance(each, SeedDrawn)]
        if draws:
            self.revealed = []
        for number in self.opened:
            self.cases[number].roll = frozenset(self.jurors) - frozenset(self.leaving)
        self.opened = []

    def check(self, state: MemoryState, now: int) -> None:
        """Return if the state has these votes, cases and jurors, and nothing is overdue."""
        self._check_votes(state, now)
        self._check_cases(state, now)
        assert set(self.seeds.values()) <= {1}
        for who in self.jurors:
            record = jury.load(state, who)
            assert record is not None
            assert record.bond == self.jurors[who]
            assert record.leaves_at == self.leaving.get(who, 0)
            waits = [case for case in self.cases.values() if case.phase is Phase.JUDGING]
            assert record.cases == sum(who in case.jurors for case in waits)
            assert record.cases or not record.leaves_at or record.leaves_at > now
        total = sum(weight for _, weight in roll.members(state))
        assert roll.load(state).total == total

    def _check_votes(self, state: MemoryState, now: int) -> None:
        assert proposals.opening(state).count == len(self.votes)
        for number, vote in self.votes.items():
            assert proposals.load(state, number).status is vote.status
            found = dict(ballots.ballots(state, number))
            assert {who: each.choice for who, each in found.items()} == vote.cast
            assert all(each.weight == vote.weights[who] for who, each in found.items())
            assert vote.status is not Status.OPEN or now < vote.due_at()
        assert decisions.count(state) == len(self.decisions)
        orders = [at for at, vote in self.votes.items() if vote.status is Status.EXECUTED]
        silent = [at for at in orders if self.votes[at].kind in {Kind.TEXT}]
        spent = [at for at in orders if self.votes[at].kind is Kind.SPEND]
        assert set(spent) <= set(self.decisions)
        assert sorted([*self.executed, *silent]) == orders
        for name, section in params.SECTIONS.items():
            assert section.load(state) == self.rules[name]
        parameters.check_together(state)

    def _check_cases(self, state: MemoryState, now: int) -> None:
        assert cases.count(state) == len(self.cases)
        for number, case in self.cases.items():
            record = cases.load(state, number)
            assert (record.phase, record.ruling) == (case.phase, case.ruling)
            assert list(record.jurors) == case.jurors
            assert set(case.jurors) <= case.roll
            assert case.phase not in {Phase.JUDGING, Phase.DECIDED} or record.ends_at > now
            assert case.phase is not Phase.JUDGING or record.ends_at == case.until
        for target, marks in self.marks.items():
            assert list(targets.marks(state, target)) == marks[: targets.MAX_MARKS]
