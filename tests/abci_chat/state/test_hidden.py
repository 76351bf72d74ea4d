"""Leaves of hidden members, their tree, and what a path in it proves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.state import epochs, hidden
from abci_chat.state.channels import Role
from abci_chat.state.hidden import BadHiddenProof, RemovedLeaf
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

WHERE = b"\x0c" * 32
BLIND = b"\x0b" * 32
SEAT = hidden.seat(BOB.id, BLIND)
LEAF = hidden.leaf(WHERE, SEAT, Role.MEMBER)


def tree_of(size: int, place: int) -> list[bytes]:
    """A tree with bob at one place, and nobody else."""
    return [LEAF if at == place else at.to_bytes(32, "big") for at in range(size)]


@given(st.sampled_from(hidden.SIZES[:4]), st.data())
def test_every_place_of_a_tree_is_proved(size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, size - 1))
    leaves = tree_of(size, place)
    epoch = replace(epochs.FIRST, member_root=hidden.root_of(leaves), size_class=size)

    shown = hidden.prove(Role.MEMBER, BLIND, place, leaves)

    assert hidden.proved(MemoryState(), WHERE, BOB.id, shown, epoch) is Role.MEMBER
    assert len(shown.aunts) == size.bit_length() - 1


def test_a_proof_of_another_account_leads_nowhere() -> None:
    leaves = tree_of(16, 3)
    epoch = replace(epochs.FIRST, member_root=hidden.root_of(leaves), size_class=16)
    shown = hidden.prove(Role.MEMBER, BLIND, 3, leaves)

    with pytest.raises(BadHiddenProof):
        hidden.proved(MemoryState(), WHERE, ALICE.id, shown, epoch)


def test_an_inner_node_is_no_leaf() -> None:
    leaves = tree_of(16, 3)
    epoch = replace(epochs.FIRST, member_root=hidden.root_of(leaves), size_class=16)
    shown = hidden.prove(Role.MEMBER, BLIND, 3, leaves)

    with pytest.raises(BadHiddenProof):
        hidden.proved(
            MemoryState(), WHERE, BOB.id, replace(shown, index=0, aunts=shown.aunts[1:]), epoch
        )


def test_a_removed_leaf_counts_no_more_and_no_other_goes_with_it() -> None:
    leaves = tree_of(16, 3)
    epoch = replace(epochs.FIRST, member_root=hidden.root_of(leaves), size_class=16)
    shown = hidden.prove(Role.MEMBER, BLIND, 3, leaves)
    draft = Draft(MemoryState())
    hidden.remove(draft, WHERE, leaves[4])
    before = hidden.proved(draft, WHERE, BOB.id, shown, epoch)
    hidden.remove(draft, WHERE, LEAF)

    with pytest.raises(RemovedLeaf):
        hidden.proved(draft, WHERE, BOB.id, shown, epoch)
    assert before is Role.MEMBER


def test_a_leaf_is_that_of_one_account_blind_channel_and_role() -> None:
    others = [
        hidden.leaf(WHERE, hidden.seat(ALICE.id, BLIND), Role.MEMBER),
        hidden.leaf(WHERE, hidden.seat(BOB.id, bytes(32)), Role.MEMBER),
        hidden.leaf(bytes(32), SEAT, Role.MEMBER),
        hidden.leaf(WHERE, SEAT, Role.MODERATOR),
    ]

    assert len({LEAF, *others}) == 5


@pytest.mark.parametrize(
    ("count", "size"), [(0, 16), (1, 16), (16, 16), (17, 64), (65_536, 65_536), (65_537, None)]
)
def test_so_many_members_take_a_tree_of_the_next_size(count: int, size: int | None) -> None:
    assert hidden.size_of(count) == size


def test_sizes_are_powers_of_two_so_that_a_path_tells_no_more_than_the_class() -> None:
    assert [size & (size - 1) for size in hidden.SIZES] == [0] * len(hidden.SIZES)
    assert hidden.MAX_AUNTS == 16
