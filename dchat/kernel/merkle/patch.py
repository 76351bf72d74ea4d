"""What takes a changed page back to what it was before, a small part of its size.

    version | 0 | rest              the page as it was, without its version; it is gone now
    version | 1 | u16be mask | slot ...
                                    what the slots in mask (bit s for slot s) were, ascending:
        slot = 255 | hash           a page of its own
             | n | n x 64           n leaves kept in place

The version, u64be, is that of the page before. Hashes that follow from the slots are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dchat.kernel.merkle.hashing import HASH_SIZE, LEAF_SIZE, subtree_hash
from dchat.kernel.merkle.page import (
    HEIGHT,
    OWN_PAGE,
    SLOTS,
    VERSION_SIZE,
    Slot,
    with_slots,
)

_WHOLE: Final = b"\0"
_SLOTS: Final = b"\1"
_ONE_SLOT: Final = tuple(_SLOTS + (1 << slot).to_bytes(2, "big") for slot in range(SLOTS))
_COUNT: Final = tuple(bytes([count]) for count in range(OWN_PAGE + 1))


def whole(before: bytes) -> bytes:
    """Return the patch that brings a removed page back."""
    return before[:VERSION_SIZE] + _WHOLE + before[VERSION_SIZE:]


def of_slot(version: bytes, slot: int, was: Slot) -> bytes:
    """Return the patch that makes one slot what it was in this version."""
    count, leaves, top = was
    return version + _ONE_SLOT[slot] + _COUNT[count] + (top if count == OWN_PAGE else leaves)


def of_slots(version: bytes, slots: Mapping[int, Slot]) -> bytes:
    """Return the patch that makes these slots, given ascending, what they are of this version."""
    mask = sum([1 << slot for slot in slots]).to_bytes(2, "big")
    parts = [version, _SLOTS, mask]
    for count, leaves, top in slots.values():
        parts += (_COUNT[count], top if count == OWN_PAGE else leaves)
    return b"".join(parts)


def is_whole(patch: bytes) -> bool:
    """Return whether the patch needs no page to start from."""
    return patch.startswith(_WHOLE, VERSION_SIZE)


def restore(page: bytes, level: int, patches: Sequence[bytes]) -> bytes:
    """Return the page at level (0 for the root page) with changes undone, the latest first.

    A page that a whole patch brings back may be given as any bytes.
    """
    version = page[:VERSION_SIZE]
    slots: dict[int, Slot] = {}
    for patch in patches:
        version = patch[:VERSION_SIZE]
        if is_whole(patch):
            page = version + patch[VERSION_SIZE + 1 :]
            slots.clear()
        else:
            slots |= _slots(patch, HEIGHT * (level + 1))
    return with_slots(page, version, dict(sorted(slots.items()))) if slots else page


def _slots(patch: bytes, depth: int) -> Mapping[int, Slot]:
    """Return the slots of a patch of a page, which begin at depth, as they were."""
    at = VERSION_SIZE + 3
    mask = int.from_bytes(patch[at - 2 : at], "big")
    slots: dict[int, Slot] = {}
    for slot in [slot for slot in range(SLOTS) if mask >> slot & 1]:
        count = patch[at]
        size = HASH_SIZE if count == OWN_PAGE else count * LEAF_SIZE
        held = patch[at + 1 : at + 1 + size]
        at += 1 + size
        if count == OWN_PAGE:
            slots[slot] = (count, b"", held)
        else:
            slots[slot] = (count, held, subtree_hash(held, depth))
    return slots
