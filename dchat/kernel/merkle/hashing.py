"""The tree's hashes: those of the Jellyfish Merkle tree with SHA-256.

    leaf  = H("JMT::LeafNode" | H(key) | H(value))
    node  = H("JMT::IntrnalNode" | left | right)
    empty = "SPARSE_MERKLE_PLACEHOLDER_HASH__", as it stands

The path of a key is H(key), its bits read from the most significant one. A subtree that holds one
leaf has that leaf's hash, at whatever depth it begins.

Source: penumbra-zone/jmt, `types/proof.rs` and `test_vectors/sha2_256_vectors.json`; ADR 3.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
LEAF_SIZE: Final = 2 * HASH_SIZE
MAX_DEPTH: Final = 8 * HASH_SIZE
EMPTY_ROOT: Final = b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
LEAF_TAG: Final = b"JMT::LeafNode"
NODE_TAG: Final = b"JMT::IntrnalNode"


def digest(text: bytes) -> bytes:
    """Return H(text): a key's path, or what a leaf holds of its value."""
    return sha256(text).digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf, given as `path | H(value)`."""
    return sha256(LEAF_TAG + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node with these children."""
    return sha256(NODE_TAG + left + right).digest()


def bit_at(path: bytes, depth: int) -> int:
    """Return which way path turns below depth: 0 left, 1 right."""
    return (path[depth >> 3] >> (7 - (depth & 7))) & 1


def common_bits(one: bytes, other: bytes) -> int:
    """Return how deep two paths go together; a leaf may stand for its path."""
    apart = int.from_bytes(one[:HASH_SIZE], "big") ^ int.from_bytes(other[:HASH_SIZE], "big")
    return MAX_DEPTH - apart.bit_length()


def cut(leaves: bytes) -> list[bytes]:
    """Return the single leaves of a run of them."""
    return [leaves[at : at + LEAF_SIZE] for at in range(0, len(leaves), LEAF_SIZE)]


def split(leaves: bytes, depth: int) -> int:
    """Return where those that turn right below depth begin in a run of leaves alike above it."""
    for at in range(0, len(leaves), LEAF_SIZE):
        if leaves[at + (depth >> 3)] >> (7 - (depth & 7)) & 1:
            return at
    return len(leaves)


def subtree_hash(leaves: bytes, depth: int) -> bytes:
    """Return the hash of the subtree at depth that holds this run of leaves, sorted by path."""
    if len(leaves) == LEAF_SIZE:
        return sha256(LEAF_TAG + leaves).digest()
    if not leaves:
        return EMPTY_ROOT
    fork = common_bits(leaves, leaves[-LEAF_SIZE:])
    middle = split(leaves, fork)
    left = subtree_hash(leaves[:middle], fork + 1)
    top = node_hash(left, subtree_hash(leaves[middle:], fork + 1))
    for above in range(fork - 1, depth - 1, -1):
        top = node_hash(EMPTY_ROOT, top) if bit_at(leaves, above) else node_hash(top, EMPTY_ROOT)
    return top
