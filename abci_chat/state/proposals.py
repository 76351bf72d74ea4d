"""Proposals: what is voted on, by which rules, and what became of it.

    ("proposal", number)     [kind, proposer, title, text, content, deposit, snapshot, …]
    ("proposal_count",)      [how many there were, the height of the last one's block]

What a proposal would do is its content, a record for each kind (`state/contents.py`). The rules by
which it is decided are those in force when it was opened, and stand in it. It is voted on until
`ends_at` and private ballots are revealed until `reveals_until`, both in block time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MAX_TITLE_BYTES: Final = 140
MAX_TEXT_BYTES: Final = 4096
MAX_CONTENT_BYTES: Final = 4096
NEVER: Final = Height(0)

TITLE: Final = codec.Text(MAX_TITLE_BYTES)
TEXT: Final = codec.Text(MAX_TEXT_BYTES)


class UnknownProposal(TxRejected):
    """There is no proposal of this number."""

    code = 308


class Kind(IntEnum):
    """What a proposal would do; the numbers are frozen."""

    TEXT = 1
    """Nothing: it is an opinion, put on record."""
    PARAMS = 2
    UPGRADE = 3
    SPEND = 4
    APPEAL = 5


class Status(IntEnum):
    """What became of a proposal; the numbers are frozen."""

    OPEN = 1
    """Voted on, or its ballots are revealed."""
    EXECUTED = 2
    REJECTED = 3
    VETOED = 4
    SHORT_OF_QUORUM = 5
    FAILED = 6
    """It had the votes, but what it orders was refused: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules of one vote; see params.Governance."""

    ballot_bond: Amount
    quorum_bp: int
    threshold_bp: int
    veto_bp: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that is, or was, voted on."""

    kind: Kind
    proposer: AccountId
    title: str
    text: str
    content: bytes
    """Canonical bytes of the record that the kind says; see state/contents.py."""
    deposit: Amount
    snapshot: Height
    """The block that opened it: weights count as they were when that block began."""
    total_weight: int
    """Of all voters, at the snapshot."""
    terms: Terms
    ends_at: EpochMs
    """From then on nobody votes."""
    reveals_until: EpochMs
    """From then on nobody reveals."""
    status: Status = Status.OPEN
    code: int = 0
    """The refusal of what FAILED."""
    decided_at: Height = NEVER
    """The block that decided it; 0 while it is open."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How many proposals there were so far."""

    count: int
    last_at: Height
    """Of the last one's block."""


_TERMS: Final = codec.Record(
    Terms,
    ballot_bond=codec.U64,
    quorum_bp=codec.U64,
    threshold_bp=codec.U64,
    veto_bp=codec.U64,
)
PROPOSAL: Final = codec.Record(
    Proposal,
    kind=codec.Choice(Kind),
    proposer=ACCOUNT_ID,
    title=TITLE,
    text=TEXT,
    content=codec.Blob(MAX_CONTENT_BYTES),
    deposit=codec.U64,
    snapshot=codec.U64,
    total_weight=codec.U64,
    terms=_TERMS,
    ends_at=codec.U64,
    reveals_until=codec.U64,
    status=codec.Choice(Status),
    code=codec.U64,
    decided_at=codec.U64,
)
OPENING: Final = codec.Record(Opening, count=codec.U64, last_at=codec.U64)
_NONE: Final = Opening(0, NEVER)


def load(state: State, number: int) -> Proposal:
    """Return the proposal of that number. Raises: UnknownProposal."""
    found = read(state, keys.proposal(number), PROPOSAL)
    if found is None:
        raise UnknownProposal(f"there is no proposal {number}")
    return found


def save(draft: Draft, number: int, record: Proposal) -> None:
    """Write a proposal."""
    draft.put(keys.proposal(number), PROPOSAL.encode(record))


def opening(state: State) -> Opening:
    """Return how many proposals there were, and when the last was opened."""
    return read(state, keys.PROPOSAL_COUNT, OPENING) or _NONE


def add(draft: Draft, record: Proposal) -> int:
    """Write a new proposal and return its number."""
    number = opening(draft).count + 1
    draft.put(keys.PROPOSAL_COUNT, OPENING.encode(Opening(number, record.snapshot)))
    save(draft, number, record)
    return number
