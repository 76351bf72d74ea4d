"""Invitations, wishes to join, and the answers to them."""

from __future__ import annotations

import pytest

from abci_chat.params import DAY_MS
from abci_chat.state import members
from abci_chat.state.channels import ChannelClosed, MembersHidden, Policy, Role
from abci_chat.state.identities import NotRegistered
from abci_chat.state.members import NotAMember, RoleTooLow
from abci_chat.txs import channel, invite, member
from abci_chat.txs.channel import CloseChannel, SetPolicy
from abci_chat.txs.invite import (
    AnswerRequest,
    InviteMember,
    JoinDenied,
    JoinRequested,
    MemberInvited,
    NoRequestNeeded,
    NoSuchRequest,
    RequestJoin,
)
from abci_chat.txs.member import (
    AlreadyMember,
    BanMember,
    Banned,
    GateNotProvable,
    JoinChannel,
    MemberJoined,
    NotInvited,
    RemoveMember,
)
from dchat.kernel.family import Family
from dchat.kernel.ids import EpochMs
from tests.fakes.channels import (
    BY_INVITE,
    BY_REQUEST,
    DAVE,
    GATED,
    POLICY,
    STRANGER,
    Chat,
    asked_in,
    circle,
    town,
)
from tests.fakes.memory import ALICE, BOB, CAROL, START, Person

MONTH_MS = 30 * DAY_MS


def behind(policy: Policy) -> tuple[Chat, bytes]:
    """The town, which nobody just joins."""
    chat, where = town()
    chat.send(ALICE, channel.SET_POLICY, SetPolicy(where, policy))
    return chat, where


@pytest.mark.parametrize("by", [ALICE, BOB])
@pytest.mark.parametrize("policy", [POLICY, BY_INVITE, BY_REQUEST])
def test_who_is_invited_joins(by: Person, policy: Policy) -> None:
    chat, where = behind(policy)

    invited = chat.send(by, invite.INVITE, InviteMember(where, DAVE.id))
    joined = chat.send(DAVE, member.JOIN, JoinChannel(where))

    assert invited.events == (MemberInvited(where, DAVE.id, EpochMs(START + MONTH_MS)),)
    assert joined.events == (MemberJoined(where, DAVE.id),)


def test_an_invitation_is_good_once() -> None:
    chat, where = behind(BY_INVITE)
    asked_in(chat, where, DAVE)
    chat.send(DAVE, member.JOIN, JoinChannel(where))
    chat.send(ALICE, member.REMOVE, RemoveMember(where, DAVE.id))

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == NotInvited.code


def test_an_invitation_to_a_channel_that_is_closed_counts_no_more() -> None:
    chat, where = behind(BY_INVITE)
    chat.send(BOB, invite.INVITE, InviteMember(where, DAVE.id))
    chat.send(ALICE, channel.CLOSE, CloseChannel(where))

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == ChannelClosed.code


def test_an_invitation_expires() -> None:
    chat, where = behind(BY_INVITE)
    asked_in(chat, where, DAVE)
    chat.pass_ms(MONTH_MS)

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == NotInvited.code


def test_the_last_moment_of_an_invitation_counts() -> None:
    chat, where = behind(BY_INVITE)
    asked_in(chat, where, DAVE)
    chat.pass_ms(MONTH_MS - 1)

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == 0


def test_who_was_removed_brings_nobody_in() -> None:
    chat, where = behind(BY_INVITE)
    asked_in(chat, where, DAVE, by=BOB)
    chat.send(ALICE, member.REMOVE, RemoveMember(where, BOB.id))

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == NotInvited.code


def test_who_became_a_member_only_brings_nobody_in() -> None:
    chat, where = behind(BY_INVITE)
    asked_in(chat, where, DAVE, by=BOB)
    chat.send(ALICE, member.SET_ROLE, member.SetRole(where, BOB.id, Role.MEMBER))

    assert chat.send(DAVE, member.JOIN, JoinChannel(where)).code == NotInvited.code


@pytest.mark.parametrize(
    ("who", "target", "code"),
    [
        (CAROL, DAVE, RoleTooLow.code),
        (DAVE, DAVE, NotAMember.code),
        (STRANGER, DAVE, NotRegistered.code),
        (ALICE, CAROL, AlreadyMember.code),
        (BOB, ALICE, AlreadyMember.code),
    ],
)
def test_an_invitation_is_refused(who: Person, target: Person, code: int) -> None:
    chat, where = behind(BY_INVITE)

    outcome = chat.send(who, invite.INVITE, InviteMember(where, target.id))

    assert outcome.code == code
    assert not members.invited(chat.state, where, target.id, chat.now)


def test_who_is_banned_is_not_invited() -> None:
    chat, where = town()
    chat.send(ALICE, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))

    assert chat.send(BOB, invite.INVITE, InviteMember(where, DAVE.id)).code == Banned.code


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (invite.INVITE, lambda where: InviteMember(where, DAVE.id)),
        (invite.REQUEST, RequestJoin),
        (invite.ANSWER, lambda where: AnswerRequest(where, DAVE.id, accept=True)),
    ],
)
def test_a_private_channel_names_nobody(family: Family[object], order: type[RequestJoin]) -> None:
    chat, where, _ = circle()

    assert chat.send(ALICE, family, order(where)).code == MembersHidden.code


def test_an_invitation_does_not_open_a_gate() -> None:
    chat = Chat()
    where = chat.create(ALICE, GATED)

    invited = chat.send(ALICE, invite.INVITE, InviteMember(where, DAVE.id))
    asked = chat.send(DAVE, invite.REQUEST, RequestJoin(where))

    assert (invited.code, asked.code) == (GateNotProvable.code, GateNotProvable.code)


@pytest.mark.parametrize("by", [ALICE, BOB])
def test_who_asks_is_let_in(by: Person) -> None:
    chat, where = behind(BY_REQUEST)

    asked = chat.send(DAVE, invite.REQUEST, RequestJoin(where))
    answered = chat.send(by, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert asked.events == (JoinRequested(where, DAVE.id, EpochMs(START + MONTH_MS)),)
    assert answered.events == (MemberJoined(where, DAVE.id),)
    assert chat.role(where, DAVE) is Role.MEMBER


def test_who_asks_is_turned_down() -> None:
    chat, where = behind(BY_REQUEST)
    chat.send(DAVE, invite.REQUEST, RequestJoin(where))

    denied = chat.send(BOB, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=False))
    later = chat.send(BOB, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert denied.events == (JoinDenied(where, DAVE.id),)
    assert (later.code, chat.role(where, DAVE)) == (NoSuchRequest.code, None)


def test_a_wish_to_join_expires() -> None:
    chat, where = behind(BY_REQUEST)
    chat.send(DAVE, invite.REQUEST, RequestJoin(where))
    chat.pass_ms(MONTH_MS)

    outcome = chat.send(BOB, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert (outcome.code, chat.role(where, DAVE)) == (NoSuchRequest.code, None)


def test_nobody_is_made_a_member_who_did_not_ask() -> None:
    chat, where = behind(BY_REQUEST)

    outcome = chat.send(ALICE, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert (outcome.code, chat.role(where, DAVE)) == (NoSuchRequest.code, None)


def test_a_ban_ends_a_wish_to_join() -> None:
    chat, where = behind(BY_REQUEST)
    chat.send(DAVE, invite.REQUEST, RequestJoin(where))
    chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))

    outcome = chat.send(BOB, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert (outcome.code, chat.role(where, DAVE)) == (NoSuchRequest.code, None)


@pytest.mark.parametrize(("who", "code"), [(CAROL, RoleTooLow.code), (DAVE, NotAMember.code)])
def test_only_who_moderates_answers(who: Person, code: int) -> None:
    chat, where = behind(BY_REQUEST)
    chat.send(DAVE, invite.REQUEST, RequestJoin(where))

    outcome = chat.send(who, invite.ANSWER, AnswerRequest(where, DAVE.id, accept=True))

    assert (outcome.code, chat.role(where, DAVE)) == (code, None)


@pytest.mark.parametrize(
    ("who", "policy", "code"),
    [
        (DAVE, POLICY, NoRequestNeeded.code),
        (DAVE, BY_INVITE, NotInvited.code),
        (CAROL, BY_REQUEST, AlreadyMember.code),
        (STRANGER, BY_REQUEST, NotRegistered.code),
    ],
)
def test_a_wish_to_join_is_refused(who: Person, policy: Policy, code: int) -> None:
    chat, where = behind(policy)

    outcome = chat.send(who, invite.REQUEST, RequestJoin(where))

    assert (outcome.code, members.asks(chat.state, where, who.id, chat.now)) == (code, False)


def test_who_is_banned_does_not_ask() -> None:
    chat, where = behind(BY_REQUEST)
    chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))

    assert chat.send(DAVE, invite.REQUEST, RequestJoin(where)).code == Banned.code
