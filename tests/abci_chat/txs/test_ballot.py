from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import ballots, reputation
from abci_chat.state.ballots import Ballot, Choice, Tally
from abci_chat.state.proposals import UnknownProposal
from abci_chat.txs import ballot
from abci_chat.txs.ballot import (
    BadReveal,
    BallotBondTooLow,
    BallotCast,
    BallotCommitted,
    BallotIsOpen,
    CastBallot,
    CommitBallot,
    NothingHidden,
    NotRevealing,
    NoWeight,
    RevealBallot,
    VotingOver,
)
from dchat.kernel import accounts
from dchat.kernel.errors import InsufficientFunds, MalformedBody, NonceMismatch
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, ChainId, EpochMs
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, run, signed
from tests.fakes.voting import (
    BOND,
    DAVE,
    DEPOSIT,
    ENDS_AT,
    FEE,
    FUNDS,
    REVEALS_UNTIL,
    Assembly,
    hidden,
    opened,
    salt_of,
)

YES, NO, ABSTAIN, VETO = Choice.YES, Choice.NO, Choice.ABSTAIN, Choice.VETO


def tally(chain: Assembly) -> Tally:
    return ballots.tally(chain.state, 1)


def held(chain: Assembly, who: Person) -> Ballot | None:
    return ballots.load(chain.state, 1, who.id)


def hiding() -> Assembly:
    """A chain on which alice and bob have voted privately, and reveal now."""
    chain = opened()
    chain.hide(ALICE, YES)
    chain.hide(BOB, NO)
    chain.reach(ENDS_AT)
    return chain


@pytest.mark.parametrize(
    ("choice", "summed"),
    [
        (YES, Tally(yes=50)),
        (NO, Tally(no=50)),
        (ABSTAIN, Tally(abstain=50)),
        (VETO, Tally(veto=50)),
    ],
)
def test_an_open_ballot_counts_its_voters_weight(choice: Choice, summed: Tally) -> None:
    chain = opened()

    outcome = chain.vote(ALICE, choice)

    assert outcome.events == (BallotCast(1, ALICE.id, choice, 50),)
    assert (tally(chain), held(chain, ALICE)) == (summed, Ballot(50, choice))
    chain.audit()


def test_an_open_ballot_may_be_changed_and_counts_once() -> None:
    chain = opened()
    chain.vote(ALICE, YES)

    chain.vote(ALICE, VETO)

    assert tally(chain) == Tally(veto=50)


def test_ballots_of_all_voters_add_up() -> None:
    chain = opened()

    chain.vote(ALICE, YES)
    chain.vote(BOB, YES)
    chain.vote(CAROL, NO)

    assert tally(chain) == Tally(yes=80, no=20)


def test_a_weight_that_changes_later_changes_no_ballot() -> None:
    chain = opened()
    chain.weigh(ALICE, 5000)
    chain.weigh(BOB, 0)

    chain.vote(ALICE, YES)
    chain.vote(BOB, NO)

    assert tally(chain) == Tally(yes=50, no=30)


def test_a_weight_that_was_set_in_the_opening_block_does_not_count() -> None:
    chain = Assembly()
    chain.weigh(DAVE, 1000)
    chain.propose()

    assert chain.vote(DAVE, YES).code == NoWeight.code


def test_a_weight_of_the_block_before_counts() -> None:
    chain = Assembly()
    chain.weigh(DAVE, 1000)
    chain.block()
    chain.propose()

    assert (chain.vote(DAVE, YES).code, tally(chain).yes) == (0, 1000)


@pytest.mark.parametrize(
    ("family", "form"),
    [(ballot.CAST, CastBallot(1, YES)), (ballot.COMMIT, hidden(DAVE, YES))],
)
def test_without_weight_nobody_votes(family: Family[object], form: object) -> None:
    chain = opened()

    outcome = chain.send(DAVE, family, form)

    assert (outcome.code, held(chain, DAVE), tally(chain)) == (NoWeight.code, None, Tally())


@pytest.mark.parametrize(
    ("family", "form"),
    [
        (ballot.CAST, CastBallot(2, YES)),
        (ballot.COMMIT, hidden(ALICE, YES, 2)),
        (ballot.REVEAL, RevealBallot(2, YES, salt_of(ALICE))),
    ],
)
def test_nobody_votes_on_what_is_not_there(family: Family[object], form: object) -> None:
    assert opened().send(ALICE, family, form).code == UnknownProposal.code


@pytest.mark.parametrize(
    ("family", "form"),
    [(ballot.CAST, CastBallot(1, YES)), (ballot.COMMIT, hidden(ALICE, YES))],
)
@pytest.mark.parametrize(("early", "code"), [(1, 0), (0, VotingOver.code)])
def test_nobody_votes_once_voting_has_ended(
    family: Family[object], form: object, early: int, code: int
) -> None:
    chain = opened()
    chain.now = EpochMs(ENDS_AT - early)

    assert chain.send(ALICE, family, form).code == code


@pytest.mark.parametrize(
    ("family", "form"),
    [
        (ballot.CAST, CastBallot(1, Choice.HIDDEN)),
        (ballot.REVEAL, RevealBallot(1, Choice.HIDDEN, bytes(32))),
    ],
)
def test_a_ballot_says_something(family: Family[object], form: object) -> None:
    assert opened().send(ALICE, family, form).code == MalformedBody.code


def test_a_private_ballot_shows_its_weight_and_no_more() -> None:
    chain = opened()
    form = hidden(ALICE, YES)

    outcome = chain.send(ALICE, ballot.COMMIT, form)

    assert outcome.events == (BallotCommitted(1, ALICE.id, form.commitment, 50, BOND),)
    assert tally(chain) == Tally(hidden=50, bonds=BOND)
    assert held(chain, ALICE) == Ballot(50, Choice.HIDDEN, form.commitment, BOND)
    assert (chain.balance(ALICE.id), chain.pools()) == (FUNDS - FEE - BOND, (DEPOSIT, BOND))
    chain.audit()


def test_a_private_ballot_takes_the_bond_that_was_in_force_when_the_vote_began() -> None:
    chain = opened()
    chain.govern(ballot_bond=5)

    chain.send(ALICE, ballot.COMMIT, replace(hidden(ALICE, YES), bond=Amount(10 * BOND)))

    assert chain.pools()[1] == BOND


def test_a_private_ballot_is_refused_with_too_low_a_bond() -> None:
    chain = opened()

    outcome = chain.send(ALICE, ballot.COMMIT, replace(hidden(ALICE, YES), bond=Amount(BOND - 1)))

    assert (outcome.code, tally(chain), chain.pools()[1]) == (BallotBondTooLow.code, Tally(), 0)


def test_a_private_ballot_is_refused_to_who_cannot_bond() -> None:
    chain = opened()
    draft = chain.draft()
    accounts.debit(draft, ALICE.id, Amount(FUNDS - FEE - BOND + 1))
    chain.keep(draft)

    assert (chain.hide(ALICE, YES).code, tally(chain)) == (InsufficientFunds.code, Tally())


def test_a_private_ballot_replaces_another_and_its_bond() -> None:
    chain = opened()
    chain.hide(ALICE, YES)

    chain.hide(ALICE, NO)

    assert (tally(chain), chain.pools()[1]) == (Tally(hidden=50, bonds=BOND), BOND)
    chain.audit()


def test_a_private_ballot_may_be_replaced_by_an_open_one() -> None:
    chain = opened()
    chain.hide(ALICE, YES)

    outcome = chain.vote(ALICE, NO)

    assert (outcome.code, tally(chain), chain.pools()[1]) == (0, Tally(no=50), 0)
    chain.audit()


def test_an_open_ballot_is_never_hidden_again() -> None:
    chain = opened()
    chain.vote(ALICE, YES)

    outcome = chain.hide(ALICE, NO)

    assert (outcome.code, tally(chain), chain.pools()[1]) == (BallotIsOpen.code, Tally(yes=50), 0)


def test_a_revealed_ballot_counts_and_its_bond_goes_back() -> None:
    chain = hiding()

    outcome = chain.reveal(ALICE, YES)

    assert outcome.events == (BallotCast(1, ALICE.id, YES, 50),)
    assert tally(chain) == Tally(yes=50, hidden=30, bonds=BOND)
    assert (chain.balance(ALICE.id), chain.pools()[1]) == (FUNDS - 2 * FEE, BOND)
    chain.audit()


def test_a_weight_that_changes_before_the_reveal_changes_nothing() -> None:
    chain = hiding()
    chain.weigh(ALICE, 9000)
    chain.block()

    chain.reveal(ALICE, YES)

    assert tally(chain).yes == 50


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (ENDS_AT - 1, NotRevealing.code),
        (ENDS_AT, 0),
        (REVEALS_UNTIL - 1, 0),
        (REVEALS_UNTIL, NotRevealing.code),
    ],
)
def test_ballots_are_revealed_between_two_times(at: int, code: int) -> None:
    chain = opened()
    chain.hide(ALICE, YES)
    chain.now = EpochMs(at)

    assert chain.reveal(ALICE, YES).code == code


@pytest.mark.parametrize(
    ("choice", "salt"), [(NO, salt_of(ALICE)), (YES, salt_of(BOB)), (YES, bytes(32))]
)
def test_what_was_not_committed_to_is_not_revealed(choice: Choice, salt: bytes) -> None:
    chain = hiding()

    outcome = chain.send(ALICE, ballot.REVEAL, RevealBallot(1, choice, salt))

    assert (outcome.code, tally(chain).yes, chain.pools()[1]) == (BadReveal.code, 0, 2 * BOND)


def test_nobody_reveals_twice() -> None:
    chain = hiding()
    chain.reveal(ALICE, YES)

    outcome = chain.reveal(ALICE, YES)

    assert (outcome.code, tally(chain).yes) == (NothingHidden.code, 50)


def test_nobody_reveals_the_ballot_of_another() -> None:
    chain = hiding()

    outcome = chain.send(CAROL, ballot.REVEAL, RevealBallot(1, YES, salt_of(ALICE)))

    assert (outcome.code, tally(chain).yes) == (NothingHidden.code, 0)


def test_a_commitment_that_was_copied_from_another_cannot_be_revealed() -> None:
    chain = opened()
    chain.hide(ALICE, YES)
    chain.send(BOB, ballot.COMMIT, hidden(ALICE, YES))
    chain.reach(ENDS_AT)

    outcome = chain.send(BOB, ballot.REVEAL, RevealBallot(1, YES, salt_of(ALICE)))

    assert (outcome.code, tally(chain).yes) == (BadReveal.code, 0)


@pytest.mark.parametrize(
    ("chain_id", "number", "who", "choice"),
    [
        (ChainId("other"), 1, ALICE, YES),
        (CHAIN, 2, ALICE, YES),
        (CHAIN, 1, BOB, YES),
        (CHAIN, 1, ALICE, NO),
    ],
)
def test_a_commitment_is_good_for_one_ballot(
    chain_id: ChainId, number: int, who: Person, choice: Choice
) -> None:
    salt = bytes(32)
    first = ballots.commitment(CHAIN, 1, ALICE.id, YES, salt)

    assert ballots.commitment(chain_id, number, who.id, choice, salt) != first


@pytest.mark.parametrize(
    ("steps", "counted"),
    [
        (("vote",), 1),
        (("vote", "vote"), 1),
        (("hide",), 0),
        (("hide", "vote", "vote"), 1),
    ],
)
def test_a_ballot_that_counts_is_one_deed(steps: tuple[str, ...], counted: int) -> None:
    chain = opened()

    assert [getattr(chain, step)(ALICE, YES).code for step in steps] == [0] * len(steps)

    assert reputation.score(chain.state, ALICE.id, chain.height) == counted * 20


def test_a_revealed_ballot_is_a_deed() -> None:
    chain = hiding()

    chain.reveal(ALICE, YES)

    assert reputation.score(chain.state, ALICE.id, chain.height) == 20
    assert reputation.score(chain.state, BOB.id, chain.height) == 0


def test_a_replayed_ballot_is_refused() -> None:
    chain = opened()
    raw = signed(ALICE, ballot.CAST.body(CastBallot(1, YES)))
    chain.send_raw(raw)

    assert (chain.send_raw(raw).code, tally(chain).yes) == (NonceMismatch.code, 50)


def test_a_bond_cannot_be_spent_by_what_waits_behind() -> None:
    body = ballot.COMMIT.body(CommitBallot(1, bytes(32), Amount(7)))

    assert ballot.COMMIT.prepare(body[1:]).spends == 7


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(ballot.FAMILIES), st.lists(fields, max_size=4))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    result = run(MACHINE, Assembly().state, signed(BOB, (family.type, *odd)))

    assert result.outcomes[0].code in {MalformedBody.code, UnknownProposal.code}
