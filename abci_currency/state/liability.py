"""What stake that left a validator still answers for.

    ("left", operator)                   [total, first, next, height]   heads the log below
    ("left", operator, number)           [height, total before that block, time]
    ("slashes", operator)                [[made_at, number, offence_height, fraction_bp, time], …]
    ("slash", operator, height, number)  Slash, for whoever asks

A slash takes a fraction of the stake as it was at the offence. What left since then bears its part
when it is due (`taken_off`), whatever the number of entries; the validator's present tokens bear
the rest, for which `left_since` counts what left. The power of height h is the stake at the end of
block h-2 (SET_DELAY): what left in the block before an offence, or later, was at stake in it.

Reading and writing here takes a fixed number of keys, never a walk over what a block wrote. The log
of what left is cut by two entries at each new one, the list of slashes as it grows.
Source: Cosmos SDK x/staking (slash of unbonding and redelegated stake); ADR 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import Final

from abci_currency import keys, params
from dchat.kernel import codec
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft, State, read

SET_DELAY: Final = 2
"""Blocks from a change of stake to the height at which it votes. Source: CometBFT's ABCI."""
MAX_SLASHES: Final = 32
"""Kept for one validator. The end of every entry adds them up, so there are few of them; the
smallest fraction makes room, so nobody pushes out what he signed twice by being away often."""
_LISTS_REMEMBERED: Final = 64
_LONGEST_MS: Final = 2 * params.STAKING.bounds["unbonding_ms"][1]
"""Stake that was redelegated and then leaves answers for its source through two unbonding times,
and either may be longer than the one in force, which a vote has shortened since."""
_CUT: Final = 2
_NOTHING: Final = Amount(0)
_NEVER: Final = Height(0)


class Fault(IntEnum):
    """What a slash is for; evidence keeps CometBFT's numbers."""

    DOWNTIME = 0
    DUPLICATE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2


@dataclass(frozen=True, slots=True)
class Slash:
    """One slash of a validator, as it is shown."""

    fault: int
    """A Fault."""
    offence_height: Height
    fraction_bp: int
    tokens_then: Amount
    """The validator's stake at the offence."""
    burned: Amount
    """What its present stake bore at once."""
    time_ms: EpochMs


@dataclass(frozen=True, slots=True)
class Made:
    """What has to be known of a slash to take it off what left."""

    made_at: Height
    number: int
    """Among those that were made of this validator in the same block."""
    offence_height: Height
    fraction_bp: int
    time_ms: EpochMs


@dataclass(frozen=True, slots=True)
class _Head:
    total: Amount = _NOTHING
    """What ever left, in base units."""
    first: int = 0
    next: int = 0
    height: Height = _NEVER
    """That of the newest entry."""


@dataclass(frozen=True, slots=True)
class _Entry:
    height: Height
    before: Amount
    """What had left before that block."""
    time_ms: EpochMs


_HEAD: Final = codec.Record(
    _Head, total=codec.U128, first=codec.U64, next=codec.U64, height=codec.U64
)
_ENTRY: Final = codec.Record(_Entry, height=codec.U64, before=codec.U128, time_ms=codec.U64)
_MADE: Final = codec.ListOf(
    codec.Record(
        Made,
        made_at=codec.U64,
        number=codec.U64,
        offence_height=codec.U64,
        fraction_bp=codec.U64,
        time_ms=codec.U64,
    ),
    MAX_SLASHES,
)
SLASH: Final = codec.Record(
    Slash,
    fault=codec.U64,
    offence_height=codec.U64,
    fraction_bp=codec.U64,
    tokens_then=codec.U64,
    burned=codec.U64,
    time_ms=codec.U64,
)


def left(draft: Draft, operator: AccountId, tokens: Amount, height: Height, now: EpochMs) -> None:
    """Count tokens that leave a validator in this block by anything but a slash."""
    head = _head(draft, operator)
    if head.height < height or head.next == 0:
        entry = _Entry(height, head.total, now)
        draft.put(keys.left_entry(operator, head.next), _ENTRY.encode(entry))
        first = _cut(draft, operator, head, now)
        head = _Head(head.total, first, head.next + 1, height)
    draft.put(keys.left(operator), _HEAD.encode(replace(head, total=Amount(head.total + tokens))))


def _cut(draft: Draft, operator: AccountId, head: _Head, now: EpochMs) -> int:
    """Delete up to two entries that no evidence can ask for any more; return the first left."""
    oldest = now - params.SLASHING.load(draft).evidence_max_age_ms
    first = head.first
    while first < min(head.next, head.first + _CUT):
        # One block's entry is asked for by offences in the block after it, too.
        if _entry(draft, operator, first + 1).time_ms >= oldest:
            break
        draft.delete(keys.left_entry(operator, first))
        first += 1
    return first


def left_since(state: State, operator: AccountId, offence_height: Height) -> Amount:
    """Return what left a validator of the stake that it had at an offence."""
    head = _head(state, operator)
    low, high = head.first, head.next
    while low < high:
        middle = (low + high) // 2
        if _entry(state, operator, middle).height > offence_height - SET_DELAY:
            high = middle
        else:
            low = middle + 1
    before = _entry(state, operator, low).before if low < head.next else head.total
    return Amount(head.total - before)


def taken_off(
    state: State, operator: AccountId, tokens: Amount, begun_at: Height, now: Height
) -> Amount:
    """Return what remains of tokens that left a validator in block begun_at, rounded down.

    Taken off is the sum of the fractions of all slashes made after that block, up to block now,
    for offences in which these tokens were at stake.
    """
    bearing = [
        made.fraction_bp
        for made in slashes(state, operator)
        if made.offence_height - SET_DELAY < begun_at < made.made_at <= now
    ]
    lost = min(params.BASIS_POINTS, sum(bearing))
    return Amount(tokens * (params.BASIS_POINTS - lost) // params.BASIS_POINTS)


def slashes(state: State, operator: AccountId) -> tuple[Made, ...]:
    """Return the slashes of a validator that may still concern stake that left it."""
    found = state.get(keys.slashes(operator))
    return () if found is None else _listed(found)


@lru_cache(maxsize=_LISTS_REMEMBERED)
def _listed(record: bytes) -> tuple[Made, ...]:
    """Decode once what all entries ask for that end in a block."""
    return _MADE.decode_own(record)


def record(draft: Draft, operator: AccountId, slash: Slash, height: Height) -> None:
    """Write a slash made in block height, and forget those that concern no stake any more."""
    listed = slashes(draft, operator)
    number = 1 + max([each.number for each in listed if each.made_at == height], default=-1)
    oldest = slash.time_ms - _LONGEST_MS
    doubtful = slash.time_ms - 2 * params.STAKING.load(draft).unbonding_ms
    made = Made(height, number, slash.offence_height, slash.fraction_bp, slash.time_ms)
    recent = [each for each in listed if each.time_ms >= oldest]
    kept = (*_with_room(recent, doubtful), made)
    for each in listed:
        if each not in kept:
            draft.delete(keys.slash(operator, each.made_at, each.number))
    draft.put(keys.slash(operator, height, number), SLASH.encode(slash))
    draft.put(keys.slashes(operator), _MADE.encode(kept))


def _with_room(recent: Sequence[Made], doubtful: int) -> Sequence[Made]:
    """Return all but one if there is no room for another.

    It is one from before the time `doubtful`, of which only a vote for a shorter unbonding time can
    have left any stake that answers for it; else the smallest fraction, the oldest of equals.
    """
    if len(recent) < MAX_SLASHES:
        return recent
    least = min(recent, key=lambda each: (each.time_ms >= doubtful, each.fraction_bp))
    return [each for each in recent if each is not least]


def widen(
    draft: Draft, operator: AccountId, made_at: Height, known: Height, earlier: Height
) -> None:
    """Let what left since an earlier offence, too, bear the slash that was made in block made_at.

    `known` is the offence that it was made for, as far as that is listed.
    """
    listed, named = slashes(draft, operator), (made_at, known)
    kept = tuple(
        replace(each, offence_height=earlier)
        if (each.made_at, each.offence_height) == named
        else each
        for each in listed
    )
    if kept != listed:
        draft.put(keys.slashes(operator), _MADE.encode(kept))


def _head(state: State, operator: AccountId) -> _Head:
    return read(state, keys.left(operator), _HEAD) or _Head()


def _entry(state: State, operator: AccountId, number: int) -> _Entry:
    found = state.get(keys.left_entry(operator, number))
    if found is None:
        raise InvariantBroken(f"entry {number} of what left a validator is missing")
    return _ENTRY.decode_own(found)
