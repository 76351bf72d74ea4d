from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import cases, proposals
from abci_chat.state.cases import NotAppealable, UnknownCase
from abci_chat.state.contents import Binary, Chain, Change
from abci_chat.state.parameters import UnknownParameter
from abci_chat.state.proposals import Kind, Proposal, Status, Terms, UnknownProposal
from abci_chat.state.upgrades import UnknownUpgrade, UpgradeTooSoon
from abci_chat.txs import proposal
from abci_chat.txs.proposal import (
    BadChanges,
    BadProposal,
    BadUpgradePlan,
    NobodyVotes,
    ProposalDepositTooLow,
    ProposalOpened,
    ProposeAppeal,
    ProposeParams,
    ProposeSpend,
    ProposeUpgrade,
)
from dchat.kernel.errors import (
    InsufficientFunds,
    MalformedBody,
    NonceMismatch,
    ParameterOutOfBounds,
    ZeroAmount,
)
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, EpochMs, Height
from tests.fakes.appeals import CASE, decided
from tests.fakes.memory import ALICE, BOB, run, signed
from tests.fakes.voting import (
    BOND,
    DAVE,
    DEPOSIT,
    ENDS_AT,
    FEE,
    FUNDS,
    OPINION,
    REVEALS_UNTIL,
    RULES,
    Assembly,
    opened,
)

SHORTER = ProposeParams(
    "Vote faster", "", DEPOSIT, Chain.CHAT, "governance", (Change("voting_ms", 5000),)
)
LONGER = ProposeParams(
    "Unbond slower", "", DEPOSIT, Chain.CURRENCY, "staking", (Change("unbonding_ms", 9),)
)
PLAN = ProposeUpgrade(
    *("Go on", "", DEPOSIT, "v2", Height(2000), Height(3000)), (Binary("linux-x86_64", bytes(32)),)
)
CANCEL = replace(PLAN, chat_height=Height(0), currency_height=Height(0), binaries=())
PAY = ProposeSpend("Pay bob", "", DEPOSIT, BOB.id, Amount(5))
APPEAL = ProposeAppeal("That was no spam", "", DEPOSIT, CASE)


def test_a_proposal_is_opened_under_the_rules_in_force() -> None:
    chain = Assembly()

    outcome = chain.propose()

    told = ProposalOpened(1, DAVE.id, Kind.TEXT, DEPOSIT, ENDS_AT, REVEALS_UNTIL)
    assert outcome.events == (told,)
    assert chain.found() == Proposal(
        *(Kind.TEXT, DAVE.id, OPINION.title, OPINION.text, b"", DEPOSIT, Height(1), 100),
        Terms(BOND, RULES.quorum_bp, RULES.threshold_bp, RULES.veto_bp),
        *(ENDS_AT, REVEALS_UNTIL),
    )
    assert (chain.balance(DAVE.id), chain.pools()) == (FUNDS - FEE - DEPOSIT, (DEPOSIT, 0))
    chain.audit()


def test_the_next_proposal_has_the_next_number() -> None:
    chain = opened()

    chain.propose(ALICE)

    assert (chain.found(2).proposer, proposals.opening(chain.state).count) == (ALICE.id, 2)


def test_no_more_is_taken_than_the_rules_say() -> None:
    chain = Assembly()

    chain.send(DAVE, proposal.TEXT, replace(OPINION, deposit=Amount(2 * DEPOSIT)))

    assert chain.pools()[0] == DEPOSIT


def test_rules_that_change_during_a_vote_are_not_its_own() -> None:
    chain = opened()
    before = chain.found()

    chain.govern(voting_ms=1000, quorum_bp=1, deposit=7, ballot_bond=7)

    assert chain.found() == before


@pytest.mark.parametrize("title", ["", "two\nlines", "\x1b[31mred", "turned \u202e round"])
def test_a_title_that_cannot_be_shown_is_refused(title: str) -> None:
    chain = Assembly()

    outcome = chain.send(DAVE, proposal.TEXT, replace(OPINION, title=title))

    assert (outcome.code, chain.pools()) == (BadProposal.code, (0, 0))


@pytest.mark.parametrize(("text", "code"), [("two\nlines", 0), ("a\x1b[2J", BadProposal.code)])
def test_a_text_may_have_lines_and_no_other_control(text: str, code: int) -> None:
    assert Assembly().send(DAVE, proposal.TEXT, replace(OPINION, text=text)).code == code


@pytest.mark.parametrize(
    ("family", "form"),
    [
        (proposal.TEXT, OPINION),
        (proposal.PARAMS, SHORTER),
        (proposal.PARAMS, LONGER),
        (proposal.UPGRADE, PLAN),
        (proposal.SPEND, PAY),
    ],
)
def test_every_kind_takes_the_deposit_and_does_nothing_yet(
    family: Family[object], form: object
) -> None:
    chain = Assembly()

    outcome = chain.send(DAVE, family, form)

    assert (outcome.code, chain.status(), chain.pools()) == (0, Status.OPEN, (DEPOSIT, 0))
    chain.audit()


@pytest.mark.parametrize(
    ("family", "form", "code"),
    [
        (proposal.TEXT, replace(OPINION, deposit=Amount(DEPOSIT - 1)), ProposalDepositTooLow.code),
        (proposal.PARAMS, replace(SHORTER, title=""), BadProposal.code),
        (proposal.PARAMS, replace(SHORTER, changes=()), BadChanges.code),
        (proposal.PARAMS, replace(SHORTER, changes=SHORTER.changes * 2), BadChanges.code),
        (
            proposal.PARAMS,
            replace(SHORTER, changes=(Change("voting_ms", 5000), Change("deposit", 5))),
            BadChanges.code,
        ),
        (proposal.PARAMS, replace(SHORTER, section="staking"), UnknownParameter.code),
        (proposal.PARAMS, replace(SHORTER, changes=(Change("odd", 1),)), UnknownParameter.code),
        (
            proposal.PARAMS,
            replace(SHORTER, changes=(Change("voting_ms", 999),)),
            ParameterOutOfBounds.code,
        ),
        (proposal.PARAMS, replace(LONGER, section="governance"), UnknownParameter.code),
        (proposal.PARAMS, replace(LONGER, changes=(Change("odd", 1),)), UnknownParameter.code),
        (
            proposal.PARAMS,
            replace(LONGER, changes=(Change("unbonding_ms", 10),)),
            ParameterOutOfBounds.code,
        ),
        (
            proposal.PARAMS,
            replace(LONGER, changes=(Change("unbonding_ms", 4),)),
            ParameterOutOfBounds.code,
        ),
        (proposal.UPGRADE, replace(PLAN, title=""), BadProposal.code),
        (proposal.UPGRADE, replace(PLAN, name=""), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, name="../v2"), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, binaries=()), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, binaries=PLAN.binaries * 2), BadUpgradePlan.code),
        (
            proposal.UPGRADE,
            replace(PLAN, binaries=(Binary("a b", bytes(32)),)),
            BadUpgradePlan.code,
        ),
        (proposal.UPGRADE, replace(PLAN, chat_height=Height(0)), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, currency_height=Height(0)), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, chat_height=Height(2**63)), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, currency_height=Height(2**63)), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(CANCEL, binaries=PLAN.binaries), BadUpgradePlan.code),
        (proposal.UPGRADE, replace(PLAN, chat_height=Height(1000)), UpgradeTooSoon.code),
        (proposal.UPGRADE, CANCEL, UnknownUpgrade.code),
        (proposal.SPEND, replace(PAY, title=""), BadProposal.code),
        (proposal.SPEND, replace(PAY, amount=Amount(0)), ZeroAmount.code),
        (proposal.APPEAL, APPEAL, UnknownCase.code),
    ],
)
def test_what_could_not_be_carried_out_is_refused_at_once(
    family: Family[object], form: object, code: int
) -> None:
    chain = Assembly()

    outcome = chain.send(DAVE, family, form)

    assert (outcome.code, chain.pools()) == (code, (0, 0))
    assert proposals.opening(chain.state).count == 0
    assert chain.balance(DAVE.id) == FUNDS - FEE


def test_whoever_cannot_pay_the_deposit_opens_nothing() -> None:
    chain = Assembly()
    chain.govern(deposit=FUNDS)

    outcome = chain.send(DAVE, proposal.TEXT, replace(OPINION, deposit=FUNDS))

    assert (outcome.code, chain.pools()[0]) == (InsufficientFunds.code, 0)


def test_where_nobody_has_weight_nothing_is_put_to_the_vote() -> None:
    assert Assembly(votes={}).propose().code == NobodyVotes.code


def test_a_replayed_proposal_is_refused() -> None:
    chain = Assembly()
    raw = signed(DAVE, proposal.TEXT.body(OPINION))
    chain.send_raw(raw, DAVE)

    assert (chain.send_raw(raw, DAVE).code, chain.pools()[0]) == (NonceMismatch.code, DEPOSIT)


def test_an_appeal_keeps_the_case_open_until_the_vote_is_over() -> None:
    chain = decided()

    outcome = chain.send(DAVE, proposal.APPEAL, APPEAL)

    assert outcome.code == 0
    assert cases.load(chain.state, CASE).ends_at > chain.found().reveals_until


def test_a_case_that_can_be_appealed_no_more_is_not_voted_on() -> None:
    chain = decided()
    chain.now = EpochMs(cases.load(chain.state, CASE).appeal_until)

    assert chain.send(DAVE, proposal.APPEAL, APPEAL).code == NotAppealable.code


@pytest.mark.parametrize(
    ("family", "form"),
    [
        (proposal.TEXT, OPINION),
        (proposal.PARAMS, SHORTER),
        (proposal.UPGRADE, PLAN),
        (proposal.SPEND, PAY),
        (proposal.APPEAL, APPEAL),
    ],
)
def test_a_deposit_cannot_be_spent_by_what_waits_behind(
    family: Family[object], form: object
) -> None:
    assert family.prepare(family.body(form)[1:]).spends == DEPOSIT


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(proposal.FAMILIES), st.lists(fields, max_size=7))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, Assembly().state, signed(BOB, (family.type, *odd)))

    assert result.outcomes[0].code in {
        *(MalformedBody.code, BadProposal.code, ProposalDepositTooLow.code, UnknownProposal.code),
        *(BadUpgradePlan.code, BadChanges.code, ZeroAmount.code),
    }
