"""Channels that are handed over, and those that a successor takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_chat.params import CHANNELS
from abci_chat.state import members
from abci_chat.state.channels import NOBODY, Role
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.state.members import RoleTooLow
from abci_chat.txs import channel, epoch, member, ownership
from abci_chat.txs.channel import ChannelWasClosed, CloseChannel
from abci_chat.txs.member import BanMember, Banned, RemoveMember
from abci_chat.txs.ownership import (
    AcceptChannel,
    BadHeir,
    ChannelOffered,
    NameSuccessor,
    NotOffered,
    NotSuccessor,
    OfferChannel,
    OwnerChanged,
    OwnerStillActs,
    SucceedChannel,
    SuccessorNamed,
)
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, EpochMs
from tests.fakes.channels import DAVE, STRANGER, Chat, circle, next_epoch, town
from tests.fakes.memory import ALICE, BOB, CAROL, START, Person

SUCCESSION_MS = CHANNELS.default.succession_ms
DEPOSIT = Amount(100_000)


def offered(to: Person = DAVE) -> tuple[Chat, bytes]:
    chat, where = town()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, to.id))
    return chat, where


def inherited(heir: Person = CAROL) -> tuple[Chat, bytes]:
    chat, where = town()
    chat.send(ALICE, ownership.NAME_SUCCESSOR, NameSuccessor(where, heir.id))
    return chat, where


@pytest.mark.parametrize("heir", [BOB, CAROL, DAVE])
def test_a_channel_goes_to_who_accepts_it_and_its_owner_moderates(heir: Person) -> None:
    chat, where = town()

    offer = chat.send(ALICE, ownership.OFFER, OfferChannel(where, heir.id))
    outcome = chat.send(heir, ownership.ACCEPT, AcceptChannel(where))

    assert offer.events == (ChannelOffered(where, heir.id),)
    assert outcome.events == (OwnerChanged(where, ALICE.id, heir.id),)
    assert (chat.role(where, heir), chat.role(where, ALICE)) == (Role.OWNER, Role.MODERATOR)
    assert members.load(chat.state, where, heir.id) is None
    assert not chat.epoch(where).stale


def test_the_deposit_goes_with_the_channel() -> None:
    chat, where = offered()
    chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))

    early = chat.send(ALICE, channel.CLOSE, CloseChannel(where))
    outcome = chat.send(DAVE, channel.CLOSE, CloseChannel(where))

    assert early.code == RoleTooLow.code
    assert outcome.events == (ChannelWasClosed(where, DAVE.id, DEPOSIT),)
    chat.audit()


def test_a_channel_is_taken_once() -> None:
    chat, where = offered()
    chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))

    assert chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where)).code == NotOffered.code


def test_another_offer_takes_the_place_of_the_first() -> None:
    chat, where = offered()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, BOB.id))

    first = chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))
    second = chat.send(BOB, ownership.ACCEPT, AcceptChannel(where))

    assert (first.code, second.code) == (NotOffered.code, 0)


def test_an_offer_is_taken_back() -> None:
    chat, where = offered()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, NOBODY))

    outcome = chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (NotOffered.code, ALICE.id)


def test_a_new_owner_has_named_nobody_yet() -> None:
    chat, where = inherited()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, DAVE.id))
    chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (NotSuccessor.code, DAVE.id)


@pytest.mark.parametrize(
    ("family", "order"),
    [(ownership.OFFER, OfferChannel), (ownership.NAME_SUCCESSOR, NameSuccessor)],
)
@pytest.mark.parametrize(
    ("who", "heir", "code"),
    [
        (ALICE, ALICE.id, BadHeir.code),
        (ALICE, b"short", BadHeir.code),
        (BOB, DAVE.id, RoleTooLow.code),
        (STRANGER, DAVE.id, NotRegistered.code),
    ],
)
def test_nobody_else_gives_a_channel_and_not_to_its_owner(
    family: Family[object], order: type[OfferChannel], who: Person, heir: AccountId, code: int
) -> None:
    chat, where = town()
    before = chat.channel(where)

    outcome = chat.send(who, family, order(where, heir))

    assert (outcome.code, chat.channel(where)) == (code, before)


def test_who_is_no_identity_cannot_take_a_channel() -> None:
    chat, where = offered(STRANGER)

    outcome = chat.send(STRANGER, ownership.ACCEPT, AcceptChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (NotRegistered.code, ALICE.id)


@pytest.mark.parametrize("who", [BOB, CAROL, STRANGER])
def test_a_channel_is_not_taken_by_whom_it_was_not_offered(who: Person) -> None:
    chat, where = offered()

    outcome = chat.send(who, ownership.ACCEPT, AcceptChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (NotOffered.code, ALICE.id)


def test_who_was_banned_since_takes_no_channel() -> None:
    chat, where = offered()
    chat.send(BOB, member.BAN, BanMember(where, DAVE.id, EpochMs(0)))

    outcome = chat.send(DAVE, ownership.ACCEPT, AcceptChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (Banned.code, ALICE.id)


def test_no_moderator_keeps_the_successor_of_an_owner_out_who_is_away() -> None:
    chat, where = inherited()
    chat.send(BOB, member.BAN, BanMember(where, CAROL.id, EpochMs(0)))
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (0, CAROL.id)
    assert members.banned(chat.state, where, CAROL.id, chat.now) is None


def test_whom_the_owner_banned_does_not_succeed() -> None:
    chat, where = inherited()
    chat.send(ALICE, member.BAN, BanMember(where, CAROL.id, EpochMs(0)))
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (Banned.code, ALICE.id)


def test_a_successor_takes_a_channel_whose_owner_is_away() -> None:
    chat, where = inherited()
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert outcome.events == (OwnerChanged(where, ALICE.id, CAROL.id),)
    assert (chat.role(where, CAROL), chat.role(where, ALICE)) == (Role.OWNER, Role.MEMBER)
    assert chat.channel(where).acted_at == chat.now


def test_a_successor_waits() -> None:
    chat, where = inherited()
    chat.pass_ms(SUCCESSION_MS - 1)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (OwnerStillActs.code, ALICE.id)
    assert f"taken at {START + SUCCESSION_MS} ms" in outcome.reason


@pytest.mark.parametrize(
    ("family", "order"),
    [
        (member.REMOVE, lambda _chat, where: RemoveMember(where, BOB.id)),
        (ownership.OFFER, lambda _chat, where: OfferChannel(where, DAVE.id)),
        (epoch.COMMIT, next_epoch),
    ],
)
def test_an_owner_who_does_something_is_not_away(
    family: Family[object], order: Callable[[Chat, bytes], object]
) -> None:
    chat, where = inherited()
    chat.pass_ms(SUCCESSION_MS - 1)
    chat.send(ALICE, family, order(chat, where))
    chat.pass_ms(1)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (OwnerStillActs.code, ALICE.id)


def test_what_others_do_does_not_keep_an_owner() -> None:
    chat, where = inherited()
    chat.pass_ms(SUCCESSION_MS - 1)
    chat.send(BOB, epoch.COMMIT, next_epoch(chat, where))
    chat.pass_ms(1)

    assert chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where)).code == 0


def test_a_successor_takes_at_once_what_belongs_to_an_identity_that_was_given_up() -> None:
    chat, where = inherited()
    chat.deactivate(ALICE)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.role(where, ALICE)) == (0, None)
    assert chat.epoch(where).stale


def test_who_hands_a_private_channel_over_knows_its_keys_no_longer() -> None:
    chat, where, _ = circle()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, BOB.id))

    chat.send(BOB, ownership.ACCEPT, AcceptChannel(where))

    assert (chat.epoch(where).stale, chat.epoch(where).removals) == (True, 1)


def test_a_private_channel_is_handed_over_without_a_list() -> None:
    chat, where, _ = circle()
    chat.send(ALICE, ownership.OFFER, OfferChannel(where, CAROL.id))

    outcome = chat.send(CAROL, ownership.ACCEPT, AcceptChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (0, CAROL.id)
    assert members.load(chat.state, where, ALICE.id) is None


@pytest.mark.parametrize("who", [BOB, DAVE, ALICE])
def test_only_the_successor_succeeds(who: Person) -> None:
    chat, where = inherited()
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(who, ownership.SUCCEED, SucceedChannel(where))

    assert (outcome.code, chat.channel(where).owner) == (NotSuccessor.code, ALICE.id)


def test_a_successor_is_named_and_named_no_more() -> None:
    chat, where = town()

    named = chat.send(ALICE, ownership.NAME_SUCCESSOR, NameSuccessor(where, CAROL.id))
    chat.send(ALICE, ownership.NAME_SUCCESSOR, NameSuccessor(where, NOBODY))

    assert named.events == (SuccessorNamed(where, CAROL.id),)
    assert chat.channel(where).successor == NOBODY


def test_a_successor_who_gave_up_its_identity_takes_nothing() -> None:
    chat, where = inherited()
    chat.deactivate(CAROL)
    chat.pass_ms(SUCCESSION_MS)

    outcome = chat.send(CAROL, ownership.SUCCEED, SucceedChannel(where))

    assert outcome.code == Deactivated.code
