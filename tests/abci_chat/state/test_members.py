"""In which role somebody acts, and what stands in the way of who does not."""

from __future__ import annotations

import pytest

from abci_chat.params import HOUR_MS
from abci_chat.state import members
from abci_chat.state.channels import Role, UnknownChannel
from abci_chat.state.hidden import BadHiddenProof
from abci_chat.state.identities import Deactivated, NotRegistered
from abci_chat.state.members import Ban, NotAMember, RoleTooLow
from dchat.kernel.ids import EpochMs
from tests.fakes.channels import DAVE, STRANGER, circle, town
from tests.fakes.memory import ALICE, BOB, CAROL, Person


@pytest.mark.parametrize(
    ("who", "role"), [(ALICE, Role.OWNER), (BOB, Role.MODERATOR), (CAROL, Role.MEMBER)]
)
def test_somebody_acts_in_its_role(who: Person, role: Role) -> None:
    chat, where = town()

    assert members.acting(chat.state, where, who.id, None) is role


@pytest.mark.parametrize(("who", "fault"), [(DAVE, NotAMember), (STRANGER, NotRegistered)])
def test_who_is_no_member_does_not_act(who: Person, fault: type[Exception]) -> None:
    chat, where = town()

    with pytest.raises(fault):
        members.acting(chat.state, where, who.id, None)


@pytest.mark.parametrize("who", [ALICE, BOB, CAROL])
def test_nobody_acts_by_an_identity_that_was_given_up(who: Person) -> None:
    chat, where = town()
    chat.deactivate(who)

    with pytest.raises(Deactivated):
        members.acting(chat.state, where, who.id, None)


def test_nobody_acts_where_there_is_no_channel() -> None:
    chat, _ = town()

    with pytest.raises(UnknownChannel):
        members.acting(chat.state, bytes(32), ALICE.id, None)


@pytest.mark.parametrize(
    ("who", "role"), [(BOB, Role.MODERATOR), (DAVE, Role.MODERATOR), (CAROL, Role.MEMBER)]
)
def test_a_hidden_member_acts_in_the_role_of_its_leaf(who: Person, role: Role) -> None:
    chat, where, tree = circle()

    assert members.acting(chat.state, where, who.id, tree.proof(who)) is role


def test_a_hidden_member_who_shows_nothing_does_not_act() -> None:
    chat, where, tree = circle()

    with pytest.raises(NotAMember):
        members.acting(chat.state, where, BOB.id, None)
    with pytest.raises(BadHiddenProof):
        members.acting(chat.state, where, BOB.id, tree.proof(DAVE))


def test_the_owner_of_a_private_channel_shows_nothing() -> None:
    chat, where, _ = circle()

    assert members.acting(chat.state, where, ALICE.id, None) is Role.OWNER


def test_a_proof_shown_where_members_are_listed_makes_nobody_more() -> None:
    chat, where = town()
    _, _, tree = circle()

    with pytest.raises(BadHiddenProof):
        members.acting(chat.state, where, DAVE.id, tree.proof(DAVE))


@pytest.mark.parametrize(
    ("have", "least"), [(Role.MEMBER, Role.MODERATOR), (Role.MODERATOR, Role.OWNER)]
)
def test_a_role_below_is_not_enough(have: Role, least: Role) -> None:
    with pytest.raises(RoleTooLow):
        members.need(have, least)


def test_a_ban_is_over_at_its_time() -> None:
    chat, where = town()
    draft = chat.draft()
    until = EpochMs(chat.now + HOUR_MS)

    members.keep_out(draft, where, DAVE.id, Ban(until, Role.MODERATOR))

    assert members.banned(draft, where, DAVE.id, EpochMs(until - 1)) == Ban(until, Role.MODERATOR)
    assert members.banned(draft, where, DAVE.id, until) is None


def test_who_is_taken_in_has_nothing_to_wait_for() -> None:
    chat, where = town()
    draft = chat.draft()
    later = EpochMs(chat.now + HOUR_MS)
    members.ask_in(draft, where, DAVE.id, members.Invite(later, ALICE.id))
    members.ask(draft, where, DAVE.id, later)

    members.take_in(draft, where, DAVE.id, chat.now)

    assert members.role_of(draft, where, DAVE.id) is Role.MEMBER
    assert not members.invited(draft, where, DAVE.id, chat.now)
    assert not members.asks(draft, where, DAVE.id, chat.now)
