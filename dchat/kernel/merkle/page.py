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

from typing import Final

from dchat.kernel.merkle.hashing import EMPTY_ROOT, HASH_SIZE, LEAF_SIZE

HEIGHT: Final = 4
SLOTS: Final = 1 << HEIGHT
MAX_KEPT: Final = 3
OWN_PAGE: Final = 255
HEAP_AT: Final = SLOTS
LEAVES_AT: Final = HEAP_AT + HASH_SIZE * (2 * SLOTS - 1)
ROOT_KEY: Final = b""
BLANK: Final = bytes(SLOTS) + EMPTY_ROOT * (2 * SLOTS - 1)
DIGITS: Final = tuple(b"%x" % digit for digit in range(SLOTS))


def slot_of(path: bytes, level: int) -> int:
    """Return which slot of the page at level (0 for the root page) leads on along path."""
    byte = path[level >> 1]
    return byte & 15 if level & 1 else byte >> 4


def node_in(page: bytes, node: int) -> bytes:
    """Return the hash of a node, counted in heap order from 1."""
    at = HEAP_AT - HASH_SIZE + HASH_SIZE * node
    return page[at : at + HASH_SIZE]


def leaves_before(page: bytes, slot: int) -> int:
    """Return how many leaves the page keeps for the slots below slot."""
    return sum(page[:slot]) - OWN_PAGE * page.count(OWN_PAGE, 0, slot)


def leaves_in(page: bytes, first: int, end: int) -> list[bytes]:
    """Return the leaves that the page keeps for the slots first to end - 1."""
    start = LEAVES_AT + LEAF_SIZE * leaves_before(page, first)
    stop = LEAVES_AT + LEAF_SIZE * leaves_before(page, end)
    return [page[at : at + LEAF_SIZE] for at in range(start, stop, LEAF_SIZE)]


def weight(page: bytes, first: int, end: int) -> int:
    """Return the number of leaves under these slots, exact up to three."""
    return sum(page[first:end])
