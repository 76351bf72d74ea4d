"""Epochs: one after another, whoever commits them, and whoever was removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from abci_chat.params import CHANNELS, HOUR_MS, REPUTATION
from abci_chat.state import epochs, reputation
from abci_chat.state.channels import Role
from abci_chat.state.epochs import Epoch, TooManyBumps
from abci_chat.state.hidden import BadHiddenProof, HiddenProof, RemovedLeaf
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.state.members import NotAMember, RoleTooLow
from abci_chat.txs import epoch, member
from abci_chat.txs.epoch import (
    AlreadyRemoved,
    BadEpoch,
    EpochCommitted,
    EpochMoved,
    EpochReserved,
    LeafRemoved,
    MembersListed,
    RemoveLeaf,
)
from abci_chat.txs.member import LeaveChannel, RemoveMember
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.ids import Height
from tests.fakes.channels import (
    COMMIT,
    DAVE,
    PRIVATE,
    STRANGER,
    Chat,
    Tree,
    circle,
    next_epoch,
    posting_key,
    town,
)
from tests.fakes.memory import ALICE, BOB, CAROL, Person, signed

STEP_MS = HOUR_MS // CHANNELS.default.bumps_per_hour
LIES: list[Callable[[HiddenProof], HiddenProof]] = [
    lambda shown: replace(shown, role=Role.MODERATOR),
    lambda shown: replace(shown, role=Role.OWNER),
    lambda shown: replace(shown, blind=bytes(32)),
    lambda shown: replace(shown, index=0),
    lambda shown: replace(shown, index=16),
    lambda shown: replace(shown, index=2**64 - 1),
    lambda shown: replace(shown, aunts=shown.aunts[1:]),
    lambda shown: replace(shown, aunts=(*shown.aunts, bytes(32))),
    lambda shown: replace(shown, aunts=()),
]


def removal(where: bytes, tree: Tree, whom: Person, by: Person = ALICE) -> RemoveLeaf:
    """The order by which somebody removes somebody's leaf."""
    proof = () if by is ALICE else (tree.proof(by),)
    return RemoveLeaf(where, tree.seat_of(whom), tree.roles[whom], False, proof)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_who_moderates_commits_the_next_epoch(who: Person) -> None:
    chat, where = town()

    outcome = chat.send(who, epoch.COMMIT, next_epoch(chat, where))

    assert outcome.events == (EpochCommitted(where, 1, False, who.id),)
    assert chat.epoch(where) == Epoch(number=1, group_commit=COMMIT)


@pytest.mark.parametrize("who", [ALICE, BOB, DAVE])
def test_who_moderates_a_private_channel_commits_by_a_proof(who: Person) -> None:
    chat, where, tree = circle()

    outcome = chat.send(who, epoch.COMMIT, next_epoch(chat, where, tree, who))

    assert outcome.events == (EpochCommitted(where, 2, False, who.id),)
    assert chat.epoch(where) == Epoch(
        number=2,
        member_root=tree.root,
        size_class=16,
        posting_key=posting_key(2),
        group_commit=COMMIT,
    )


def test_of_two_who_build_on_one_epoch_the_second_is_told_to_rebase() -> None:
    chat, where = town()
    mine, theirs = next_epoch(chat, where), replace(next_epoch(chat, where), group_commit=bytes(32))
    first = signed(ALICE, epoch.COMMIT.body(mine), chat.nonce(ALICE))
    second = signed(BOB, epoch.COMMIT.body(theirs), chat.nonce(BOB))

    outcome = chat.send_raw(first, second)

    assert (outcome.code, chat.epoch(where).group_commit) == (EpochMoved.code, COMMIT)
    assert outcome.reason.endswith("builds on epoch 0, the present one is 1 (0 gone)")


def test_who_comes_second_in_a_private_channel_is_told_so_though_the_tree_has_moved_on() -> None:
    chat, where, tree = circle()
    late = next_epoch(chat, where, tree, BOB)
    other = Tree(where, bob=Role.MODERATOR, carol=Role.MEMBER)
    chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where, other))

    assert chat.send(BOB, epoch.COMMIT, late).code == EpochMoved.code


@pytest.mark.parametrize("from_epoch", [0, 2, 3, 2**64 - 1])
def test_an_epoch_builds_on_the_present_one(from_epoch: int) -> None:
    chat, where = town()
    chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where))

    outcome = chat.send(
        ALICE, epoch.COMMIT, replace(next_epoch(chat, where), from_epoch=from_epoch)
    )

    assert (outcome.code, chat.epoch(where).number) == (EpochMoved.code, 1)


@pytest.mark.parametrize(
    ("who", "code"),
    [(CAROL, RoleTooLow.code), (DAVE, NotAMember.code), (STRANGER, NotRegistered.code)],
)
def test_nobody_else_commits(who: Person, code: int) -> None:
    chat, where = town()

    outcome = chat.send(who, epoch.COMMIT, next_epoch(chat, where))

    assert (outcome.code, chat.epoch(where)) == (code, epochs.FIRST)


def test_a_hidden_member_without_the_role_does_not_commit() -> None:
    chat, where, tree = circle()

    outcome = chat.send(CAROL, epoch.COMMIT, next_epoch(chat, where, tree, CAROL))

    assert (outcome.code, chat.epoch(where).number) == (RoleTooLow.code, 1)


@pytest.mark.parametrize("lie", LIES)
def test_a_member_proves_no_other_role_or_place(lie: Callable[[HiddenProof], HiddenProof]) -> None:
    chat, where, tree = circle()
    order = next_epoch(chat, where, tree, CAROL)
    shown = lie(tree.proof(CAROL))

    outcome = chat.send(CAROL, epoch.COMMIT, replace(order, proof=(shown,)))

    assert (outcome.code, chat.epoch(where).number) == (BadHiddenProof.code, 1)


def test_no_tree_makes_an_owner() -> None:
    chat, where, _ = circle()
    tree = Tree(where, bob=Role.OWNER)
    chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where, tree))

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert (outcome.code, chat.epoch(where).number) == (BadHiddenProof.code, 2)


def test_the_proof_of_one_is_not_that_of_another() -> None:
    chat, where, tree = circle()

    outcome = chat.send(CAROL, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert outcome.code == BadHiddenProof.code


def test_the_leaf_of_one_channel_is_none_of_another() -> None:
    chat, _, tree = circle()
    other = chat.create(ALICE, PRIVATE)
    stolen = Tree(other, dave=Role.MODERATOR)
    chat.send(ALICE, epoch.COMMIT, next_epoch(chat, other, stolen))

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, other, tree, BOB))

    assert outcome.code == BadHiddenProof.code


def test_a_private_channel_without_an_epoch_has_no_members_yet() -> None:
    chat = Chat()
    where = chat.create(ALICE, PRIVATE)
    tree = Tree(where, bob=Role.MODERATOR)

    bare = chat.send(BOB, epoch.COMMIT, replace(next_epoch(chat, where, tree, BOB), proof=()))
    shown = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert (bare.code, shown.code) == (NotAMember.code, BadHiddenProof.code)


def test_a_moderator_who_gave_up_its_identity_commits_nothing() -> None:
    chat, where, tree = circle()
    chat.deactivate(BOB)

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert outcome.code == Deactivated.code


@pytest.mark.parametrize(
    "change",
    [
        {"member_root": b"\x01" * 32},
        {"size_class": 16},
        {"posting_key": posting_key(1)},
        {"removals": 1},
    ],
)
def test_a_channel_that_lists_its_members_hides_nothing(change: dict[str, bytes]) -> None:
    chat, where = town()

    outcome = chat.send(ALICE, epoch.COMMIT, replace(next_epoch(chat, where), **change))

    assert (outcome.code, chat.epoch(where)) == (BadEpoch.code, epochs.FIRST)


@pytest.mark.parametrize(
    "change",
    [
        {"member_root": bytes(32)},
        {"size_class": 0},
        {"size_class": 17},
        {"posting_key": b""},
        {"posting_key": bytes(32)},
        {"posting_key": b"short"},
        {"posting_key": posting_key(1)},
        {"removals": 1},
    ],
    ids=["no root", "no size", "odd size", "no key", "weak", "short", "old key", "unheard of"],
)
def test_a_private_channel_says_root_size_and_a_fresh_key(change: dict[str, bytes]) -> None:
    chat, where, tree = circle()
    before = chat.epoch(where)

    outcome = chat.send(ALICE, epoch.COMMIT, replace(next_epoch(chat, where, tree), **change))

    assert (outcome.code, chat.epoch(where)) == (BadEpoch.code, before)


def test_the_next_epoch_makes_good_what_a_removal_left_stale() -> None:
    chat, where = town()
    chat.send(BOB, member.REMOVE, RemoveMember(where, CAROL.id))

    chat.send(BOB, epoch.COMMIT, next_epoch(chat, where))

    assert (chat.epoch(where).stale, chat.epoch(where).removals) == (False, 1)


def test_a_commit_that_does_not_know_of_a_removal_leaves_the_epoch_stale() -> None:
    chat, where = town()
    unaware = next_epoch(chat, where)
    chat.send(BOB, member.REMOVE, RemoveMember(where, CAROL.id))

    outcome = chat.send(ALICE, epoch.COMMIT, unaware)

    assert outcome.events == (EpochCommitted(where, 1, True, ALICE.id),)
    assert chat.epoch(where).stale


def test_a_removed_moderator_cannot_stall_a_channel() -> None:
    chat, where = town()
    theirs = next_epoch(chat, where)
    chat.send(ALICE, member.REMOVE, RemoveMember(where, BOB.id))

    stalled = chat.send(BOB, epoch.COMMIT, theirs)
    again = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where))
    ours = chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where))

    assert (stalled.code, again.code, ours.code) == (NotAMember.code, NotAMember.code, 0)
    assert (chat.epoch(where).number, chat.epoch(where).stale) == (1, False)


def test_a_removed_moderator_cannot_stall_a_private_channel() -> None:
    chat, where, tree = circle()
    left = Tree(where, bob=Role.MODERATOR, carol=Role.MEMBER)
    removed = chat.send(ALICE, epoch.REMOVE_LEAF, removal(where, tree, DAVE))

    stalled = chat.send(DAVE, epoch.COMMIT, next_epoch(chat, where, tree, DAVE))
    bob = replace(next_epoch(chat, where, left), proof=(tree.proof(BOB),))
    ours = chat.send(BOB, epoch.COMMIT, bob)

    leaf = tree.leaf_of(where, DAVE)
    assert removed.events == (LeafRemoved(where, leaf),)
    assert (stalled.code, ours.code) == (RemovedLeaf.code, 0)
    assert (chat.epoch(where).number, chat.epoch(where).stale) == (2, False)


def test_a_removed_leaf_stays_removed_where_a_later_tree_has_it_by_mistake() -> None:
    chat, where, tree = circle()
    chat.send(ALICE, epoch.REMOVE_LEAF, removal(where, tree, DAVE))
    chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    outcome = chat.send(DAVE, epoch.COMMIT, next_epoch(chat, where, tree, DAVE))

    assert outcome.code == RemovedLeaf.code


def test_a_removed_leaf_removes_nobody_else() -> None:
    chat, where, tree = circle()
    chat.send(ALICE, epoch.REMOVE_LEAF, removal(where, tree, DAVE))

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert outcome.code == 0


def test_a_moderator_removes_a_member_and_not_another_moderator() -> None:
    chat, where, tree = circle()

    equal = chat.send(BOB, epoch.REMOVE_LEAF, removal(where, tree, DAVE, BOB))
    below = chat.send(BOB, epoch.REMOVE_LEAF, removal(where, tree, CAROL, BOB))

    assert (equal.code, below.code) == (RoleTooLow.code, 0)
    assert chat.epoch(where).removals == 1


def test_a_moderator_called_a_member_is_not_removed() -> None:
    chat, where, tree = circle()
    lie = replace(removal(where, tree, DAVE, BOB), role=Role.MEMBER)

    chat.send(BOB, epoch.REMOVE_LEAF, lie)

    assert chat.send(DAVE, epoch.COMMIT, next_epoch(chat, where, tree, DAVE)).code == 0


def test_a_hidden_member_removes_nobody() -> None:
    chat, where, tree = circle()

    outcome = chat.send(CAROL, epoch.REMOVE_LEAF, removal(where, tree, BOB, CAROL))

    assert (outcome.code, chat.epoch(where).stale) == (RoleTooLow.code, False)


def test_a_leaf_is_removed_once() -> None:
    chat, where, tree = circle()
    chat.send(ALICE, epoch.REMOVE_LEAF, removal(where, tree, DAVE))

    outcome = chat.send(ALICE, epoch.REMOVE_LEAF, removal(where, tree, DAVE))

    assert (outcome.code, chat.epoch(where).removals) == (AlreadyRemoved.code, 1)


def test_listed_members_have_no_leaves() -> None:
    chat, where = town()

    outcome = chat.send(
        ALICE, epoch.REMOVE_LEAF, RemoveLeaf(where, bytes(32), Role.MEMBER, False, ())
    )

    assert outcome.code == MembersListed.code


def test_seats_that_a_moderator_added_beforehand_do_not_outrun_the_owner() -> None:
    chat, where, tree = circle()
    order = replace(removal(where, tree, DAVE), reserve=True)
    chat.send(ALICE, epoch.REMOVE_LEAF, order)

    puppet = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))
    owner = chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where, tree))
    later = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert (puppet.code, owner.code, later.code) == (EpochReserved.code, 0, 0)


def test_a_later_removal_does_not_take_the_reserve_back() -> None:
    chat, where, tree = circle()
    chat.send(ALICE, epoch.REMOVE_LEAF, replace(removal(where, tree, DAVE), reserve=True))
    chat.send(BOB, epoch.REMOVE_LEAF, removal(where, tree, CAROL, BOB))

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert outcome.code == EpochReserved.code


def test_only_the_owner_reserves_an_epoch() -> None:
    chat, where, tree = circle()
    order = replace(removal(where, tree, CAROL, BOB), reserve=True)

    outcome = chat.send(BOB, epoch.REMOVE_LEAF, order)

    assert (outcome.code, chat.epoch(where).reserved) == (RoleTooLow.code, False)


def test_an_actor_commits_only_so_often_and_again_when_some_time_has_passed() -> None:
    chat, where = town()

    codes = [chat.send(BOB, epoch.COMMIT, next_epoch(chat, where)).code for _ in range(21)]
    chat.pass_ms(STEP_MS)
    later = [chat.send(BOB, epoch.COMMIT, next_epoch(chat, where)).code for _ in range(2)]

    assert codes == [0] * 20 + [TooManyBumps.code]
    assert later == [0, TooManyBumps.code]


def test_who_is_limited_is_told_until_when() -> None:
    chat, where = town()
    sent = [chat.send(BOB, epoch.COMMIT, next_epoch(chat, where)) for _ in range(21)]

    assert sent[-1].reason.endswith(f"the next at {chat.now + STEP_MS} ms")


def test_a_removal_counts_as_a_change_of_the_epoch() -> None:
    chat, where, tree = circle()
    orders = [
        RemoveLeaf(where, bytes([at]) * 32, Role.MEMBER, False, (tree.proof(BOB),))
        for at in range(21)
    ]

    codes = [chat.send(BOB, epoch.REMOVE_LEAF, order).code for order in orders]

    assert codes == [0] * 20 + [TooManyBumps.code]


def test_whom_others_trust_may_do_more() -> None:
    chat, where = town()
    draft = chat.draft()
    rules = REPUTATION.load(draft)
    CHANNELS.save(draft, replace(CHANNELS.default, bumps_per_hour=1))
    points = rules.trusted_points * 2
    reputation.add(draft, BOB.id, reputation.Deed.VERDICT, points, Height(1))
    chat.keep(draft)

    codes = [chat.send(BOB, epoch.COMMIT, next_epoch(chat, where)).code for _ in range(5)]
    others = [chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where)).code for _ in range(2)]

    assert codes == [0] * rules.trusted_limit_factor + [TooManyBumps.code]
    assert others == [0, TooManyBumps.code]


def test_a_replayed_commit_is_refused() -> None:
    chat, where = town()
    raw = signed(ALICE, epoch.COMMIT.body(next_epoch(chat, where)), chat.nonce(ALICE))
    chat.send_raw(raw)

    assert (chat.send_raw(raw).code, chat.epoch(where).number) == (NonceMismatch.code, 1)


def test_a_member_of_a_full_tree_proves_it() -> None:
    chat = Chat()
    where = chat.create(ALICE, PRIVATE)
    tree = Tree(where, size=64, bob=Role.MODERATOR)
    chat.send(ALICE, epoch.COMMIT, next_epoch(chat, where, tree))

    outcome = chat.send(BOB, epoch.COMMIT, next_epoch(chat, where, tree, BOB))

    assert outcome.code == 0


def test_a_member_who_left_commits_nothing() -> None:
    chat, where, tree = circle()
    chat.send(DAVE, member.LEAVE, LeaveChannel(where, (tree.proof(DAVE),)))

    outcome = chat.send(DAVE, epoch.COMMIT, next_epoch(chat, where, tree, DAVE))

    assert outcome.code == RemovedLeaf.code
