"""What takes a changed page back to what it was before, a small part of its size.

    0 | page                        the page as it was; it is gone now
    1 | u16be mask | slot ...       what the slots in mask (bit s for slot s) were, ascending:
        slot = 255 | hash           a page of its own
             | n | n x 64           n leaves kept in place

Inner hashes are not recorded: they follow from the slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dchat.kernel.merkle.hashing import HASH_SIZE, LEAF_SIZE, subtree_hash
from dchat.kernel.merkle.page import HEIGHT, OWN_PAGE, SLOT_HASH, SLOTS, leaves_at, rehash

_WHOLE: Final = b"\0"
_SLOTS: Final = b"\1"
_ONE_SLOT: Final = tuple(_SLOTS + (1 << slot).to_bytes(2, "big") for slot in range(SLOTS))


def whole(before: bytes) -> bytes:
    """Return the patch that brings a removed page back."""
    return _WHOLE + before


def of_slots(before: bytes, dirty: Sequence[int]) -> bytes:
    """Return the patch that undoes a change of the dirty slots, given ascending."""
    if len(dirty) == 1:
        return _ONE_SLOT[dirty[0]] + _slot(before, dirty[0])
    parts = [_SLOTS, sum([1 << slot for slot in dirty]).to_bytes(2, "big")]
    parts += [_slot(before, slot) for slot in dirty]
    return b"".join(parts)


def _slot(page: bytes, slot: int) -> bytes:
    """Return what a slot is: its count, and its hash or its leaves."""
    count = page[slot]
    if count == OWN_PAGE:
        return page[slot : slot + 1] + page[SLOT_HASH[slot]]
    if not count:
        return b"\0"
    start = leaves_at(page, slot)
    return page[slot : slot + 1] + page[start : start + LEAF_SIZE * count]


def is_whole(patch: bytes) -> bool:
    """Return whether the patch needs no page to start from."""
    return patch.startswith(_WHOLE)


def restore(page: bytes, level: int, patches: Sequence[bytes]) -> bytes:
    """Return the page at level (0 for the root page) with changes undone, the latest first.

    A page that a whole patch brings back may be given as any bytes.
    """
    old = bytearray(page)
    dirty: dict[int, None] = {}
    for patch in patches:
        if is_whole(patch):
            old = bytearray(patch[1:])
        else:
            dirty |= dict.fromkeys(_put_back(old, level, patch))
    if dirty:
        rehash(old, sorted(dirty))
    return bytes(old)


def _put_back(page: bytearray, level: int, patch: bytes) -> list[int]:
    """Make the slots of one patch what they were; return them."""
    mask = int.from_bytes(patch[1:3], "big")
    slots = [slot for slot in range(SLOTS) if mask >> slot & 1]
    at = 3
    for slot in slots:
        count = patch[at]
        size = HASH_SIZE if count == OWN_PAGE else count * LEAF_SIZE
        held = patch[at + 1 : at + 1 + size]
        at += 1 + size
        _put_slot(page, level, slot, (count, held))
    return slots


def _put_slot(page: bytearray, level: int, slot: int, was: tuple[int, bytes]) -> None:
    count, held = was
    start, stop = leaves_at(page, slot), leaves_at(page, slot + 1)
    page[slot] = count
    if count == OWN_PAGE:
        del page[start:stop]
        page[SLOT_HASH[slot]] = held
    else:
        page[start:stop] = held
        leaves = [held[at : at + LEAF_SIZE] for at in range(0, len(held), LEAF_SIZE)]
        page[SLOT_HASH[slot]] = subtree_hash(leaves, HEIGHT * (level + 1))
