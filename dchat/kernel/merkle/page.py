"""A page: four levels of the tree in one byte string, readable without parsing it.

A page is named by the hexadecimal digits of the path that leads to it, as ASCII: the root page by
the empty string. Below it hang sixteen slots, one for each next digit.

    byte 0      16 x u8    a slot's leaves: 0 none, 1..3 kept in this page, 255 a page of its own
    byte 16     31 x 32    hashes of the inner nodes and slots, in heap order:
                           node 1 is the page's root, node i has children 2i and 2i+1,
                           node 16+s is slot s
    byte 1008   n x 64     the leaves kept here, `path | H(value)`, ascending

A slot gets a page of its own exactly when more than three leaves are under it, so the set of
leaves alone decides what the pages look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from dchat.kernel.merkle.hashing import EMPTY_ROOT, HASH_SIZE, LEAF_SIZE, NODE_TAG

HEIGHT: Final = 4
SLOTS: Final = 1 << HEIGHT
MAX_KEPT: Final = 3
OWN_PAGE: Final = 255
LEAVES_AT: Final = SLOTS + HASH_SIZE * (2 * SLOTS - 1)
ROOT_KEY: Final = b""
BLANK: Final = bytes(SLOTS) + EMPTY_ROOT * (2 * SLOTS - 1)
DIGITS: Final = tuple(b"%x" % digit for digit in range(SLOTS))
COUNTS: Final = slice(0, SLOTS)
_SMALL: Final = LEAVES_AT + MAX_KEPT * LEAF_SIZE


def _node(node: int) -> slice:
    start = SLOTS + HASH_SIZE * (node - 1)
    return slice(start, start + HASH_SIZE)


def _above(node: int) -> tuple[slice, slice, slice]:
    """Return where a node's slot counts, its two children and its own hash are."""
    width = SLOTS >> (node.bit_length() - 1)
    first = node * width - SLOTS
    pair = slice(_node(2 * node).start, _node(2 * node + 1).stop)
    return slice(first, first + width), pair, _node(node)


HASH_OF: Final = tuple(_node(max(node, 1)) for node in range(2 * SLOTS))
SLOT_HASH: Final = HASH_OF[SLOTS:]
ROOT_HASH: Final = HASH_OF[1]
_NODES: Final = tuple(_above(max(node, 1)) for node in range(SLOTS))


def _path(slot: int) -> tuple[tuple[slice, slice, slice, bool], ...]:
    """Return of each node above a slot: its slot counts, its hash, the other child's, the turn."""
    steps: list[tuple[slice, slice, slice, bool]] = []
    for up in range(HEIGHT):
        child = (SLOTS + slot) >> up
        counts, _, own = _NODES[child >> 1]
        steps.append((counts, own, _node(child ^ 1), bool(child & 1)))
    return tuple(steps)


_PATHS: Final = tuple(_path(slot) for slot in range(SLOTS))


def slot_of(path: bytes, level: int) -> int:
    """Return which slot of the page at level (0 for the root page) leads on along path."""
    byte = path[level >> 1]
    return byte & 15 if level & 1 else byte >> 4


def leaves_at(page: bytes | bytearray, slot: int) -> int:
    """Return the offset of the first leaf that the page keeps for this slot or a later one."""
    before = sum(page[:slot])
    if before >= OWN_PAGE:
        before -= OWN_PAGE * page.count(OWN_PAGE, 0, slot)
    return LEAVES_AT + LEAF_SIZE * before


def leaves_in(page: bytes, first: int, end: int) -> list[bytes]:
    """Return the leaves that the page keeps for the slots first to end - 1."""
    start, stop = leaves_at(page, first), leaves_at(page, end)
    return [page[at : at + LEAF_SIZE] for at in range(start, stop, LEAF_SIZE)]


def weight(page: bytes, first: int, end: int) -> int:
    """Return the number of leaves under these slots, exact up to three."""
    return sum(page[first:end])


def is_small(page: bytes) -> bool:
    """Return whether so few leaves are under the page that its parent could keep them."""
    return len(page) <= _SMALL and OWN_PAGE not in page[COUNTS]


def rehash(page: bytearray, dirty: Sequence[int]) -> None:
    """Hash every node above the dirty slots, given ascending, again, and each of them once."""
    if len(dirty) == 1 and page[dirty[0]]:
        _rise(page, dirty[0])
        return
    full = 0 not in page[COUNTS]
    for counts, pair, own in _above_all(dirty):
        if full or sum(page[counts]) > 1:
            page[own] = sha256(NODE_TAG + page[pair]).digest()
        else:
            page[own] = _risen(page[pair])


def _rise(page: bytearray, slot: int) -> None:
    """Hash the nodes above one slot, which is not empty, from its hash upwards."""
    top = bytes(page[SLOT_HASH[slot]])
    for counts, own, sibling, turned_right in _PATHS[slot]:
        other = page[sibling]
        if not other.startswith(EMPTY_ROOT) or sum(page[counts]) > 1:
            pair = other + top if turned_right else top + other
            top = sha256(NODE_TAG + pair).digest()
        page[own] = top


def _above_all(slots: Sequence[int]) -> list[tuple[slice, slice, slice]]:
    nodes = [SLOTS + slot for slot in slots]
    found: list[tuple[slice, slice, slice]] = []
    for _ in range(HEIGHT):
        nodes = list(dict.fromkeys([node >> 1 for node in nodes]))
        found += [_NODES[node] for node in nodes]
    return found


def _risen(pair: bytearray) -> bytearray:
    """Return the hash of a node with at most one leaf: that leaf's, as it rises, or empty."""
    return pair[HASH_SIZE:] if pair.startswith(EMPTY_ROOT) else pair[:HASH_SIZE]
