"""What ballots do on a chain is in tests/abci_chat/txs/test_ballot.py."""

from __future__ import annotations

import hashlib

import pytest

from abci_chat.state import ballots, pools
from abci_chat.state.ballots import Ballot, Choice, Tally
from dchat.kernel import accounts, codec
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CHAIN, MemoryState, give

HIDDEN = Ballot(5, Choice.HIDDEN, bytes(32), Amount(7))


@pytest.fixture
def draft() -> Draft:
    held = Draft(MemoryState())
    give(held, ALICE.id, 100)
    give(held, BOB.id, 100)
    return held


def test_a_commitment_is_the_hash_that_the_docs_say() -> None:
    packed = codec.pack((CHAIN, 7, ALICE.id, 4, b"s" * 32))

    made = ballots.commitment(CHAIN, 7, ALICE.id, Choice.VETO, b"s" * 32)

    assert made == hashlib.sha256(b"dchat/ballot/v1" + packed).digest()


def test_a_ballot_that_replaces_another_returns_it(draft: Draft) -> None:
    first = ballots.place(draft, 1, ALICE.id, HIDDEN)
    second = ballots.place(draft, 1, ALICE.id, Ballot(5, Choice.NO))

    assert (first, second) == (None, HIDDEN)
    assert ballots.tally(draft, 1) == Tally(no=5)
    assert accounts.load(draft, ALICE.id).balance == 100


def test_ballots_on_one_proposal_are_not_those_on_another(draft: Draft) -> None:
    ballots.place(draft, 1, ALICE.id, HIDDEN)
    ballots.place(draft, 2, BOB.id, Ballot(3, Choice.YES))

    assert list(ballots.ballots(draft, 1)) == [(ALICE.id, HIDDEN)]
    assert ballots.tally(draft, 2) == Tally(yes=3)


def test_forfeited_bonds_are_burned_as_one_sum(draft: Draft) -> None:
    ballots.place(draft, 1, ALICE.id, HIDDEN)
    ballots.place(draft, 1, BOB.id, HIDDEN)
    ballots.place(draft, 2, BOB.id, HIDDEN)

    assert (ballots.forfeit(draft, 1), ballots.forfeit(draft, 1)) == (14, 0)
    assert accounts.load(draft, pools.BALLOT_BONDS).balance == 7
    assert ballots.tally(draft, 1) == Tally(hidden=10)


def test_where_nothing_is_hidden_nothing_is_burned(draft: Draft) -> None:
    ballots.place(draft, 1, ALICE.id, Ballot(5, Choice.YES))

    assert ballots.forfeit(draft, 1) == 0


def test_what_counts_is_what_was_said() -> None:
    assert Tally(yes=1, no=2, abstain=4, veto=8, hidden=16).cast == 15
