"""Votes in any order of events, against plain books of what everybody should have."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from abci_chat.state import ballots, decisions, proposals
from abci_chat.state.ballots import Choice
from abci_chat.state.proposals import Status
from abci_chat.txs import proposal
from abci_chat.txs.proposal import ProposeSpend
from dchat.kernel.ids import Amount, EpochMs
from tests.fakes.memory import ALICE, BOB, CAROL, Person
from tests.fakes.voting import DAVE, DEPOSIT, FEE, FUNDS, RULES, WEIGHTS, Assembly

VOTERS = (ALICE, BOB, CAROL)
PEOPLE = (*VOTERS, DAVE)
SPANS = (1, RULES.reveal_ms, RULES.voting_ms - 1, RULES.voting_ms)
voters = st.sampled_from(VOTERS)
choices = st.sampled_from([Choice.YES, Choice.NO, Choice.ABSTAIN, Choice.VETO])
numbers = st.integers(1, 3)
PAY = ProposeSpend("Pay bob", "", DEPOSIT, BOB.id, Amount(5))


class Votes(RuleBasedStateMachine):
    """Votes, their deposits and bonds, and what their voters weighed when they began."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Assembly()
        self.weighs = dict(WEIGHTS)
        self.snapshots: list[dict[Person, int]] = []
        self.decided: dict[int, Status] = {}
        self.fees = 0

    def settled(self) -> None:
        """Note what the last block has decided: it is decided once."""
        for number in range(1, len(self.snapshots) + 1):
            status = self.chain.status(number)
            assert self.decided.get(number, status) is status
            if status is not Status.OPEN:
                self.decided[number] = status

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule(who=st.sampled_from(PEOPLE))
    def propose(self, who: Person) -> None:
        counted = dict(self.weighs)
        outcome = self.chain.send(who, proposal.SPEND, PAY)
        self.fees += FEE
        assert outcome.code == 0 or not any(counted.values())
        if outcome.code == 0:
            self.snapshots.append(counted)
        self.settled()

    @rule(who=voters, weight=st.integers(0, 100))
    def weigh(self, who: Person, weight: int) -> None:
        self.chain.weigh(who, weight)
        self.weighs[who] = weight
        self.chain.block()
        self.settled()

    @rule(who=voters, choice=choices, number=numbers)
    def vote(self, who: Person, choice: Choice, number: int) -> None:
        self.chain.vote(who, choice, number)
        self.fees += FEE
        self.settled()

    @rule(who=voters, choice=choices, number=numbers)
    def hide(self, who: Person, choice: Choice, number: int) -> None:
        self.chain.hide(who, choice, number)
        self.fees += FEE
        self.settled()

    @rule(who=voters, choice=choices, number=numbers)
    def reveal(self, who: Person, choice: Choice, number: int) -> None:
        self.chain.reveal(who, choice, number)
        self.fees += FEE
        self.settled()

    @rule(span_ms=st.sampled_from(SPANS))
    def wait(self, span_ms: int) -> None:
        self.chain.reach(EpochMs(self.chain.now + span_ms))
        self.settled()

    @invariant()
    def every_credit_and_weight_is_where_the_records_say(self) -> None:
        self.chain.audit()

    @invariant()
    def nobody_counts_for_more_than_at_the_snapshot(self) -> None:
        for number, counted in enumerate(self.snapshots, 1):
            cast = dict(ballots.ballots(self.chain.state, number))
            assert all(cast[who.id].weight == counted[who] for who in VOTERS if who.id in cast)
            summed = ballots.tally(self.chain.state, number)
            assert summed.cast + summed.hidden == sum(each.weight for each in cast.values())
            assert self.chain.found(number).total_weight == sum(counted.values())

    @invariant()
    def what_was_decided_was_carried_out_once(self) -> None:
        found = [decisions.load(self.chain.state, at + 1) for at in range(self.made)]
        ordered = [each.proposal for each in found if each]
        executed = [at for at, status in self.decided.items() if status is Status.EXECUTED]
        assert sorted(ordered) == sorted(executed)

    @property
    def made(self) -> int:
        return decisions.count(self.chain.state)

    @invariant()
    def what_is_missing_was_burned(self) -> None:
        """Deposits of those that failed for want of votes, bonds of what nobody revealed."""
        held = sum(self.chain.balance(who.id) for who in PEOPLE) + sum(self.chain.pools())
        lost = [Status.VETOED, Status.SHORT_OF_QUORUM]
        deposits = DEPOSIT * sum(status in lost for status in self.decided.values())
        bonds = sum(
            ballot.bond
            for number in self.decided
            for _, ballot in ballots.ballots(self.chain.state, number)
        )
        assert held == len(PEOPLE) * FUNDS - self.fees - deposits - bonds

    @invariant()
    def proposals_are_counted(self) -> None:
        assert proposals.opening(self.chain.state).count == len(self.snapshots)


Votes.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestVotes = Votes.TestCase
