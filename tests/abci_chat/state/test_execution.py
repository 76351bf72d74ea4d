from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys, params
from abci_chat.params import BASIS_POINTS
from abci_chat.state import cases, decisions, execution, upgrades
from abci_chat.state.ballots import Choice, Tally
from abci_chat.state.cases import CaseOverturned, NotAppealable, Ruling
from abci_chat.state.contents import PARAMS, SPEND, Change, ParamsChange, Spend
from abci_chat.state.decisions import Decision
from abci_chat.state.execution import DecisionMade, ProposalDecided
from abci_chat.state.parameters import ParamsChanged
from abci_chat.state.proposals import Kind, Proposal, Status, Terms
from abci_chat.state.upgrades import DecidedUpgrade, UpgradePlanned, UpgradeTooSoon
from abci_chat.txs import proposal
from dchat.kernel import due
from dchat.kernel.due import Due
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from tests.abci_chat.txs.test_proposal import APPEAL, LONGER, PAY, PLAN, SHORTER
from tests.fakes.appeals import CASE, decided
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person
from tests.fakes.voting import (
    BOND,
    DAVE,
    DEPOSIT,
    ENDS_AT,
    FEE,
    FUNDS,
    REVEALS_UNTIL,
    Assembly,
    opened,
)

YES, NO, ABSTAIN, VETO = Choice.YES, Choice.NO, Choice.ABSTAIN, Choice.VETO


def voted(quorum: int, threshold: int, veto: int, total: int = 10_000) -> Proposal:
    """A proposal under these rules."""
    return Proposal(
        *(Kind.TEXT, DAVE.id, "title", "", b"", DEPOSIT, Height(1), total),
        Terms(BOND, quorum, threshold, veto),
        *(ENDS_AT, REVEALS_UNTIL),
    )


@pytest.mark.parametrize(
    ("summed", "status"),
    [
        (Tally(), Status.SHORT_OF_QUORUM),
        (Tally(yes=3339), Status.SHORT_OF_QUORUM),
        (Tally(yes=3340), Status.EXECUTED),
        (Tally(abstain=3339, yes=1), Status.EXECUTED),
        (Tally(hidden=6660, yes=3339), Status.SHORT_OF_QUORUM),
        (Tally(abstain=10_000), Status.REJECTED),
        (Tally(yes=2000, no=2000), Status.REJECTED),
        (Tally(yes=2001, no=2000), Status.EXECUTED),
        (Tally(yes=2001, no=1999, veto=2), Status.REJECTED),
        (Tally(yes=2003, no=2000, veto=2), Status.EXECUTED),
        (Tally(yes=6661, veto=3339), Status.EXECUTED),
        (Tally(yes=6660, veto=3340), Status.VETOED),
        (Tally(veto=3339), Status.SHORT_OF_QUORUM),
        (Tally(veto=3340), Status.VETOED),
    ],
)
def test_a_verdict_holds_whole_shares_against_each_other(summed: Tally, status: Status) -> None:
    assert execution.verdict(voted(3340, 5000, 3340), summed) is status


@pytest.mark.parametrize(
    ("yes", "status"), [(1, Status.SHORT_OF_QUORUM), (2, Status.EXECUTED), (3, Status.EXECUTED)]
)
def test_a_share_of_few_is_not_rounded_in_favour(yes: int, status: Status) -> None:
    assert execution.verdict(voted(3340, 5000, 3340, total=5), Tally(yes=yes)) is status


weights = st.integers(0, 2**64 - 1)


@given(weights, weights, weights, weights)
def test_no_minority_of_those_for_and_against_decides(
    yes: int, no: int, abstain: int, veto: int
) -> None:
    summed = Tally(yes, no, abstain, veto)
    ended = execution.verdict(voted(1, 5000, BASIS_POINTS, total=1), summed)

    assert (ended is Status.EXECUTED) == (2 * yes > yes + no + veto)


def test_an_opinion_that_has_the_votes_is_on_record_and_its_deposit_goes_back() -> None:
    chain = opened()

    told = chain.pass_vote()

    assert told == (ProposalDecided(1, Status.EXECUTED, 0, Amount(0)),)
    assert (chain.balance(DAVE.id), chain.pools()) == (FUNDS - FEE, (0, 0))
    assert (chain.status(), chain.found().decided_at) == (Status.EXECUTED, chain.height - 1)
    chain.audit()


def test_a_vote_is_not_over_a_millisecond_early() -> None:
    chain = opened()
    chain.vote(ALICE, YES)

    told = chain.reach(EpochMs(ENDS_AT - 1))

    assert (told, chain.status()) == ((), Status.OPEN)


def test_a_rejected_proposal_has_its_deposit_back() -> None:
    chain = opened()
    chain.vote(ALICE, NO)

    chain.reach(ENDS_AT)

    assert (chain.status(), chain.balance(DAVE.id)) == (Status.REJECTED, FUNDS - FEE)
    chain.audit()


@pytest.mark.parametrize(
    ("who", "choice", "status"),
    [(ALICE, VETO, Status.VETOED), (CAROL, YES, Status.SHORT_OF_QUORUM)],
)
def test_a_deposit_is_burned(who: Person, choice: Choice, status: Status) -> None:
    chain = opened()
    chain.vote(who, choice)

    told = chain.reach(ENDS_AT)

    assert told == (ProposalDecided(1, status, 0, DEPOSIT),)
    assert (chain.balance(DAVE.id), chain.pools()[0]) == (FUNDS - FEE - DEPOSIT, 0)
    chain.audit()


def test_private_ballots_put_the_decision_off_until_they_could_be_revealed() -> None:
    chain = opened()
    chain.vote(ALICE, YES)
    chain.hide(BOB, NO)

    at_end = chain.reach(ENDS_AT)
    told = chain.reach(REVEALS_UNTIL)

    assert (at_end, told) == ((), (ProposalDecided(1, Status.EXECUTED, 0, BOND),))


def test_a_chain_that_slept_through_both_times_decides_at_once() -> None:
    chain = opened()
    chain.vote(ALICE, YES)
    chain.hide(BOB, NO)

    told = chain.reach(EpochMs(REVEALS_UNTIL + 5))

    assert told == (ProposalDecided(1, Status.EXECUTED, 0, BOND),)


def test_what_nobody_revealed_is_burned_and_does_not_count() -> None:
    chain = opened()
    chain.hide(ALICE, YES)
    chain.hide(BOB, YES)
    chain.reach(ENDS_AT)
    chain.reveal(BOB, YES)

    told = chain.reach(REVEALS_UNTIL)

    assert told == (ProposalDecided(1, Status.SHORT_OF_QUORUM, 0, Amount(BOND + DEPOSIT)),)
    assert (chain.balance(ALICE.id), chain.balance(BOB.id)) == (FUNDS - FEE - BOND, FUNDS - 2 * FEE)
    chain.audit()


def test_private_ballots_decide_once_they_are_revealed() -> None:
    chain = opened()
    chain.hide(ALICE, YES)
    chain.hide(BOB, NO)
    chain.reach(ENDS_AT)
    chain.reveal(ALICE, YES)
    chain.reveal(BOB, NO)

    chain.reach(REVEALS_UNTIL)

    assert (chain.status(), chain.pools()) == (Status.EXECUTED, (0, 0))
    chain.audit()


def test_a_parameter_change_is_in_force_from_the_block_that_decides() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.PARAMS, SHORTER)

    told = chain.pass_vote()

    assert told[1:] == (ParamsChanged("governance", (Change("voting_ms", 5000),)),)
    assert params.GOVERNANCE.load(chain.state) == replace(params.GOVERNANCE.default, voting_ms=5000)


def test_a_change_for_the_currency_chain_is_a_decision_for_the_bridge() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.PARAMS, LONGER)

    told = chain.pass_vote()

    order = PARAMS.encode(ParamsChange(LONGER.chain, "staking", LONGER.changes))
    decided_at = chain.found().decided_at
    assert told[1:] == (DecisionMade(1, 1),)
    assert decisions.load(chain.state, 1) == Decision(Kind.PARAMS, 1, order, decided_at)


def test_a_spend_is_a_decision_for_the_bridge() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.SPEND, PAY)

    chain.pass_vote()

    paid = SPEND.encode(Spend(BOB.id, Amount(5)))
    decided_at = chain.found().decided_at
    assert decisions.load(chain.state, 1) == Decision(Kind.SPEND, 1, paid, decided_at)


def test_decisions_are_numbered_without_gaps_though_votes_fail() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.SPEND, PAY)
    chain.propose()
    chain.send(DAVE, proposal.SPEND, PAY)
    chain.vote(ALICE, YES, 1)
    chain.vote(ALICE, YES, 3)

    chain.reach(ENDS_AT)

    made = [decisions.load(chain.state, number) for number in (1, 2)]
    assert [each and each.proposal for each in made] == [1, 3]
    assert decisions.count(chain.state) == 2


def test_an_upgrade_plan_is_kept_with_where_it_comes_from() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.UPGRADE, PLAN)

    told = chain.pass_vote()

    found = upgrades.load(chain.state)
    assert told[1:] == (UpgradePlanned("v2", Height(2000), Height(3000)),)
    assert isinstance(found, DecidedUpgrade)
    assert (found.plan.binaries, found.proposal) == (PLAN.binaries, 1)


def test_an_upgrade_that_comes_too_soon_by_now_fails_and_changes_nothing() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.UPGRADE, PLAN)
    chain.height = Height(1900)

    told = chain.pass_vote()

    assert told == (ProposalDecided(1, Status.FAILED, UpgradeTooSoon.code, Amount(0)),)
    assert (chain.found().code, upgrades.load(chain.state)) == (UpgradeTooSoon.code, None)
    assert chain.balance(DAVE.id) == FUNDS - FEE
    chain.audit()


def test_a_change_that_fits_no_more_fails_and_writes_nothing_of_it() -> None:
    chain = Assembly()
    bond = (Change("ballot_bond", DEPOSIT),)
    lower = (Change("deposit", BOND),)
    chain.send(DAVE, proposal.PARAMS, replace(SHORTER, changes=bond))
    chain.send(DAVE, proposal.PARAMS, replace(SHORTER, changes=lower))
    chain.vote(ALICE, YES, 1)
    chain.vote(ALICE, YES, 2)

    chain.reach(ENDS_AT)

    assert (chain.status(1), chain.status(2)) == (Status.EXECUTED, Status.FAILED)
    assert chain.found(2).code == ParameterOutOfBounds.code
    assert params.GOVERNANCE.load(chain.state).deposit == DEPOSIT


def test_an_appeal_reverses_the_ruling_though_its_time_has_passed() -> None:
    chain = decided()
    chain.send(DAVE, proposal.APPEAL, APPEAL)
    chain.vote(ALICE, YES)
    chain.hide(BOB, YES)
    chain.reach(ENDS_AT)

    told = chain.reach(REVEALS_UNTIL)

    assert told[1:] == (CaseOverturned(CASE, Ruling.DISMISSED),)
    assert cases.load(chain.state, CASE).ruling is Ruling.DISMISSED


def test_the_second_appeal_of_one_case_fails() -> None:
    chain = decided()
    chain.send(DAVE, proposal.APPEAL, APPEAL)
    chain.send(DAVE, proposal.APPEAL, APPEAL)
    chain.vote(ALICE, YES, 1)
    chain.vote(ALICE, YES, 2)

    chain.reach(ENDS_AT)

    assert (chain.status(2), chain.found(2).code) == (Status.FAILED, NotAppealable.code)


def test_what_was_decided_is_not_decided_again() -> None:
    chain = Assembly()
    chain.send(DAVE, proposal.SPEND, PAY)
    chain.pass_vote()
    draft, key = chain.draft(), keys.proposal(1)
    context = BlockContext(CHAIN, chain.height, chain.now)

    again = execution.end(draft, key, Due(due.key(chain.now, key), chain.now, key), context)

    assert (again, draft.writes()) == ((), {})


def test_nothing_is_left_in_the_queue_once_a_vote_is_decided() -> None:
    chain = opened()
    chain.hide(ALICE, YES)
    chain.reach(ENDS_AT)
    chain.reach(REVEALS_UNTIL)

    assert list(due.pending(chain.state, EpochMs(2**63))) == []
