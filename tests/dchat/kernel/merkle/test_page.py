from __future__ import annotations

import pytest

from dchat.kernel.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from dchat.kernel.merkle.page import (
    BLANK,
    COUNTS,
    LEAVES_AT,
    OWN_PAGE,
    ROOT_HASH,
    Slot,
    is_small,
    leaves_at,
    leaves_in,
    level_of,
    slot_at,
    slot_of,
    weight,
    with_slot,
    with_slots,
)

VERSION = bytes([7] * 8)
EMPTY: Slot = (0, b"", EMPTY_ROOT)


def leaf(slot: int, number: int = 0) -> bytes:
    return bytes([slot << 4 | number]) * 64


def lone(slot: int) -> Slot:
    """A slot with one leaf."""
    return 1, leaf(slot), leaf_hash(leaf(slot))


def page(*slots: int) -> bytes:
    """A page with one leaf in each of these slots."""
    return with_slots(BLANK, VERSION, {slot: lone(slot) for slot in slots})


def test_slots_follow_the_hexadecimal_digits_of_the_path() -> None:
    path = bytes.fromhex("0f5a")
    names = (b"p", b"p0", b"p0f", b"p0f5")

    assert [(level_of(name), slot_of(path, name)) for name in names] == [
        (0, 0),
        (1, 15),
        (2, 5),
        (3, 10),
    ]


def test_a_blank_page_is_an_empty_subtree() -> None:
    assert (BLANK[ROOT_HASH], any(BLANK[COUNTS]), is_small(BLANK)) == (EMPTY_ROOT, False, True)


def test_a_page_with_one_leaf_has_its_hash() -> None:
    assert page(9)[ROOT_HASH] == leaf_hash(leaf(9))


def test_two_leaves_are_hashed_where_they_part() -> None:
    expected = node_hash(leaf_hash(leaf(2)), leaf_hash(leaf(12)))

    assert page(2, 12)[ROOT_HASH] == expected


def test_an_empty_half_is_hashed_beside_two_leaves() -> None:
    lower = node_hash(leaf_hash(leaf(8)), leaf_hash(leaf(12)))

    assert page(8, 12)[ROOT_HASH] == node_hash(EMPTY_ROOT, lower)


@pytest.mark.parametrize("slots", [(0,), (3, 12), (0, 3, 4, 9, 15), tuple(range(16))])
def test_slots_changed_together_are_slots_changed_one_by_one(slots: tuple[int, ...]) -> None:
    one_by_one = page(4, 5)

    for slot in slots:
        one_by_one = with_slot(one_by_one, VERSION, slot, (OWN_PAGE, b"", bytes([slot]) * 32))

    changed = {slot: (OWN_PAGE, b"", bytes([slot]) * 32) for slot in slots}
    assert with_slots(page(4, 5), VERSION, changed) == one_by_one


@pytest.mark.parametrize("now", [EMPTY, lone(4), (2, leaf(4) + leaf(4, 1), bytes(32))])
@pytest.mark.parametrize("was", [EMPTY, lone(4), (OWN_PAGE, b"", bytes(32))])
@pytest.mark.parametrize("beside", [(), (5,), (2,), (9,), (0, 1, 2, 3, 5, 6, 7, 8, 15)])
def test_a_slot_changes_into_any_other_alone_as_among_others(
    was: Slot, now: Slot, beside: tuple[int, ...]
) -> None:
    others = {slot: lone(slot) for slot in beside}
    before = with_slots(BLANK, VERSION, dict(sorted({**others, 4: was}.items())))

    after = with_slot(before, VERSION, 4, now)

    afresh = with_slots(BLANK, VERSION, dict(sorted({**others, 4: now}.items())))
    assert (after, slot_at(after, 4)) == (afresh, now)


def test_a_page_begins_with_the_version_that_changed_it() -> None:
    assert with_slot(page(3), bytes(7) + b"\x09", 3, EMPTY) == bytes(7) + b"\x09" + BLANK[8:]


@pytest.mark.parametrize(
    ("first", "end", "found"), [(0, 16, [2, 7, 12]), (0, 7, [2]), (7, 8, [7]), (8, 12, [])]
)
def test_leaves_are_found_by_their_slots(first: int, end: int, found: list[int]) -> None:
    made = page(2, 7, 12)

    assert leaves_in(made, first, end) == b"".join([leaf(slot) for slot in found])
    assert weight(made, first, end) == len(found)


def test_a_slot_with_a_page_of_its_own_keeps_no_leaves_here() -> None:
    made = with_slot(page(2, 7, 12), VERSION, 4, (OWN_PAGE, b"", bytes(32)))

    assert leaves_at(made, 8) == LEAVES_AT + 128


@pytest.mark.parametrize(("slots", "small"), [((1, 2, 3), True), ((1, 2, 3, 4), False)])
def test_a_page_is_small_up_to_three_leaves(slots: tuple[int, ...], *, small: bool) -> None:
    assert is_small(page(*slots)) is small


def test_a_page_above_another_is_never_small() -> None:
    assert not is_small(with_slot(BLANK, VERSION, 4, (OWN_PAGE, b"", bytes(32))))
