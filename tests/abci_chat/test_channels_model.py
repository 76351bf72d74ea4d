"""Channels in any order of events: epochs by one, roles as a plain list has them, deposits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from abci_chat.params import CHANNELS, HOUR_MS
from abci_chat.state.channels import JoinRule, Role
from abci_chat.txs import channel, epoch, invite, member, ownership
from abci_chat.txs.channel import CloseChannel
from abci_chat.txs.invite import InviteMember
from abci_chat.txs.member import BanMember, JoinChannel, LeaveChannel, RemoveMember, SetRole
from abci_chat.txs.ownership import AcceptChannel, NameSuccessor, OfferChannel, SucceedChannel
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, EpochMs
from tests.fakes.channels import BY_INVITE, PEOPLE, POLICY, PUBLIC, Chat, next_epoch
from tests.fakes.memory import Person

T = TypeVar("T")
people = st.sampled_from(PEOPLE)


@dataclass
class Room:
    """A channel as a person would write it down."""

    owner: Person
    opened_to_all: bool
    roles: dict[Person, Role] = field(default_factory=dict[Person, Role])
    banned: dict[Person, Role] = field(default_factory=dict[Person, Role])
    invited: dict[Person, Person] = field(default_factory=dict[Person, Person])
    offered: Person | None = None
    heir: Person | None = None
    number: int = 0
    removals: int = 0
    stale: bool = False
    acted_at: int = 0
    closed: bool = False

    def role(self, who: Person) -> int:
        """0 for who is not in."""
        return Role.OWNER if who is self.owner else self.roles.get(who, 0)

    def gone(self, who: Person) -> None:
        """Note that who knows the keys is out."""
        self.roles.pop(who, None)
        self.removals += 1
        self.stale = True


class Channels(RuleBasedStateMachine):
    """A chain, and what a person would expect of it."""

    def __init__(self) -> None:
        super().__init__()
        self.chat = Chat()
        draft = self.chat.draft()
        CHANNELS.save(draft, replace(CHANNELS.default, bumps_per_hour=1000, deposit=Amount(1000)))
        self.chat.keep(draft)
        self.rooms: dict[bytes, Room] = {}

    def send(self, who: Person, family: Family[T], order: T) -> bool:
        """Carry out an order; whether it was accepted."""
        return self.chat.send(who, family, order).code == 0

    @precondition(lambda self: len(self.rooms) < 3)
    @rule(who=people, to_all=st.booleans())
    def create(self, who: Person, to_all: bool) -> None:
        form = replace(PUBLIC, policy=POLICY if to_all else BY_INVITE)
        room = Room(who, form.policy.join is JoinRule.OPEN, acted_at=self.chat.now)
        self.rooms[self.chat.create(who, form)] = room

    def pick(self, at: int) -> tuple[bytes, Room]:
        return list(self.rooms.items())[at % len(self.rooms)]

    def note(self, who: Person, room: Room) -> None:
        """Whoever did something was there."""
        if who is room.owner:
            room.acted_at = self.chat.now

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people)
    def close(self, at: int, who: Person) -> None:
        where, room = self.pick(at)
        expected = not room.closed and who is room.owner
        assert self.send(who, channel.CLOSE, CloseChannel(where)) == expected
        room.closed = room.closed or expected

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people)
    def join(self, at: int, who: Person) -> None:
        where, room = self.pick(at)
        asked = who in room.invited and room.role(room.invited[who]) >= Role.MODERATOR
        expected = (
            not room.closed
            and not room.role(who)
            and who not in room.banned
            and (room.opened_to_all or asked)
        )
        assert self.send(who, member.JOIN, JoinChannel(where)) == expected
        if expected:
            room.roles[who] = Role.MEMBER
            room.invited.pop(who, None)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, whom=people)
    def ask_in(self, at: int, who: Person, whom: Person) -> None:
        where, room = self.pick(at)
        expected = (
            not room.closed
            and room.role(who) >= Role.MODERATOR
            and not room.role(whom)
            and whom not in room.banned
        )
        assert self.send(who, invite.INVITE, InviteMember(where, whom.id)) == expected
        if expected:
            room.invited[whom] = who
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people)
    def leave(self, at: int, who: Person) -> None:
        where, room = self.pick(at)
        expected = not room.closed and 0 < room.role(who) < Role.OWNER
        assert self.send(who, member.LEAVE, LeaveChannel(where, ())) == expected
        if expected:
            room.gone(who)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, whom=people)
    def remove(self, at: int, who: Person, whom: Person) -> None:
        where, room = self.pick(at)
        expected = not room.closed and Role.MODERATOR <= room.role(who) > room.role(whom) > 0
        assert self.send(who, member.REMOVE, RemoveMember(where, whom.id)) == expected
        if expected:
            room.gone(whom)
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, whom=people)
    def ban(self, at: int, who: Person, whom: Person) -> None:
        where, room = self.pick(at)
        mine = room.role(who)
        expected = (
            not room.closed
            and Role.MODERATOR <= mine > room.role(whom)
            and room.banned.get(whom, 0) <= mine
        )
        assert self.send(who, member.BAN, BanMember(where, whom.id, EpochMs(0))) == expected
        if expected:
            room.banned[whom] = Role(mine)
            room.invited.pop(whom, None)
            self.note(who, room)
            if room.role(whom):
                room.gone(whom)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, whom=people)
    def unban(self, at: int, who: Person, whom: Person) -> None:
        where, room = self.pick(at)
        expected = (
            not room.closed
            and whom in room.banned
            and Role.MODERATOR <= room.role(who) >= room.banned[whom]
        )
        assert self.send(who, member.UNBAN, member.UnbanMember(where, whom.id)) == expected
        if expected:
            del room.banned[whom]
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, whom=people, role=st.sampled_from(list(Role)))
    def set_role(self, at: int, who: Person, whom: Person, role: Role) -> None:
        where, room = self.pick(at)
        expected = (
            not room.closed
            and who is room.owner
            and 0 < room.role(whom) < Role.OWNER
            and role < Role.OWNER
        )
        assert self.send(who, member.SET_ROLE, SetRole(where, whom.id, role)) == expected
        if expected:
            demoted = role < room.roles[whom]
            room.roles[whom] = role
            room.removals += demoted
            room.stale = room.stale or demoted
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, behind=st.integers(0, 1), unaware=st.integers(0, 1))
    def commit(self, at: int, who: Person, behind: int, unaware: int) -> None:
        where, room = self.pick(at)
        order = next_epoch(self.chat, where)
        built = replace(
            order,
            from_epoch=max(0, order.from_epoch - behind),
            removals=max(0, order.removals - unaware),
        )
        expected = (
            not room.closed and room.role(who) >= Role.MODERATOR and built.from_epoch == room.number
        )
        assert self.send(who, epoch.COMMIT, built) == expected
        if expected:
            room.number += 1
            room.stale = built.removals < room.removals
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), who=people, heir=people, for_later=st.booleans())
    def give(self, at: int, who: Person, heir: Person, for_later: bool) -> None:
        where, room = self.pick(at)
        expected = not room.closed and who is room.owner is not heir
        if for_later:
            order = NameSuccessor(where, heir.id)
            assert self.send(who, ownership.NAME_SUCCESSOR, order) == expected
        else:
            assert self.send(who, ownership.OFFER, OfferChannel(where, heir.id)) == expected
        if expected:
            room.heir = heir if for_later else room.heir
            room.offered = room.offered if for_later else heir
            self.note(who, room)

    @precondition(lambda self: bool(self.rooms))
    @rule(at=st.integers(0, 2), heir=people, as_successor=st.booleans())
    def take(self, at: int, heir: Person, as_successor: bool) -> None:
        where, room = self.pick(at)
        away = self.chat.now >= room.acted_at + CHANNELS.default.succession_ms
        named = (room.heir is heir and away) if as_successor else room.offered is heir
        kept_out = room.banned.get(heir, 0) >= (Role.OWNER if as_successor else Role.MODERATOR)
        expected = not room.closed and named and not kept_out
        if as_successor:
            assert self.send(heir, ownership.SUCCEED, SucceedChannel(where)) == expected
        else:
            assert self.send(heir, ownership.ACCEPT, AcceptChannel(where)) == expected
        if expected:
            room.roles.pop(heir, None)
            room.invited.pop(heir, None)
            room.banned.pop(heir, None)
            room.roles[room.owner] = Role.MEMBER if as_successor else Role.MODERATOR
            room.owner, room.heir, room.offered = heir, None, None
            room.acted_at = self.chat.now

    @rule(months=st.booleans())
    def wait(self, months: bool) -> None:
        self.chat.pass_ms(CHANNELS.default.succession_ms if months else HOUR_MS)
        for room in self.rooms.values():
            if months:
                room.invited.clear()

    @invariant()
    def the_records_are_what_a_person_would_expect(self) -> None:
        for where, room in self.rooms.items():
            now = self.chat.epoch(where)
            assert (now.number, now.stale, now.removals) == (
                room.number,
                room.stale,
                room.removals,
            )
            if not room.closed:
                seen = {who: self.chat.role(where, who) or 0 for who in PEOPLE}
                assert seen == {who: room.role(who) for who in PEOPLE}

    @invariant()
    def deposits_are_conserved(self) -> None:
        self.chat.audit()
        open_rooms = sum([not room.closed for room in self.rooms.values()])
        assert self.chat.deposits == 1000 * open_rooms


TestChannels = Channels.TestCase
TestChannels.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
