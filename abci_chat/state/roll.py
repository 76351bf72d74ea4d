"""The roll of jurors: a tree of sums, out of which jurors are drawn in proportion to their weight.

    ("jury_roll",)             [size, total]
    ("jury_place", juror)      place
    ("jury_slot", 0, place)    juror
    ("jury_slot", level, at)   [sum, …]      what up to 16 nodes of the level below weigh

Places are 0 to size - 1: who leaves hands the place to whoever has the last one, so nothing is left
behind, and the tree is never higher than the jurors there are make it. A draw reads, and a change
writes, a node of each level: as many as the size has hexadecimal digits.

A draw picks a point of what all others weigh together, so that somebody barred or drawn already
costs no try, however heavy. Its 64-bit words come from SHA-256 over the seed and a number; a word
in the uneven rest above the largest multiple of what is drawn from is skipped, so that no juror is
favoured by as little as one part in 2^64.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft, State, read

RADIX: Final = 16
"""Branches of a node."""
TRIES: Final = 64
"""Words for each juror to draw; all are skipped with odds of one in 2^64 at the worst."""
SEED_BYTES: Final = 32
_TAG: Final = b"dchat/jury-draw/v1"
_WORD_BYTES: Final = 8
_WORDS: Final = 1 << 8 * _WORD_BYTES


@dataclass(frozen=True, slots=True)
class Roll:
    """How many are on the roll, and what they weigh together."""

    size: int
    total: Amount


_ROLL: Final = codec.Record(Roll, size=codec.U64, total=codec.U64)
_SUMS: Final = codec.ListOf(codec.U64, RADIX)
_EMPTY: Final = Roll(0, Amount(0))


def load(state: State) -> Roll:
    """Return the size and weight of the roll."""
    return read(state, keys.JURY_ROLL, _ROLL) or _EMPTY


def weight_of(state: State, who: AccountId) -> Amount:
    """Return what somebody weighs on the roll, 0 who is not on it."""
    place = _place(state, who)
    return Amount(0) if place is None else _weight_at(state, place)


def set_weight(draft: Draft, who: AccountId, weight: Amount) -> None:
    """Let somebody weigh this much on the roll; who weighs 0 is not on it."""
    place = _place(draft, who)
    if place is not None:
        _change(draft, who, place, weight)
    elif weight:
        _add(draft, who, weight)


def draw(
    state: State, seed: bytes, count: int, barred: Sequence[AccountId]
) -> tuple[AccountId, ...]:
    """Return so many different jurors, none of them barred, in the order they were drawn.

    There are fewer where the roll has no more.
    """
    roll, drawn = load(state), list[AccountId]()
    taken = sorted(_spans(state, barred))
    for word in _words(seed, count * TRIES):
        left = roll.total - sum([weight for _, weight in taken])
        if not left or len(drawn) == count:
            break
        if word < _WORDS - _WORDS % left:
            who, span = _find(state, roll, _past(taken, word % left))
            insort(taken, span)
            drawn.append(who)
    return tuple(drawn)


def members(state: State) -> Iterator[tuple[AccountId, Amount]]:
    """Yield everybody on the roll with their weight. Walks all of it: for audits."""
    for place in range(load(state).size):
        yield _juror(state, place), _weight_at(state, place)


def check_invariant(state: State) -> None:
    """Return if every sum is that of the nodes below. For audits. Raises: InvariantBroken."""
    roll = load(state)
    weights = [weight for _, weight in members(state)]
    for level in range(1, _height(roll.size) + 1):
        groups = [weights[at : at + RADIX] for at in range(0, len(weights), RADIX)]
        have = [list(_sums(state, level, at)) for at in range(len(groups))]
        if have != groups or _sums(state, level, len(groups)):
            raise InvariantBroken(f"level {level} of the roll is {have}, should be {groups}")
        weights = [sum(group) for group in groups]
    if weights not in ([], [roll.total]) or sum(weights) != roll.total:
        raise InvariantBroken(f"the roll weighs {weights}, and says {roll.total}")


def _spans(state: State, people: Sequence[AccountId]) -> Iterator[tuple[int, int]]:
    """Yield where each of the people on the roll begins in the order of places, and their weight"""
    for who in sorted(frozenset(people)):
        place = _place(state, who)
        if place is not None:
            yield _start(state, place), _weight_at(state, place)


def _words(seed: bytes, count: int) -> Iterator[int]:
    for number in range(count):
        digest = sha256(_TAG + seed + number.to_bytes(_WORD_BYTES, "big")).digest()
        yield int.from_bytes(digest[:_WORD_BYTES], "big")


def _past(taken: Sequence[tuple[int, int]], point: int) -> int:
    """Return the point of the whole roll that is this one of what is not taken."""
    for start, weight in taken:
        if point >= start:
            point += weight
    return point


def _find(state: State, roll: Roll, point: int) -> tuple[AccountId, tuple[int, int]]:
    """Return who covers a point, where that juror begins, and the weight."""
    at, start, weight = 0, 0, int(roll.total)
    for level in range(_height(roll.size), 0, -1):
        at *= RADIX
        for weight in _sums(state, level, at // RADIX):
            if point < start + weight:
                break
            start, at = start + weight, at + 1
    return _juror(state, at), (start, weight)


def _start(state: State, place: int) -> int:
    before, at = 0, place
    for level in range(1, _height(load(state).size) + 1):
        at, branch = divmod(at, RADIX)
        before += sum(_sums(state, level, at)[:branch])
    return before


def _add(draft: Draft, who: AccountId, weight: Amount) -> None:
    place = load(draft).size
    _seat(draft, who, place)
    _write(draft, place, weight)


def _change(draft: Draft, who: AccountId, place: int, weight: Amount) -> None:
    if weight:
        _write(draft, place, weight)
        return
    last = load(draft).size - 1
    draft.delete(keys.jury_place(who))
    if place != last:
        _write(draft, place, _weight_at(draft, last))
        _seat(draft, _juror(draft, last), place)
    _write(draft, last, None)
    draft.delete(keys.jury_slot(0, last))


def _seat(draft: Draft, who: AccountId, place: int) -> None:
    draft.put(keys.jury_slot(0, place), ACCOUNT_ID.encode(who))
    draft.put(keys.jury_place(who), codec.U64.encode(place))


def _write(draft: Draft, place: int, weight: int | None) -> None:
    """Set the weight of a place, or of the one behind the last; None takes the last one away."""
    roll = load(draft)
    size = place if weight is None else max(roll.size, place + 1)
    height = _height(max(roll.size, size))
    above, at = weight, place
    for level in range(1, height + 1):
        at, branch = divmod(at, RADIX)
        sums = list(_sums(draft, level, at))
        if branch and not sums:
            sums = [int(roll.total)]  # a new root: all that was there is its first branch
        sums[branch : branch + 1] = [] if above is None else [above]
        _save(draft, level, at, sums)
        above = sum(sums) if sums else None
    if _height(size) < height:
        draft.delete(keys.jury_slot(height, 0))
    draft.put(keys.JURY_ROLL, _ROLL.encode(Roll(size, Amount(above or 0))))


def _save(draft: Draft, level: int, at: int, sums: list[int]) -> None:
    if sums:
        draft.put(keys.jury_slot(level, at), _SUMS.encode(tuple(sums)))
    else:
        draft.delete(keys.jury_slot(level, at))


def _height(size: int) -> int:
    """Return how many levels of sums stand above so many places."""
    height, most = 0, 1
    while most < size:
        height, most = height + 1, most * RADIX
    return max(height, min(size, 1))


def _sums(state: State, level: int, at: int) -> tuple[int, ...]:
    return read(state, keys.jury_slot(level, at), _SUMS) or ()


def _weight_at(state: State, place: int) -> Amount:
    at, branch = divmod(place, RADIX)
    return Amount(_sums(state, 1, at)[branch])


def _place(state: State, who: AccountId) -> int | None:
    return read(state, keys.jury_place(who), codec.U64)


def _juror(state: State, place: int) -> AccountId:
    found = state.get(keys.jury_slot(0, place))
    if found is None:
        raise InvariantBroken(f"nobody has place {place} of the roll")
    return AccountId(ACCOUNT_ID.decode_own(found))
