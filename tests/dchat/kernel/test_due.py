from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import due
from dchat.kernel.due import Due
from dchat.kernel.ids import EpochMs
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState

SOON, LATER, LAST = EpochMs(5), EpochMs(256), EpochMs(2**64 - 1)


def queued(*places: tuple[EpochMs, bytes]) -> Draft:
    draft = Draft(MemoryState())
    for at, entry in places:
        due.put(draft, at, entry)
    return draft


def test_what_is_due_comes_the_soonest_first() -> None:
    draft = queued((LATER, b"a"), (SOON, b"z"), (SOON, b"b"))

    found = list(due.pending(draft, LATER))

    assert [(each.at, each.entry) for each in found] == [(5, b"b"), (5, b"z"), (256, b"a")]


def test_what_is_due_later_is_not_looked_at() -> None:
    draft = queued((SOON, b"a"), (LATER, b"b"))

    assert list(due.pending(draft, EpochMs(4))) == []
    assert list(due.pending(draft, SOON)) == [Due(due.key(SOON, b"a"), SOON, b"a")]
    assert [each.entry for each in due.pending(draft, EpochMs(255))] == [b"a"]


def test_the_last_millisecond_there_is_has_a_place() -> None:
    assert [each.at for each in due.pending(queued((LAST, b"a")), LAST)] == [LAST]


def test_the_same_entry_at_the_same_time_is_there_once() -> None:
    draft = queued((SOON, b"a"), (SOON, b"a"), (LATER, b"a"))

    assert [each.at for each in due.pending(draft, LATER)] == [SOON, LATER]


def test_what_is_dropped_is_due_no_more() -> None:
    draft = queued((SOON, b"a"), (SOON, b"b"), (LATER, b"a"))

    due.drop(draft, SOON, b"a")
    due.drop(draft, SOON, b"nothing")

    assert [each.place for each in due.pending(draft, LATER)] == [
        due.key(SOON, b"b"),
        due.key(LATER, b"a"),
    ]


def test_what_was_found_may_be_deleted_before_the_next_is_looked_for() -> None:
    draft = queued((SOON, b"a"), (SOON, b"b"), (LATER, b"c"))
    found = list(islice(due.pending(draft, LATER), 2))

    draft.delete(found[0].place)
    draft.delete(found[1].place)

    assert [each.entry for each in due.pending(draft, LATER)] == [b"c"]


def test_nothing_else_of_the_state_is_due() -> None:
    draft = queued()
    draft.put(due.SPACE[:-1], b"")
    draft.put(due.SPACE[:-1] + b"h", b"")

    assert list(due.pending(draft, LAST)) == []


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1).map(EpochMs), st.binary(max_size=40))))
def test_the_queue_is_in_the_order_of_time_whatever_the_entries(
    places: list[tuple[EpochMs, bytes]],
) -> None:
    found = [(each.at, each.entry) for each in due.pending(queued(*places), LAST)]

    assert sorted(found, key=lambda place: place[0]) == found
    assert set(found) == set(places)
