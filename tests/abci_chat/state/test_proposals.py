from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat.state import proposals
from abci_chat.state.proposals import Kind, Opening, Proposal, Status, Terms, UnknownProposal
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState

RECORD = Proposal(
    *(Kind.TEXT, ALICE.id, "title", "text", b"", Amount(5), Height(7), 100),
    Terms(Amount(1), 3340, 5000, 3340),
    *(EpochMs(10), EpochMs(20)),
)


def test_proposals_are_numbered_from_one_on_and_the_last_ones_block_is_known() -> None:
    draft = Draft(MemoryState())

    numbers = [proposals.add(draft, RECORD), proposals.add(draft, replace(RECORD, snapshot=9))]

    assert (numbers, proposals.opening(draft)) == ([1, 2], Opening(2, Height(9)))


def test_a_proposal_is_kept_as_it_is() -> None:
    draft = Draft(MemoryState())
    proposals.add(draft, RECORD)
    decided = replace(RECORD, status=Status.FAILED, code=305, decided_at=Height(99))

    proposals.save(draft, 1, decided)

    assert proposals.load(draft, 1) == decided


def test_there_is_no_proposal_before_the_first() -> None:
    with pytest.raises(UnknownProposal):
        proposals.load(Draft(MemoryState()), 1)
