"""Weights: whose ballot counts for how much, now and when older proposals were opened.

    ("weight", voter)     [[since_height, since_ms, weight], …]     the newest last
    ("total_weight",)     the same, of all voters together; the newest two

A weight that a block sets counts for proposals of later blocks: what counts for a proposal stands
before its block begins, and nothing in the block, before or behind it, changes that. A past is kept
as far as a proposal may need it that can still be voted on. Should somebody's weight change more
often than MOST_MARKS times in between, the oldest two marks become one, with the lesser weight: a
past never grows without bound, and no ballot ever counts for more than its voter had.

Genesis gives the weights; the bridge will bring stake from the currency chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from abci_chat import keys, params
from abci_chat.state import proposals
from dchat.kernel import amounts, codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MOST_MARKS: Final = 64
_LONGEST_VOTING_MS: Final = params.GOVERNANCE.bounds["voting_ms"][1]


@dataclass(frozen=True, slots=True)
class Mark:
    """A weight, and since when."""

    since_height: Height
    """The block that set it; what that block opened does not count it yet."""
    since_ms: EpochMs
    weight: int


_MARK: Final = codec.Record(Mark, since_height=codec.U64, since_ms=codec.U64, weight=codec.U64)
PAST: Final = codec.ListOf(_MARK, MOST_MARKS)
_TOTAL_MARKS: Final = 2


def at(state: State, voter: AccountId, height: Height) -> int:
    """Return what a ballot counts on a proposal that block `height` opened."""
    return _before(_marks(state, keys.weight(voter)), height)


def total_at(state: State, height: Height) -> int:
    """Return what all ballots together would count; of the present block, or a later one."""
    return _before(_marks(state, keys.TOTAL_WEIGHT), height)


def set_weight(
    draft: Draft, voter: AccountId, weight: int, height: Height, now_ms: EpochMs
) -> None:
    """Give a voter another weight, for proposals of later blocks. Raises: AmountTooLarge."""
    marks, all_marks = _marks(draft, keys.weight(voter)), _marks(draft, keys.TOTAL_WEIGHT)
    held, total = _newest(marks), _newest(all_marks)
    if weight == held:
        return
    now_total = amounts.add(Amount(total - held), Amount(weight))
    mark = Mark(height, now_ms, weight)
    kept = _needed(marks, mark, proposals.opening(draft).last_at)
    _put(draft, keys.weight(voter), _with(kept, mark))
    summed = _with(all_marks, Mark(height, now_ms, now_total))
    _put(draft, keys.TOTAL_WEIGHT, summed[-_TOTAL_MARKS:])


def voters(state: State) -> Iterator[tuple[AccountId, int]]:
    """Yield every voter and the newest weight. Walks all of them: for audits."""
    for key, record in state.scan(keys.VOTERS):
        _, voter = codec.unpack_array(key)
        yield AccountId(ACCOUNT_ID.lift(voter)), _newest(PAST.decode_own(record))


def check_invariant(state: State) -> None:
    """Return if the weights add up to the total. For audits. Raises: InvariantBroken."""
    summed = sum(weight for _, weight in voters(state))
    total = _newest(_marks(state, keys.TOTAL_WEIGHT))
    if summed != total:
        raise InvariantBroken(f"weights add up to {summed}, the total is {total}")


def _marks(state: State, key: bytes) -> tuple[Mark, ...]:
    return read(state, key, PAST) or ()


def _newest(marks: tuple[Mark, ...]) -> int:
    return marks[-1].weight if marks else 0


def _before(marks: tuple[Mark, ...], height: Height) -> int:
    """Return the weight that was set last before that block."""
    return next((mark.weight for mark in reversed(marks) if mark.since_height < height), 0)


def _needed(marks: tuple[Mark, ...], mark: Mark, last_opened: Height) -> tuple[Mark, ...]:
    """Return the marks without those that no proposal asks for any more, now that mark comes.

    A mark counts for what was opened behind its block and up to that of the next mark. So where
    nothing was opened since the mark before the last, that one never counts; unless the last is of
    this very block, which may still open something. And where the next mark is older than any
    proposal that can be voted on, the one before it counts no more.
    """
    if marks and marks[-1].since_height < mark.since_height:
        while len(marks) > 1 and last_opened <= marks[-2].since_height:
            marks = (*marks[:-2], marks[-1])
    while len(marks) > 1 and marks[1].since_ms + _LONGEST_VOTING_MS <= mark.since_ms:
        marks = marks[1:]
    return marks


def _with(marks: tuple[Mark, ...], mark: Mark) -> tuple[Mark, ...]:
    """Return the marks with another one, which takes the place of one of the same block."""
    if marks and marks[-1].since_height == mark.since_height:
        return (*marks[:-1], mark)
    if len(marks) < MOST_MARKS:
        return (*marks, mark)
    older, newer, *later = marks
    merged = Mark(older.since_height, older.since_ms, min(older.weight, newer.weight))
    return (merged, *later, mark)


def _put(draft: Draft, key: bytes, marks: tuple[Mark, ...]) -> None:
    """Write the marks; who has never had a weight that counts has none."""
    if [mark.weight for mark in marks] == [0]:
        draft.delete(key)
    else:
        draft.put(key, PAST.encode(marks))
