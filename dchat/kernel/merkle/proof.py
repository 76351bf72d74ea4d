"""What proves to a stranger that a key has a value, or has none, under a root hash.

A proof holds what lies at the end of the key's path, a leaf or nothing, and the sibling hashes
on the way. The key is present if the leaf is its own. It is absent if there is nothing, or the
leaf of another key: a subtree that holds one leaf is that leaf, so no other key can be there.

    proof = [leaf, siblings]      canonical codec
    leaf  = [] | [path, H(value)]
    siblings = at most 256 hashes, from the root's children downwards

Source: ICS 23 (shape), penumbra-zone/jmt (hashes); ADR 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dchat.kernel.codec import CodecError, Fixed, ListOf, Record
from dchat.kernel.errors import InvariantBroken, RemoteProtocolError
from dchat.kernel.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    LEAF_SIZE,
    MAX_DEPTH,
    bit_at,
    common_bits,
    digest,
    leaf_hash,
    node_hash,
    split,
    subtree_hash,
)
from dchat.kernel.merkle.page import (
    COUNTS_AT,
    DIGITS,
    HEIGHT,
    OWN_PAGE,
    ROOT_KEY,
    SLOTS,
    leaves_in,
    node_at,
    slot_of,
    weight,
)
from dchat.kernel.merkle.tree import NodeStore

MAX_PROOF_BYTES: Final = 16 * 1024
PROOF_TYPE: Final = "dchat:jmt:1"
"""How an answer names this form of proof, so that another one can follow."""


class BadProof(RemoteProtocolError):
    """The proof does not show what it was sent to show."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The end of a key's path, `()` or `(path, H(value))`, and the siblings from the top down."""

    leaf: tuple[bytes, ...]
    siblings: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the proof's canonical bytes. Raises: CodecError if it is out of bounds."""
        return _PROOF.encode(self)

    @staticmethod
    def decode(data: bytes) -> Proof:
        """Return the proof in data. Raises: CodecError."""
        proof = _PROOF.decode(data, MAX_PROOF_BYTES)
        if len(proof.leaf) == 1:
            raise CodecError("leaf: neither nothing nor a path and a value's hash")
        return proof


_UPWARDS: Final = tuple(reversed(range(HEIGHT)))
_PROOF: Final = Record(
    Proof, leaf=ListOf(Fixed(HASH_SIZE), 2), siblings=ListOf(Fixed(HASH_SIZE), MAX_DEPTH)
)


def verify(root: bytes, key: bytes, value: bytes | None, proof: Proof) -> None:
    """Return if proof shows that key has this value (None: has none) under root.

    Raises: BadProof.
    """
    path = digest(key)
    if len(proof.siblings) > MAX_DEPTH:
        raise BadProof(f"{len(proof.siblings)} levels, limit {MAX_DEPTH}")
    if value is None:
        node = _other_end(path, proof)
    elif proof.leaf == (path, digest(value)):
        node = leaf_hash(path + proof.leaf[1])
    else:
        raise BadProof("the leaf is not that of the key and value")
    for depth in range(len(proof.siblings) - 1, -1, -1):
        sibling = proof.siblings[depth]
        node = node_hash(sibling, node) if bit_at(path, depth) else node_hash(node, sibling)
    if node != root:
        raise BadProof(f"leads to root {node.hex()}, not {root.hex()}")


def _other_end(path: bytes, proof: Proof) -> bytes:
    """Return the hash at the end of the path of a key that is absent. Raises: BadProof."""
    if not proof.leaf:
        return EMPTY_ROOT
    if len(proof.leaf) != 2 or any(len(part) != HASH_SIZE for part in proof.leaf):  # noqa: PLR2004
        raise BadProof("the leaf is neither nothing nor a path and a value's hash")
    other = proof.leaf[0]
    if other == path:
        raise BadProof("the key is present")
    if common_bits(other, path) < len(proof.siblings):
        raise BadProof("the leaf is not on the key's path")
    return leaf_hash(other + proof.leaf[1])


def prove(pages: NodeStore, key: bytes) -> Proof:
    """Return the proof of whatever key has: a value or none.

    Raises: InvariantBroken if the pages do not form a tree.
    """
    path = digest(key)
    siblings: list[bytes] = []
    name = ROOT_KEY
    page = pages.get(name)
    while page is not None:
        slot = slot_of(path, name)
        leaves = _walk_page(page, slot, siblings)
        if leaves is not None:
            leaves = _walk_leaves(path, leaves, siblings)
            return _ended(leaves, siblings)
        name += DIGITS[slot]
        page = pages.get(name)
    if name != ROOT_KEY:
        raise InvariantBroken(f"page {name.decode()} of the state tree is missing")
    return _ended(b"", siblings)


def _ended(leaf: bytes, siblings: list[bytes]) -> Proof:
    parts = (leaf[:HASH_SIZE], leaf[HASH_SIZE:]) if leaf else ()
    return Proof(parts, tuple(siblings))


def _walk_page(page: bytes, slot: int, siblings: list[bytes]) -> bytes | None:
    """Collect the siblings on the way to slot; return the leaves where it ends in this page."""
    if page[COUNTS_AT + slot] == OWN_PAGE:
        for up in _UPWARDS:
            at = HASH_SIZE * (SLOTS + slot >> up ^ 1)
            siblings.append(page[at : at + HASH_SIZE])
        return None
    first, end = 0, SLOTS
    for level in range(HEIGHT + 1):
        if weight(page, first, end) <= 1:
            return leaves_in(page, first, end)
        if level == HEIGHT:
            break
        node = (SLOTS + slot) >> (HEIGHT - 1 - level)
        siblings.append(node_at(page, node ^ 1))
        width = (end - first) // 2
        first, end = (first + width, end) if node & 1 else (first, end - width)
    return leaves_in(page, slot, slot + 1)


def _walk_leaves(path: bytes, leaves: bytes, siblings: list[bytes]) -> bytes:
    """Collect the siblings below a slot that keeps several leaves; return the one, or none."""
    depth = len(siblings)
    while len(leaves) > LEAF_SIZE:
        middle = split(leaves, depth)
        left, right = leaves[:middle], leaves[middle:]
        if bit_at(path, depth):
            left, right = right, left
        depth += 1
        siblings.append(subtree_hash(right, depth))
        leaves = left
    return leaves
