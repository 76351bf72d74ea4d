"""The state tree as its definition reads: hash the whole set again, share nothing, keep nothing."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256


def naive_root(entries: Mapping[bytes, bytes]) -> bytes:
    """Return the root hash of the tree over entries."""
    leaves = [
        (int.from_bytes(sha256(key).digest(), "big"), sha256(value).digest())
        for key, value in entries.items()
    ]
    return _subtree(leaves, 255)


def _subtree(leaves: list[tuple[int, bytes]], bit: int) -> bytes:
    if not leaves:
        return b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
    if len(leaves) == 1:
        path, value = leaves[0]
        return sha256(b"JMT::LeafNode" + path.to_bytes(32, "big") + value).digest()
    left = _subtree([leaf for leaf in leaves if not leaf[0] >> bit & 1], bit - 1)
    right = _subtree([leaf for leaf in leaves if leaf[0] >> bit & 1], bit - 1)
    return sha256(b"JMT::IntrnalNode" + left + right).digest()
