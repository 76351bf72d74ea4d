from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.merkle.hashing import (
    EMPTY_ROOT,
    bit_at,
    common_bits,
    leaf_hash,
    node_hash,
    split,
    subtree_hash,
)
from tests.fakes.naive_tree import naive_root

paths = st.binary(min_size=32, max_size=32)


def alike(*last: int) -> list[bytes]:
    return [bytes([*bytes(31), end]) + bytes(32) for end in last]


def test_leaf_and_node_carry_the_tags_of_the_published_tree() -> None:
    assert (leaf_hash(bytes(64)), node_hash(bytes(32), b"\1" * 32)) == (
        sha256(b"JMT::LeafNode" + bytes(64)).digest(),
        sha256(b"JMT::IntrnalNode" + bytes(32) + b"\1" * 32).digest(),
    )


def test_a_subtree_of_nothing_is_empty() -> None:
    assert subtree_hash(b"", 7) == EMPTY_ROOT


def test_a_lone_leaf_rises_to_any_depth() -> None:
    assert subtree_hash(alike(1)[0], 0) == leaf_hash(alike(1)[0])


def test_two_leaves_hang_below_empty_siblings_down_to_where_they_part() -> None:
    zero, one = alike(0, 1)

    top = subtree_hash(zero + one, 254)

    assert top == node_hash(node_hash(leaf_hash(zero), leaf_hash(one)), EMPTY_ROOT)


@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=2), max_size=20))
def test_a_subtree_at_the_top_is_the_whole_tree(entries: dict[bytes, bytes]) -> None:
    leaves = sorted(sha256(key).digest() + sha256(value).digest() for key, value in entries.items())

    assert subtree_hash(b"".join(leaves), 0) == naive_root(entries)


@given(paths, paths)
def test_paths_go_together_exactly_as_deep_as_their_common_bits(one: bytes, other: bytes) -> None:
    depth = common_bits(one, other)

    together = [bit_at(one, at) == bit_at(other, at) for at in range(min(depth + 1, 256))]

    assert together == [True] * depth + [False] * (depth < 256)


@pytest.mark.parametrize(("last", "left"), [((0, 1), 1), ((0, 0), 2), ((1, 1), 0)])
def test_a_split_is_where_the_leaves_on_the_right_begin(last: tuple[int, int], left: int) -> None:
    assert split(b"".join(alike(*last)), 255) == 64 * left
