"""Ballots: families that vote openly, or privately by a commitment that is revealed later.

An open ballot can be changed until voting ends, but never be hidden again. A private one can be
replaced by another private one, or by an open one, until then; afterwards it is revealed, or its
bond is burned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import params
from abci_chat.state import ballots, proposals, reputation, weights
from abci_chat.state.ballots import Ballot, Choice
from abci_chat.state.proposals import Proposal
from abci_chat.state.reputation import Deed
from dchat.kernel import codec
from dchat.kernel.errors import MalformedBody, TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft


class VotingOver(TxRejected):
    """Nobody votes on the proposal any more. Attribute: ended_at -- ms."""

    code = 309

    def __init__(self, ended_at: int) -> None:
        super().__init__(f"voting ended at {ended_at} ms")
        self.ended_at = ended_at


class NoWeight(TxRejected):
    """The sender had no weight when the proposal was opened."""

    code = 310


class BallotIsOpen(TxRejected):
    """The sender has voted openly: what everybody saw is private no more."""

    code = 311


class BallotBondTooLow(TxRejected):
    """A private ballot takes a larger bond. Attributes: have, need -- credits."""

    code = 312

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"allows a bond of {have} credits, it takes {need}")
        self.have = have
        self.need = need


class NotRevealing(TxRejected):
    """It is not the time to reveal. Attributes: begins_at, ends_at -- ms."""

    code = 313

    def __init__(self, begins_at: int, ends_at: int) -> None:
        super().__init__(f"ballots are revealed from {begins_at} ms until before {ends_at} ms")
        self.begins_at = begins_at
        self.ends_at = ends_at


class NothingHidden(TxRejected):
    """The sender has no private ballot on this proposal that is still to be revealed."""

    code = 314


class BadReveal(TxRejected):
    """Choice and salt are not those that the ballot committed to."""

    code = 315


@dataclass(frozen=True, slots=True)
class CastBallot:
    """Vote openly."""

    proposal: int
    choice: Choice


@dataclass(frozen=True, slots=True)
class CommitBallot:
    """Vote privately."""

    proposal: int
    commitment: bytes
    """See ballots.commitment()."""
    bond: Amount
    """What the voter is ready to set aside; no more is taken than the proposal's rules say."""


@dataclass(frozen=True, slots=True)
class RevealBallot:
    """Let a private ballot count."""

    proposal: int
    choice: Choice
    salt: bytes


@dataclass(frozen=True, slots=True)
class BallotCast(Event):
    """A ballot counts, unless its voter changes it."""

    proposal: int
    voter: AccountId
    choice: Choice
    weight: int


@dataclass(frozen=True, slots=True)
class BallotCommitted(Event):
    """A ballot will count once it is revealed."""

    proposal: int
    voter: AccountId
    commitment: bytes
    weight: int
    bond: Amount


def check_choice(tx: CastBallot | RevealBallot) -> None:
    """Apply the rules that need no state. Raises: MalformedBody."""
    if tx.choice is Choice.HIDDEN:
        raise MalformedBody("a ballot says yes, no, abstain or veto")


def check_commit(_: CommitBallot) -> None:
    """Accept every commitment: what is in it nobody can know."""


def cast(draft: Draft, tx: CastBallot, ctx: TxContext) -> tuple[Event, ...]:
    """Count the ballot. Raises: UnknownProposal, VotingOver, NoWeight."""
    weight = _weight(draft, _voted_on(draft, tx.proposal, ctx), ctx)
    before = ballots.place(draft, tx.proposal, ctx.sender, Ballot(weight, tx.choice))
    if before is None or before.choice is Choice.HIDDEN:
        _count_deed(draft, ctx)
    return (BallotCast(tx.proposal, ctx.sender, tx.choice, weight),)


def commit(draft: Draft, tx: CommitBallot, ctx: TxContext) -> tuple[Event, ...]:
    """Take the bond and keep the commitment.

    Raises: UnknownProposal, VotingOver, NoWeight, BallotBondTooLow, BallotIsOpen,
    InsufficientFunds.
    """
    proposal = _voted_on(draft, tx.proposal, ctx)
    weight, bond = _weight(draft, proposal, ctx), proposal.terms.ballot_bond
    if tx.bond < bond:
        raise BallotBondTooLow(tx.bond, bond)
    before = ballots.load(draft, tx.proposal, ctx.sender)
    if before is not None and before.choice is not Choice.HIDDEN:
        raise BallotIsOpen("an open ballot can be changed, but stays open")
    hidden = Ballot(weight, Choice.HIDDEN, tx.commitment, bond)
    ballots.place(draft, tx.proposal, ctx.sender, hidden)
    return (BallotCommitted(tx.proposal, ctx.sender, tx.commitment, weight, bond),)


def reveal(draft: Draft, tx: RevealBallot, ctx: TxContext) -> tuple[Event, ...]:
    """Count a private ballot and give its bond back.

    Raises: UnknownProposal, NotRevealing, NothingHidden, BadReveal.
    """
    proposal = proposals.load(draft, tx.proposal)
    if not proposal.ends_at <= ctx.block_time_ms < proposal.reveals_until:
        raise NotRevealing(proposal.ends_at, proposal.reveals_until)
    held = ballots.load(draft, tx.proposal, ctx.sender)
    if held is None or held.choice is not Choice.HIDDEN:
        raise NothingHidden(f"no private ballot on proposal {tx.proposal} is to be revealed")
    if held.commitment != ballots.commitment(
        ctx.chain_id, tx.proposal, ctx.sender, tx.choice, tx.salt
    ):
        raise BadReveal("another choice or another salt was committed to")
    ballots.place(draft, tx.proposal, ctx.sender, Ballot(held.weight, tx.choice))
    _count_deed(draft, ctx)
    return (BallotCast(tx.proposal, ctx.sender, tx.choice, held.weight),)


def _voted_on(draft: Draft, number: int, ctx: TxContext) -> Proposal:
    proposal = proposals.load(draft, number)
    if ctx.block_time_ms >= proposal.ends_at:
        raise VotingOver(proposal.ends_at)
    return proposal


def _weight(draft: Draft, proposal: Proposal, ctx: TxContext) -> int:
    weight = weights.at(draft, ctx.sender, proposal.snapshot)
    if weight == 0:
        raise NoWeight(f"the account had no weight at height {proposal.snapshot}")
    return weight


def _count_deed(draft: Draft, ctx: TxContext) -> None:
    points = params.REPUTATION.load(draft).vote_points
    reputation.add(draft, ctx.sender, Deed.BALLOT, points, ctx.height)


# Prices are those of voters whose weight has changed as often as its past is kept.
CAST: Final = Family(
    type=55,
    name="cast_ballot",
    shape=codec.Record(CastBallot, proposal=codec.U64, choice=ballots.CHOICE),
    cost=Cost(300),
    check=check_choice,
    apply=cast,
)

COMMIT: Final = Family(
    type=56,
    name="commit_ballot",
    shape=codec.Record(
        CommitBallot,
        proposal=codec.U64,
        commitment=codec.Fixed(ballots.COMMITMENT_BYTES),
        bond=codec.U64,
    ),
    cost=Cost(350),
    check=check_commit,
    apply=commit,
    spends=lambda tx: tx.bond,
)

REVEAL: Final = Family(
    type=57,
    name="reveal_ballot",
    shape=codec.Record(
        RevealBallot,
        proposal=codec.U64,
        choice=ballots.CHOICE,
        salt=codec.Fixed(ballots.SALT_BYTES),
    ),
    cost=Cost(250),
    check=check_choice,
    apply=reveal,
)

FAMILIES: Final = (CAST, COMMIT, REVEAL)
