"""Reputation: whole numbers from provable deeds alone, halved every so many blocks when read.

    ("reputation", id)    [deed, since, thousandths, deed, since, …]     by deed, then by height

Deeds of one kind in one half of a half-life are one mark, `since` the height at which that half
began. A mark counts for half as much with every half-life that has passed since then, rounded down,
and for nothing after eight of them. So what somebody did loses its first half when between a half
and a whole half-life has passed, and the next one every half-life from there on.

Marks count thousandths of a point, and only the sum is rounded: it makes no difference in how many
transactions or blocks somebody pays the same fees. Nothing ticks: an idle account costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast

from abci_chat import keys, params
from dchat.kernel import codec
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.store import Draft, State, read

MAX_HALF_LIVES: Final = 8
"""After so many a mark counts for nothing, and goes with the next one that is written."""
THOUSANDTHS: Final = 1000
MAX_MARKS: Final = 2 * MAX_HALF_LIVES + 1
"""Marks of one kind of deed: an odd half-life is a little longer than two halves of it."""
MAX_THOUSANDTHS: Final = codec.MAX_U64 // 256
"""Of one mark; more than that is not counted, so that all marks together are within 64 bits."""

_Row = tuple[int, int, int]
"""Deed, since, thousandths."""


class Deed(IntEnum):
    """What counts; the numbers are frozen. Messages never do."""

    FEES_PAID = 1
    BALLOT = 2
    VERDICT = 3
    REPORT_UPHELD = 4
    DELIVERY = 5
    """Proved over the bridge."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What deeds of one kind counted that were done in one half of a half-life."""

    deed: Deed
    since: Height
    """Where that half began."""
    thousandths: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """A mark, and what it still counts."""

    mark: Mark
    left: int
    """Thousandths of a point."""


@dataclass(frozen=True, slots=True)
class Record:
    """All marks of one account, flat: three numbers each, so that a block reads them fast."""

    numbers: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return RECORD.encode(self)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The marks as such."""
        return tuple([Mark(Deed(deed), Height(since), held) for deed, since, held in _rows(self)])


class _Marks(codec.Shape[Record]):
    def lower(self, value: Record) -> codec.Raw:
        return _NUMBERS.lower(value.numbers)

    def lift(self, raw: object) -> Record:
        numbers = _NUMBERS.lift(raw)
        if len(numbers) % _WIDTH:
            raise codec.CodecError(f"{len(numbers)} numbers are no marks")
        for deed in numbers[::_WIDTH]:
            _DEED.lift(deed)
        return Record(numbers)

    def decode_own(self, data: bytes) -> Record:
        return Record(cast("tuple[int, ...]", tuple(codec.unpack_array(data))))


_DEED: Final = codec.Choice(Deed)
_WIDTH: Final = 3
_NUMBERS: Final = codec.ListOf(codec.U64, _WIDTH * MAX_MARKS * len(Deed))
RECORD: Final[codec.Shape[Record]] = _Marks()
_NONE: Final = Record()


def add(draft: Draft, owner: AccountId, deed: Deed, points: int, height: Height) -> None:
    """Count a deed of an account; 0 points write nothing."""
    count(draft, owner, deed, points * THOUSANDTHS, height)


def count(draft: Draft, owner: AccountId, deed: Deed, thousandths: int, height: Height) -> None:
    """Count so many thousandths of a point for an account; 0 write nothing."""
    if not thousandths:
        return
    half_life = params.REPUTATION.load(draft).half_life_blocks
    oldest = height - MAX_HALF_LIVES * half_life
    rows = [row for row in _rows(_load(draft, owner)) if row[1] > oldest]
    half = half_life // 2
    _count(rows, (int(deed), height // half * half, min(thousandths, MAX_THOUSANDTHS)))
    draft.put(keys.reputation(owner), Record(tuple([number for row in rows for number in row])))


def score(state: State, owner: AccountId, height: Height) -> int:
    """Return what the account's deeds count at that height, in whole points, rounded down."""
    half_life = params.REPUTATION.load(state).half_life_blocks
    return _score(_rows(_load(state, owner)), half_life, height)


def is_trusted(state: State, owner: AccountId, height: Height) -> bool:
    """Tell whether the account's score lowers its fees and widens its limits."""
    held = _load(state, owner)
    if not held.numbers:
        return False
    rules = params.REPUTATION.load(state)
    return _score(_rows(held), rules.half_life_blocks, height) >= rules.trusted_points


def contributions(state: State, owner: AccountId, height: Height) -> tuple[Contribution, ...]:
    """Return all that the account's score at that height is the sum of, by deed, then by height."""
    half_life = params.REPUTATION.load(state).half_life_blocks
    held = _load(state, owner).marks
    found = [Contribution(each, _left(_row(each), half_life, height)) for each in held]
    return tuple(each for each in found if each.left)


def _load(state: State, owner: AccountId) -> Record:
    return read(state, keys.reputation(owner), RECORD) or _NONE


def _rows(record: Record) -> Iterable[_Row]:
    numbers = iter(record.numbers)
    return zip(numbers, numbers, numbers, strict=True)


def _row(mark: Mark) -> _Row:
    return int(mark.deed), mark.since, mark.thousandths


def _score(rows: Iterable[_Row], half_life: int, height: Height) -> int:
    return sum([_left(row, half_life, height) for row in rows]) // THOUSANDTHS


def _left(row: _Row, half_life: int, height: Height) -> int:
    _, since, thousandths = row
    halvings = max(0, height - since) // half_life
    return thousandths >> halvings if halvings < MAX_HALF_LIVES else 0


def _count(rows: list[_Row], new: _Row) -> None:
    """Put the new row into its place, or on top of what is there."""
    at = bisect_left(rows, new[:2])
    if at < len(rows) and rows[at][:2] == new[:2]:
        rows[at] = _together(rows[at], new)
        return
    rows.insert(at, new)
    first = bisect_left(rows, new[:1])
    if sum([row[0] == new[0] for row in rows]) > MAX_MARKS:
        rows[first : first + 2] = [_together(rows[first], rows[first + 1])]


def _together(older: _Row, newer: _Row) -> _Row:
    """Return both as one, as old as the older: nobody gains by it.

    There are too many only where votes changed the half-life.
    """
    return older[0], older[1], min(older[2] + newer[2], MAX_THOUSANDTHS)
