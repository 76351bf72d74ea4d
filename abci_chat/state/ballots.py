"""Ballots: what somebody voted on a proposal, or promised to reveal, and all of them added up.

    ("ballot", number, voter)   [weight, choice, commitment, bond]
    ("tally", number)           [yes, no, abstain, veto, hidden, bonds]

A private ballot is a commitment, SHA-256 over the tag and canonical `[chain id, proposal, voter,
choice, 32-byte salt]`: nobody can hand in the commitment of another, or use it for another vote. It
counts once it is revealed. Its bond lies in the pool BALLOT_BONDS and goes back then; what nobody
reveals is burned when the vote is decided, as one sum. That somebody votes and with what weight is
public at once, what for is private until it is revealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from abci_chat import keys
from abci_chat.state import pools
from dchat.kernel import codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, Amount, ChainId
from dchat.kernel.store import Draft, State, read

SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
NO_COMMITMENT: Final = b""
_TAG: Final = b"dchat/ballot/v1"
_NOTHING: Final = Amount(0)


class Choice(IntEnum):
    """What a ballot says; the numbers are frozen."""

    HIDDEN = 0
    """Only in the state: not revealed so far."""
    YES = 1
    NO = 2
    ABSTAIN = 3
    VETO = 4


@dataclass(frozen=True, slots=True)
class Ballot:
    """Somebody's vote."""

    weight: int
    """At the proposal's snapshot."""
    choice: Choice
    commitment: bytes = NO_COMMITMENT
    """32 bytes while it is hidden."""
    bond: Amount = _NOTHING
    """What goes back when it is revealed."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The weight of all ballots of a proposal."""

    yes: int = 0
    no: int = 0
    abstain: int = 0
    veto: int = 0
    hidden: int = 0
    """Of ballots that were not revealed so far: they do not count."""
    bonds: Amount = _NOTHING
    """Of those."""

    @property
    def cast(self) -> int:
        """The weight of all ballots that count."""
        return self.yes + self.no + self.abstain + self.veto


CHOICE: Final = codec.Choice(Choice)
BALLOT: Final = codec.Record(
    Ballot,
    weight=codec.U64,
    choice=CHOICE,
    commitment=codec.Blob(COMMITMENT_BYTES),
    bond=codec.U64,
)
TALLY: Final = codec.Record(
    Tally,
    yes=codec.U64,
    no=codec.U64,
    abstain=codec.U64,
    veto=codec.U64,
    hidden=codec.U64,
    bonds=codec.U64,
)
_EMPTY: Final = Tally()
_FIELDS: Final = {
    Choice.HIDDEN: "hidden",
    Choice.YES: "yes",
    Choice.NO: "no",
    Choice.ABSTAIN: "abstain",
    Choice.VETO: "veto",
}


def commitment(
    chain_id: ChainId, number: int, voter: AccountId, choice: Choice, salt: bytes
) -> bytes:
    """Return what a voter hands in to vote so on that proposal without saying it yet."""
    said = codec.pack((chain_id, number, voter, int(choice), salt))
    return hashlib.sha256(_TAG + said).digest()


def load(state: State, number: int, voter: AccountId) -> Ballot | None:
    """Return what somebody voted, None where nothing."""
    return read(state, keys.ballot(number, voter), BALLOT)


def tally(state: State, number: int) -> Tally:
    """Return the sum of all ballots on a proposal."""
    return read(state, keys.tally(number), TALLY) or _EMPTY


def ballots(state: State, number: int) -> Iterator[tuple[AccountId, Ballot]]:
    """Yield all ballots on a proposal by voter. Walks all of them: for audits."""
    for key, record in state.scan(keys.ballots(number)):
        voter = codec.unpack_array(key)[2]
        yield AccountId(ACCOUNT_ID.lift(voter)), BALLOT.decode_own(record)


def place(draft: Draft, number: int, voter: AccountId, ballot: Ballot) -> Ballot | None:
    """Count this ballot in place of the one that the voter had, which is returned.

    Its bond goes from the voter into the pool, that of the one before goes back.
    Raises: InsufficientFunds.
    """
    before, summed = load(draft, number, voter), tally(draft, number)
    if before is not None:
        summed = _counted(summed, before, -1)
        _move(draft, pools.BALLOT_BONDS, voter, before.bond)
    _move(draft, voter, pools.BALLOT_BONDS, ballot.bond)
    draft.put(keys.ballot(number, voter), BALLOT.encode(ballot))
    draft.put(keys.tally(number), TALLY.encode(_counted(summed, ballot, 1)))
    return before


def forfeit(draft: Draft, number: int) -> Amount:
    """Burn the bonds of all that nobody revealed, and return their sum."""
    summed = tally(draft, number)
    holdings.burn(draft, pools.BALLOT_BONDS, summed.bonds)
    if summed.bonds:
        draft.put(keys.tally(number), TALLY.encode(replace(summed, bonds=_NOTHING)))
    return summed.bonds


def _move(draft: Draft, source: AccountId, target: AccountId, amount: Amount) -> None:
    if amount:
        holdings.move(draft, source, target, amount)


def _counted(summed: Tally, ballot: Ballot, sign: int) -> Tally:
    """Return the sum with that ballot, sign 1, or without it, sign -1."""
    field = _FIELDS[ballot.choice]
    weight: int = getattr(summed, field) + sign * ballot.weight
    return replace(summed, **{field: weight, "bonds": summed.bonds + sign * ballot.bond})
