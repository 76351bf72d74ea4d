from __future__ import annotations

import pytest

from dchat.kernel.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from dchat.kernel.merkle.page import (
    BLANK,
    LEAVES_AT,
    OWN_PAGE,
    ROOT_HASH,
    SLOT_HASH,
    is_small,
    leaves_at,
    leaves_in,
    rehash,
    slot_of,
    weight,
)


def leaf(slot: int, number: int = 0) -> bytes:
    return bytes([slot << 4 | number]) * 64


def page(*slots: int) -> bytearray:
    """A page with one leaf in each of these slots, hashed slot by slot."""
    made = bytearray(BLANK)
    for slot in slots:
        made[slot] = 1
        made[SLOT_HASH[slot]] = leaf_hash(leaf(slot))
        made += leaf(slot)
        rehash(made, [slot])
    return made


def test_slots_follow_the_hexadecimal_digits_of_the_path() -> None:
    path = bytes.fromhex("0f5a")

    assert [slot_of(path, level) for level in range(4)] == [0, 15, 5, 10]


def test_a_blank_page_is_an_empty_subtree() -> None:
    assert (BLANK[ROOT_HASH], len(BLANK), is_small(BLANK)) == (EMPTY_ROOT, LEAVES_AT, True)


def test_a_page_with_one_leaf_has_its_hash() -> None:
    assert page(9)[ROOT_HASH] == leaf_hash(leaf(9))


def test_two_leaves_are_hashed_where_they_part() -> None:
    expected = node_hash(leaf_hash(leaf(2)), leaf_hash(leaf(12)))

    assert page(2, 12)[ROOT_HASH] == expected


def test_an_empty_half_is_hashed_beside_two_leaves() -> None:
    lower = node_hash(leaf_hash(leaf(8)), leaf_hash(leaf(12)))

    assert page(8, 12)[ROOT_HASH] == node_hash(EMPTY_ROOT, lower)


def test_hashing_slots_together_is_hashing_them_one_by_one() -> None:
    one_by_one = page(0, 3, 4, 9, 15)
    together = bytearray(one_by_one)
    together[ROOT_HASH] = bytes(32)

    rehash(together, [0, 3, 4, 9, 15])

    assert together == one_by_one


@pytest.mark.parametrize(
    ("first", "end", "found"), [(0, 16, [2, 7, 12]), (0, 7, [2]), (7, 8, [7]), (8, 12, [])]
)
def test_leaves_are_found_by_their_slots(first: int, end: int, found: list[int]) -> None:
    made = bytes(page(2, 7, 12))

    assert leaves_in(made, first, end) == [leaf(slot) for slot in found]
    assert weight(made, first, end) == len(found)


def test_a_slot_with_a_page_of_its_own_keeps_no_leaves_here() -> None:
    made = page(2, 7, 12)
    made[4] = OWN_PAGE

    assert leaves_at(made, 8) == LEAVES_AT + 128


@pytest.mark.parametrize(("slots", "small"), [((1, 2, 3), True), ((1, 2, 3, 4), False)])
def test_a_page_is_small_up_to_three_leaves(slots: tuple[int, ...], *, small: bool) -> None:
    assert is_small(bytes(page(*slots))) is small


def test_a_page_above_another_is_never_small() -> None:
    made = bytearray(BLANK)
    made[4] = OWN_PAGE

    assert not is_small(bytes(made))
