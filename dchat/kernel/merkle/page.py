"""A page: four levels of the tree in one byte string, node i at byte 32 i.

A page is named by "p" and the hexadecimal digits of the path that leads to it: the root page is
"p", page "p3f" holds what is under the paths that begin with 3f. Below a page hang sixteen slots,
one for each next digit.

    byte 0      u64be      version: the height of the block that wrote the page
    byte 8      8 zeros
    byte 16     16 x u8    a slot's leaves: 0 none, 1..3 kept in this page, 255 a page of its own
    byte 32     31 x 32    hashes of the inner nodes and slots, in heap order:
                           node 1 is the page's root, node i has children 2i and 2i+1,
                           node 16+s is slot s
    byte 1024   n x 64     the leaves kept here, `path | H(value)`, ascending

A slot gets a page of its own exactly when more than three leaves are under it, so but for the
version the set of leaves alone decides what the pages look like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final

from dchat.kernel.merkle.hashing import EMPTY_ROOT, HASH_SIZE, LEAF_SIZE, NODE_TAG

HEIGHT: Final = 4
SLOTS: Final = 1 << HEIGHT
MAX_KEPT: Final = 3
OWN_PAGE: Final = 255
VERSION_SIZE: Final = 8
COUNTS_AT: Final = HASH_SIZE - SLOTS
LEAVES_AT: Final = 2 * SLOTS * HASH_SIZE
# What a slot is: its count, the leaves kept in place, its hash.
Slot = tuple[int, bytes, bytes]

ROOT_KEY: Final = b"p"
BLANK: Final = bytes(HASH_SIZE) + EMPTY_ROOT * (2 * SLOTS - 1)
DIGITS: Final = tuple(b"%x" % digit for digit in range(SLOTS))
COUNTS: Final = slice(COUNTS_AT, HASH_SIZE)
ROOT_HASH: Final = slice(HASH_SIZE, 2 * HASH_SIZE)
_SMALL: Final = LEAVES_AT + MAX_KEPT * LEAF_SIZE
_SPARE: Final = bytes(COUNTS_AT - VERSION_SIZE)
# A copy of a hash that has taken the tag in costs a fifth less than one begun anew.
_tagged: Final = sha256(NODE_TAG).copy
_NODES: Final = Struct(f"{HASH_SIZE}s" * 2 * SLOTS)


def level_of(name: bytes) -> int:
    """Return how many pages lie above the one with this name."""
    return len(name) - len(ROOT_KEY)


def node_at(page: bytes, node: int) -> bytes:
    """Return the hash of a node of the page."""
    at = HASH_SIZE * node
    return page[at : at + HASH_SIZE]


def slot_of(path: bytes, name: bytes) -> int:
    """Return which slot of the page with this name leads on along path."""
    level = len(name) - len(ROOT_KEY)
    byte = path[level >> 1]
    return byte & 15 if level & 1 else byte >> 4


def leaves_at(page: bytes, slot: int) -> int:
    """Return the offset of the first leaf that the page keeps for this slot or a later one."""
    before = sum(page[COUNTS_AT : COUNTS_AT + slot])
    if before >= OWN_PAGE:
        before -= OWN_PAGE * page.count(OWN_PAGE, COUNTS_AT, COUNTS_AT + slot)
    return LEAVES_AT + LEAF_SIZE * before


def leaves_in(page: bytes, first: int, end: int) -> bytes:
    """Return the leaves, joined, that the page keeps for the slots first to end - 1."""
    return page[leaves_at(page, first) : leaves_at(page, end)]


def weight(page: bytes, first: int, end: int) -> int:
    """Return the number of leaves under these slots, exact up to three."""
    return sum(page[COUNTS_AT + first : COUNTS_AT + end])


def is_small(page: bytes) -> bool:
    """Return whether so few leaves are under the page that its parent could keep them."""
    return len(page) <= _SMALL and OWN_PAGE not in page[COUNTS]


def slot_at(page: bytes, slot: int) -> Slot:
    """Return what a slot of the page is."""
    count = page[COUNTS_AT + slot]
    top = node_at(page, SLOTS + slot)
    if count == OWN_PAGE or not count:
        return count, b"", top
    at = leaves_at(page, slot)
    return count, page[at : at + LEAF_SIZE * count], top


def with_slots(page: bytes, version: bytes, slots: Mapping[int, Slot]) -> bytes:
    """Return the page with these slots, one or more and ascending, and all hashes above them."""
    nodes = [*_NODES.unpack_from(page)]
    counts = bytearray(page[COUNTS])
    at = LEAVES_AT
    for slot, (count, leaves, top) in slots.items():
        nodes[SLOTS + slot] = top
        was = counts[slot]
        if leaves or was != OWN_PAGE:
            start = leaves_at(page, slot)
            nodes += (page[at:start], leaves)
            at = start if was == OWN_PAGE else start + LEAF_SIZE * was
        counts[slot] = count
    nodes.append(page[at:])
    _rehash(nodes, counts, [SLOTS + slot for slot in slots])
    nodes[0] = version + _SPARE + counts
    return b"".join(nodes)


def with_slot(page: bytes, version: bytes, slot: int, now: Slot) -> bytes:
    """Return what `with_slots` does, faster, for one slot: most of what a large tree sees."""
    count, leaves, top = now
    was = page[COUNTS_AT + slot]
    if was == OWN_PAGE == count:
        return _with_top(page, version, SLOTS + slot, top)
    if not count:
        return with_slots(page, version, {slot: now})
    nodes = [*_NODES.unpack_from(page)]
    nodes[SLOTS + slot] = top
    _rise(nodes, SLOTS + slot, alone=count == 1)
    at = leaves_at(page, slot)
    end = at if was == OWN_PAGE else at + LEAF_SIZE * was
    nodes += (page[LEAVES_AT:at], leaves, page[end:])
    head = page[VERSION_SIZE:HASH_SIZE]
    if was != count:
        at = COUNTS_AT - VERSION_SIZE + slot
        head = b"%b%c%b" % (head[:at], count, head[at + 1 :])
    nodes[0] = version + head
    return b"".join(nodes)


def _with_top(page: bytes, version: bytes, node: int, top: bytes) -> bytes:
    """Return the page with another hash at a slot that has, and had, a page of its own."""
    after = bytearray(page)
    after[:VERSION_SIZE] = version
    at = HASH_SIZE * node
    after[at : at + HASH_SIZE] = top
    while node > 1:
        other = HASH_SIZE * (node ^ 1)
        state = _tagged()
        if node & 1:
            state.update(page[other : other + HASH_SIZE] + top)
        else:
            state.update(top + page[other : other + HASH_SIZE])
        top = state.digest()
        node >>= 1
        at = HASH_SIZE * node
        after[at : at + HASH_SIZE] = top
    return bytes(after)


def _rise(nodes: list[bytes], node: int, *, alone: bool) -> None:
    """Hash what is above one node again; alone tells that just one leaf is under it."""
    top = nodes[node]
    while node > 1:
        other = nodes[node ^ 1]
        if not alone or other != EMPTY_ROOT:
            alone = False
            state = _tagged()
            state.update(other + top if node & 1 else top + other)
            top = state.digest()
        node >>= 1
        nodes[node] = top


def _rehash(nodes: list[bytes], counts: bytearray, dirty: Sequence[int]) -> None:
    """Hash what is above the dirty nodes, all of one level, again, and each node once."""
    full = 0 not in counts
    while dirty[0] > 1:
        dirty = [*dict.fromkeys([node >> 1 for node in dirty])]
        for node in dirty:
            left, right = nodes[2 * node], nodes[2 * node + 1]
            if full or _weight(counts, node) > 1:
                state = _tagged()
                state.update(left + right)
                nodes[node] = state.digest()
            else:
                nodes[node] = right if left == EMPTY_ROOT else left


def _weight(counts: bytearray, node: int) -> int:
    """Return the number of leaves under a node, exact up to three."""
    width = SLOTS >> (node.bit_length() - 1)
    first = node * width - SLOTS
    return sum(counts[first : first + width])
