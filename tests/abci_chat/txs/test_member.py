"""Joining and leaving a channel, removing and banning, and roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat.params import HOUR_MS
from abci_chat.state import channels, members
from abci_chat.state.channels import MembersHidden, Policy, Role
from abci_chat.state.epochs import TooManyBumps
from abci_chat.state.hidden import BadHiddenProof, RemovedLeaf
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.state.members import NotAMember, RoleTooLow
from abci_chat.txs import channel, epoch, member
from abci_chat.txs.channel import SetPolicy
from abci_chat.txs.member import (
    AlreadyMember,
    BadRole,
    BanMember,
    Banned,
    BanOver,
    GateNotProvable,
    JoinChannel,
    LeaveChannel,
    MemberBanned,
    MemberJoined,
    MemberLeft,
    MemberUnbanned,
    NeedsRequest,
    NotBanned,
    NotInvited,
    OwnerStays,
    RemoveMember,
    RoleSet,
    SetRole,
    UnbanMember,
    UnknownMember,
)
from dchat.kernel.errors import NonceMismatch
from dchat.kernel.family import Family
from dchat.kernel.ids import EpochMs
from tests.fakes.channels import (
    BY_INVITE,
    BY_REQUEST,
    DAVE,
    GATED,
    STRANGER,
    Chat,
    asked_in,
    circle,
    next_epoch,
    town,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, Person, signed

DAY_MS = 24 * HOUR_MS


def test_somebody_joins_an_open_channel() -> None:
    chat, where = town()

    outcome = chat.send(DAVE, member.JOIN, JoinChannel(where))

    assert outcome.events == (MemberJoined(where, DAVE.id),)
    assert members.load(chat.state, where, DAVE.id) == members.Member(Role.MEMBER, START)


@pytest.mark.parametrize(
    ("policy", "code"), [(BY_INVITE, NotInvited.code), (BY_REQUEST, NeedsRequest.code)]
)
def test_nobody_just_joins_where_one_has_to_be_let_in(policy: Policy, code: int) -> None:
    chat, where = town()
    chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, policy))

    outcome = chat.send(DAVE, member.JOIN, JoinChannel(where))

    assert (outcome.code, chat.role(where, DAVE)) == (code, None)


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (ALICE, AlreadyMember.code),
        (BOB, AlreadyMember.code),
        (CAROL, AlreadyMember.code),
        (STRANGER, NotRegistered.code),
    ],
)
def test_who_is_in_or_nobody_does_not_join(who: Person, code: int) -> None:
    chat, where = town()
    before = chat.role(where, who)

    assert (chat.send(who, member.JOIN, JoinChannel(where)).code, chat.role(where, who)) == (
        code,
        before,
    )


def test_an_identity_that_was_given_up_does_not_join() -> None:
    chat, where = town()
    chat.deactivate(DAVE)

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == Deactivated.code


def test_nobody_joins_a_gated_channel_before_the_bridge() -> None:
    chat = Chat()
    where = chat.create(ALICE, GATED)

    outcome = chat.send(DAVE, member.JOIN, JoinChannel(where))

    assert (outcome.code, chat.role(where, DAVE)) == (GateNotProvable.code, None)
    assert outcome.reason.endswith("the proof of what an account holds comes with the bridge")


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (member.JOIN, JoinChannel),
        (member.REMOVE, lambda where: RemoveMember(where, CAROL.id)),
        (member.BAN, lambda where: BanMember(where, CAROL.id, EpochMs(0))),
        (member.UNBAN, lambda where: UnbanMember(where, CAROL.id)),
        (member.SET_ROLE, lambda where: SetRole(where, CAROL.id, Role.MODERATOR)),
    ],
)
def test_nobody_is_named_in_a_private_channel(
    family: Family[object], order: type[JoinChannel]
) -> None:
    chat, where, _ = circle()

    outcome = chat.send(ALICE, family, order(where))

    assert outcome.code == MembersHidden.code


def test_a_member_leaves_and_the_epoch_is_stale() -> None:
    chat, where = town()

    outcome = chat.send(CAROL, member.LEAVE, LeaveChannel(where, ()))

    assert outcome.events == (MemberLeft(where, CAROL.id, CAROL.id),)
    assert chat.role(where, CAROL) is None
    assert (chat.epoch(where).stale, chat.epoch(where).removals) == (True, 1)


def test_a_hidden_member_leaves_for_good() -> None:
    chat, where, tree = circle()
    order = LeaveChannel(where, (tree.proof(CAROL),))

    outcome = chat.send(CAROL, member.LEAVE, order)
    again = chat.send(CAROL, member.LEAVE, order)

    assert (outcome.code, again.code) == (0, RemovedLeaf.code)
    assert chat.epoch(where).stale


def test_nobody_stays_listed_by_leaving_with_a_proof() -> None:
    chat, where = town()
    shown = circle()[2].proof(CAROL)

    outcome = chat.send(CAROL, member.LEAVE, LeaveChannel(where, (shown,)))

    assert (outcome.code, chat.role(where, CAROL)) == (BadHiddenProof.code, Role.MEMBER)
    assert not chat.epoch(where).stale


def test_nobody_leaves_by_the_proof_of_another() -> None:
    chat, where, tree = circle()

    outcome = chat.send(DAVE, member.LEAVE, LeaveChannel(where, (tree.proof(CAROL),)))

    assert (outcome.code, chat.epoch(where).stale) == (BadHiddenProof.code, False)


@pytest.mark.parametrize(("who", "code"), [(ALICE, OwnerStays.code), (DAVE, NotAMember.code)])
def test_the_owner_stays_and_who_is_not_in_cannot_leave(who: Person, code: int) -> None:
    chat, where = town()

    outcome = chat.send(who, member.LEAVE, LeaveChannel(where, ()))

    assert (outcome.code, chat.epoch(where).stale) == (code, False)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_who_moderates_removes_a_member(who: Person) -> None:
    chat, where = town()

    outcome = chat.send(who, member.REMOVE, RemoveMember(where, CAROL.id))

    assert outcome.events == (MemberLeft(where, CAROL.id, who.id),)
    assert (chat.role(where, CAROL), chat.epoch(where).stale) == (None, True)


@pytest.mark.parametrize(
    ("who", "target", "code"),
    [
        (CAROL, BOB, RoleTooLow.code),
        (CAROL, CAROL, RoleTooLow.code),
        (BOB, BOB, RoleTooLow.code),
        (BOB, ALICE, OwnerStays.code),
        (ALICE, ALICE, OwnerStays.code),
        (DAVE, CAROL, NotAMember.code),
    ],
)
def test_nobody_goes_against_who_stands_as_high(who: Person, target: Person, code: int) -> None:
    chat, where = town()
    before = chat.role(where, target)

    removed = chat.send(who, member.REMOVE, RemoveMember(where, target.id))
    banned = chat.send(who, member.BAN, BanMember(where, target.id, EpochMs(0)))

    assert (removed.code, banned.code) == (code, code)
    assert (chat.role(where, target), chat.epoch(where).stale) == (before, False)


def test_one_moderator_does_not_remove_another() -> None:
    chat, where = town()
    chat.send(ALICE, member.SET_ROLE, SetRole(where, CAROL.id, Role.MODERATOR))

    outcome = chat.send(BOB, member.REMOVE, RemoveMember(where, CAROL.id))

    assert (outcome.code, chat.role(where, CAROL)) == (RoleTooLow.code, Role.MODERATOR)


def test_who_is_no_member_cannot_be_removed() -> None:
    chat, where = town()

    outcome = chat.send(ALICE, member.REMOVE, RemoveMember(where, DAVE.id))

    assert (outcome.code, chat.epoch(where).stale) == (UnknownMember.code, False)


def test_who_is_banned_is_gone_and_stays_out_until_then() -> None:
    chat, where = town()
    until = EpochMs(chat.now + DAY_MS)

    outcome = chat.send(BOB, member.BAN, BanMember(where, CAROL.id, until))
    early = chat.send(CAROL, member.JOIN, JoinChannel(where))
    chat.pass_ms(DAY_MS)
    late = chat.send(CAROL, member.JOIN, JoinChannel(where))

    assert outcome.events == (
        MemberLeft(where, CAROL.id, BOB.id),
        MemberBanned(where, CAROL.id, until),
    )
    assert (early.code, late.code, chat.role(where, CAROL)) == (Banned.code, 0, Role.MEMBER)
    assert chat.epoch(where).stale


def test_a_ban_for_good_does_not_end() -> None:
    chat, where = town()
    chat.send(BOB, member.BAN, BanMember(where, CAROL.id, EpochMs(0)))
    chat.pass_ms(10_000 * DAY_MS)

    outcome = chat.send(CAROL, member.JOIN, JoinChannel(where))

    assert (outcome.code, outcome.reason.endswith("banned from the channel for good")) == (
        Banned.code,
        True,
    )


def test_who_never_was_in_is_kept_out_and_the_epoch_is_as_good_as_before() -> None:
    chat, where = town()

    outcome = chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))
    joined = chat.send(DAVE, member.JOIN, JoinChannel(where))

    assert (outcome.code, joined.code, chat.epoch(where).stale) == (0, Banned.code, False)


def test_a_ban_ends_an_invitation() -> None:
    chat, where = town()
    chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, BY_INVITE))
    asked_in(chat, where, DAVE)
    chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))
    chat.send(BOB, member.UNBAN, UnbanMember(where, DAVE.id))

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == NotInvited.code


@pytest.mark.parametrize("ahead", [0, -1])
def test_a_ban_that_would_be_over_is_refused(ahead: int) -> None:
    chat, where = town()

    outcome = chat.send(BOB, member.BAN, BanMember(where, CAROL.id, EpochMs(chat.now + ahead)))

    assert (outcome.code, chat.role(where, CAROL)) == (BanOver.code, Role.MEMBER)


def test_a_ban_is_lifted() -> None:
    chat, where = town()
    chat.send(BOB, member.BAN, BanMember(where, CAROL.id, EpochMs(0)))

    outcome = chat.send(ALICE, member.UNBAN, UnbanMember(where, CAROL.id))

    assert outcome.events == (MemberUnbanned(where, CAROL.id),)
    assert chat.send(CAROL, member.JOIN, JoinChannel(where)).code == 0


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (member.UNBAN, lambda where: UnbanMember(where, CAROL.id)),
        (member.BAN, lambda where: BanMember(where, CAROL.id, EpochMs(START + 1))),
    ],
)
def test_a_moderator_does_not_weaken_the_owners_ban(
    family: Family[object], order: type[JoinChannel]
) -> None:
    chat, where = town()
    chat.send(ALICE, member.BAN, BanMember(where, CAROL.id, EpochMs(0)))

    outcome = chat.send(BOB, family, order(where))
    joined = chat.send(CAROL, member.JOIN, JoinChannel(where))

    assert (outcome.code, joined.code) == (RoleTooLow.code, Banned.code)


def test_who_is_not_banned_has_nothing_to_be_lifted() -> None:
    chat, where = town()

    assert chat.send(BOB, member.UNBAN, UnbanMember(where, DAVE.id)).code == NotBanned.code


def test_only_who_moderates_lifts_a_ban() -> None:
    chat, where = town()
    chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))

    outcome = chat.send(CAROL, member.UNBAN, UnbanMember(where, DAVE.id))

    assert outcome.code == RoleTooLow.code


def test_a_promotion_leaves_the_epoch_as_it_is() -> None:
    chat, where = town()

    outcome = chat.send(ALICE, member.SET_ROLE, SetRole(where, CAROL.id, Role.MODERATOR))

    assert outcome.events == (RoleSet(where, CAROL.id, Role.MODERATOR),)
    assert (chat.role(where, CAROL), chat.epoch(where).stale) == (Role.MODERATOR, False)


def test_a_demotion_leaves_it_stale() -> None:
    chat, where = town()

    chat.send(ALICE, member.SET_ROLE, SetRole(where, BOB.id, Role.MEMBER))

    assert (chat.role(where, BOB), chat.epoch(where).stale) == (Role.MEMBER, True)


@pytest.mark.parametrize(
    ("who", "target", "role", "code"),
    [
        (ALICE, CAROL, Role.OWNER, BadRole.code),
        (ALICE, ALICE, Role.MEMBER, OwnerStays.code),
        (ALICE, DAVE, Role.MODERATOR, UnknownMember.code),
        (BOB, CAROL, Role.MODERATOR, RoleTooLow.code),
        (BOB, BOB, Role.MEMBER, RoleTooLow.code),
        (CAROL, CAROL, Role.MODERATOR, RoleTooLow.code),
        (DAVE, DAVE, Role.MODERATOR, NotAMember.code),
    ],
)
def test_only_the_owner_gives_roles_and_only_to_members(
    who: Person, target: Person, role: Role, code: int
) -> None:
    chat, where = town()
    before = chat.role(where, target)

    outcome = chat.send(who, member.SET_ROLE, SetRole(where, target.id, role))

    assert (outcome.code, chat.role(where, target)) == (code, before)


def test_a_moderator_who_gave_up_its_identity_does_nothing_more() -> None:
    chat, where = town()
    chat.deactivate(BOB)

    outcome = chat.send(BOB, member.REMOVE, RemoveMember(where, CAROL.id))

    assert (outcome.code, chat.role(where, CAROL)) == (Deactivated.code, Role.MEMBER)


def test_what_a_removed_moderator_sends_is_refused_at_once() -> None:
    chat, where = town()
    chat.send(ALICE, member.REMOVE, RemoveMember(where, BOB.id))

    codes = [
        chat.send(BOB, member.REMOVE, RemoveMember(where, CAROL.id)).code,
        chat.send(BOB, member.BAN, BanMember(where, CAROL.id, EpochMs(0))).code,
        chat.send(BOB, epoch.COMMIT, next_epoch(chat, where)).code,
        chat.send(BOB, member.LEAVE, LeaveChannel(where, ())).code,
    ]

    assert codes == [NotAMember.code] * 4


def test_an_actor_makes_epochs_stale_only_so_often() -> None:
    chat, where = town()
    draft = chat.draft()
    crowd = [Person(bytes([at]) * 32) for at in range(100, 121)]
    for who in crowd:
        members.take_in(draft, where, who.id, chat.now)
    chat.keep(draft)

    codes = [chat.send(BOB, member.REMOVE, RemoveMember(where, who.id)).code for who in crowd]
    others = chat.send(ALICE, member.REMOVE, RemoveMember(where, crowd[-1].id))

    assert codes == [0] * 20 + [TooManyBumps.code]
    assert (others.code, chat.epoch(where).removals) == (0, 21)


def test_a_replayed_join_is_refused() -> None:
    chat, where = town()
    raw = signed(DAVE, member.JOIN.body(JoinChannel(where)))
    chat.send_raw(raw)
    chat.send(ALICE, member.REMOVE, RemoveMember(where, DAVE.id))

    assert (chat.send_raw(raw).code, chat.role(where, DAVE)) == (NonceMismatch.code, None)


def test_everybody_but_the_owner_goes_and_the_channel_is_still_there() -> None:
    chat, where = town()
    chat.send(BOB, member.LEAVE, LeaveChannel(where, ()))
    chat.send(CAROL, member.LEAVE, LeaveChannel(where, ()))

    assert list(chat.state.scan(channels.keys.members(where))) == []
    assert replace(chat.channel(where), acted_at=START).owner == ALICE.id
