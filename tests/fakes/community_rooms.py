"""Plain books of channels: who may do what there, whose epoch it is, and which posts there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from abci_chat import keys, params
from abci_chat.params import HOUR_MS
from abci_chat.state import channels, conversations, epochs, hidden, members, posts
from abci_chat.state.channels import JoinRule, Kind, Policy, Role
from abci_chat.state.posts import Batch
from abci_chat.txs.anchor import Anchored
from abci_chat.txs.channel import ChannelCreated, ChannelWasClosed, PolicySet
from abci_chat.txs.epoch import EpochCommitted, LeafRemoved
from abci_chat.txs.expire import PostsExpired
from abci_chat.txs.invite import JoinDenied, JoinRequested, MemberInvited
from abci_chat.txs.member import (
    MemberBanned,
    MemberJoined,
    MemberLeft,
    MemberUnbanned,
    RoleSet,
)
from abci_chat.txs.ownership import ChannelOffered, OwnerChanged, SuccessorNamed
from abci_chat.txs.post import Post, Posted
from dchat.kernel.ids import AccountId, EpochMs, Height
from tests.fakes.community import PEOPLE, Known, blind_of
from tests.fakes.community_acts import Act
from tests.fakes.community_ring import Ring
from tests.fakes.memory import MemoryState

NOBODY: Final = AccountId(b"")


@dataclass
class Room:
    """A channel as a person would write it down."""

    kind: Kind
    owner: AccountId
    policy: Policy
    acted_at: int
    roles: dict[AccountId, Role] = field(default_factory=dict[AccountId, Role])
    banned: dict[AccountId, tuple[int, Role]] = field(
        default_factory=dict[AccountId, tuple[int, Role]]
    )
    invited: dict[AccountId, tuple[int, AccountId]] = field(
        default_factory=dict[AccountId, tuple[int, AccountId]]
    )
    wishes: dict[AccountId, int] = field(default_factory=dict[AccountId, int])
    offered: AccountId = NOBODY
    heir: AccountId = NOBODY
    closed: bool = False
    number: int = 0
    gone: int = 0
    stale: bool = False
    reserved: bool = False
    root: bytes = epochs.NO_ROOT
    posting_key: bytes = b""
    void: set[bytes] = field(default_factory=set[bytes])
    """Leaves that count no more."""
    records: dict[int, Batch] = field(default_factory=dict[int, Batch])
    next: int = 1
    tombstone: bytes = posts.NO_TOMBSTONE
    counters: Counter[AccountId] = field(default_factory=Counter[AccountId])
    posted: dict[AccountId, int] = field(default_factory=dict[AccountId, int])
    """When somebody posted last."""
    bumps: dict[AccountId, list[int]] = field(default_factory=dict[AccountId, list[int]])

    def left(self, who: AccountId) -> None:
        """Note that somebody who knows the keys is gone."""
        self.roles.pop(who, None)
        self.gone += 1
        self.stale = True


class Rooms:
    """All channels."""

    def __init__(self, ring: Ring, known: Known) -> None:
        self.ring, self.known = ring, known
        self.rooms: dict[bytes, Room] = {}
        self.anchors: dict[bytes, tuple[int, bytes]] = {}

    def acting(self, act: Act, where: bytes, least: Role) -> Room:
        """Return the open channel in which the one who acts has that role, or above."""
        room = self.rooms[where]
        assert not room.closed
        assert self.ring.is_active(act.who)
        assert self.role(act, room, where) >= least
        if act.who == room.owner:
            room.acted_at = act.now
        return room

    def role(self, act: Act, room: Room, where: bytes) -> int:
        """Return the role of the one who acts, 0 who has none."""
        if act.who == room.owner:
            return Role.OWNER
        if room.kind is not Kind.PRIVATE:
            return room.roles.get(act.who, 0)
        seats = dict(self.known.trees[room.root].seats) if room.root in self.known.trees else {}
        role = seats.get(act.who)
        if role is None or self._leaf(where, act.who, role) in room.void:
            return 0
        return role

    def _leaf(self, where: bytes, who: AccountId, role: Role) -> bytes:
        return hidden.leaf(where, hidden.seat(who, blind_of(who)), role)

    def enter(self, act: Act) -> None:
        """Book what happened in a channel."""
        match act.event:
            case ChannelCreated(where, owner, kind):
                assert where not in self.rooms
                assert owner == act.who
                assert self.ring.is_active(owner)
                self.rooms[where] = Room(Kind(kind), owner, act.form.policy, act.now)
            case ChannelWasClosed(where, owner):
                room = self.acting(act, where, Role.OWNER)
                assert owner == room.owner
                room.closed = True
            case PolicySet(where):
                self.acting(act, where, Role.OWNER).policy = act.form.policy
            case Anchored(name, number, head):
                assert self.anchors.get(name, (-1, b""))[0] < number
                self.anchors[name] = (number, head)
            case _:
                self._come(act)
                self._go(act)
                self._bar(act)
                self._own(act)
                self._turn(act)
                self._post(act)

    def _come(self, act: Act) -> None:
        match act.event:
            case MemberJoined(where, who):
                room = self._joinable(act, where, who)
                if who == act.who:
                    assert self.ring.is_active(who)
                    assert room.policy.join is JoinRule.OPEN or self._invited(act, room, who)
                else:
                    self.acting(act, where, Role.MODERATOR)
                    assert room.wishes[who] > act.now
                room.roles[who] = Role.MEMBER
                self._settle(room, who)
            case MemberInvited(where, who, until):
                room = self._joinable(act, where, who)
                self.acting(act, where, Role.MODERATOR)
                room.invited[who] = (until, act.who)
            case JoinRequested(where, who, until):
                room = self._joinable(act, where, who)
                assert room.policy.join is JoinRule.REQUEST
                room.wishes[who] = until
            case JoinDenied(where, who):
                room = self.acting(act, where, Role.MODERATOR)
                assert room.wishes[who] > act.now
                self._settle(room, who)
            case _:
                pass

    def _joinable(self, act: Act, where: bytes, who: AccountId) -> Room:
        room = self.rooms[where]
        assert not room.closed
        assert room.kind is Kind.PUBLIC
        assert who != room.owner
        assert who not in room.roles
        assert room.banned.get(who, (0, 0))[0] <= act.now
        return room

    def _invited(self, act: Act, room: Room, who: AccountId) -> bool:
        until, by = room.invited.get(who, (0, NOBODY))
        stands = by == room.owner or room.roles.get(by, 0) >= Role.MODERATOR
        return until > act.now and stands

    def _settle(self, room: Room, who: AccountId) -> None:
        room.invited.pop(who, None)
        room.wishes.pop(who, None)

    def _go(self, act: Act) -> None:
        match act.event:
            case MemberLeft(where, who, by):
                room = self.acting(act, where, Role.MEMBER)
                assert by == act.who
                assert who != room.owner
                if by != who:
                    assert Role.MODERATOR <= self.role(act, room, where) > room.roles[who]
                elif room.kind is Kind.PRIVATE:
                    seat = dict(self.known.trees[room.root].seats)[who]
                    room.void.add(self._leaf(where, who, seat))
                self._bump(act, room)
                room.left(who)
            case RoleSet(where, who, role):
                room = self.acting(act, where, Role.OWNER)
                if role < room.roles[who]:
                    self._bump(act, room)
                    room.left(who)
                room.roles[who] = Role(role)
            case _:
                pass

    def _bar(self, act: Act) -> None:
        match act.event:
            case MemberBanned(where, who, until):
                room = self.acting(act, where, Role.MODERATOR)
                assert who not in {room.owner, *room.roles}
                mine = Role(self.role(act, room, where))
                before = room.banned.get(who, (0, Role.MEMBER))
                assert before[0] <= act.now or mine >= before[1]
                room.banned[who] = (until, mine)
                self._settle(room, who)
            case MemberUnbanned(where, who):
                room = self.acting(act, where, Role.MODERATOR)
                until, by = room.banned.pop(who)
                assert until > act.now
                assert self.role(act, room, where) >= by
            case _:
                pass

    def _own(self, act: Act) -> None:
        match act.event:
            case ChannelOffered(where, to):
                self.acting(act, where, Role.OWNER).offered = to
            case SuccessorNamed(where, heir):
                self.acting(act, where, Role.OWNER).heir = heir
            case OwnerChanged(where, before, owner):
                room = self.rooms[where]
                assert not room.closed
                assert (before, owner) == (room.owner, act.who)
                assert self.ring.is_active(owner)
                until, by = room.banned.pop(owner, (0, Role.MEMBER))
                named = type(act.form).__name__ == "SucceedChannel"
                assert until <= act.now or (named and by < Role.OWNER)
                self._hand_over(act, room)
            case _:
                pass

    def _hand_over(self, act: Act, room: Room) -> None:
        accepted = type(act.form).__name__ == "AcceptChannel"
        there = self.ring.is_active(room.owner)
        away_at = room.acted_at + params.CHANNELS.load(act.rules).succession_ms
        assert room.offered == act.who or not accepted
        assert accepted or (room.heir == act.who and (act.now >= away_at or not there))
        if room.kind is not Kind.PRIVATE:
            room.roles.pop(act.who, None)
            self._settle(room, act.who)
            if there:
                room.roles[room.owner] = Role.MODERATOR if accepted else Role.MEMBER
        parts = not there or room.kind is Kind.PRIVATE
        room.gone += parts
        room.stale = room.stale or parts
        room.owner, room.offered, room.heir, room.acted_at = act.who, NOBODY, NOBODY, act.now

    def _bump(self, act: Act, room: Room) -> None:
        """Note that somebody changed the epoch: nobody does so more often than twice the bound."""
        since = [at for at in room.bumps.get(act.who, []) if at > act.now - HOUR_MS]
        room.bumps[act.who] = [*since, act.now]
        allowed = params.CHANNELS.load(act.rules).bumps_per_hour
        trust = params.REPUTATION.load(act.rules).trusted_limit_factor
        assert len(since) < 2 * allowed * trust

    def _turn(self, act: Act) -> None:
        match act.event:
            case EpochCommitted(where, number, stale, by):
                room = self.acting(act, where, Role.MODERATOR)
                assert by == act.who
                assert number == room.number + 1 == act.form.from_epoch + 1
                assert not room.reserved or act.who == room.owner
                assert stale == (act.form.removals < room.gone)
                assert act.form.posting_key != room.posting_key or room.kind is not Kind.PRIVATE
                self._bump(act, room)
                room.number, room.stale, room.reserved = number, stale, False
                room.root, room.posting_key = act.form.member_root, act.form.posting_key
            case LeafRemoved(where, leaf):
                room = self.acting(act, where, Role.MODERATOR)
                mine = self.role(act, room, where)
                assert mine > min(act.form.role, Role.MODERATOR)
                assert mine == Role.OWNER or not act.form.reserve
                assert leaf not in room.void
                room.void.add(leaf)
                self._bump(act, room)
                room.gone, room.stale = room.gone + 1, True
                room.reserved = room.reserved or act.form.reserve
            case _:
                pass

    def _post(self, act: Act) -> None:
        match act.event:
            case Posted(where, first, count, root):
                room = self.rooms[where]
                assert not room.closed
                assert first == room.next
                assert act.form.epoch == room.number
                self._authors(act, room)
                parts = 1 if isinstance(act.form, Post) else len(act.form.parts)
                place = (EpochMs(act.now), Height(act.height), room.number)
                room.records[first] = Batch(count, parts, root, *place)
                room.next += count
                if not isinstance(act.form, Post):
                    self.known.posts[where, first] = tuple([each.part for each in act.form.parts])
            case PostsExpired(where, kept_from, tombstone):
                room = self.rooms[where]
                for first in act.form.firsts:
                    assert first == min(room.records)
                    record = room.records.pop(first)
                    assert record.at + room.policy.retention_ms <= act.now
                    room.tombstone = posts.buried(room.tombstone, first, record)
                assert room.policy.retention_ms > 0
                assert kept_from == min(room.records, default=room.next)
                assert tombstone == room.tombstone
            case _:
                pass

    def _authors(self, act: Act, room: Room) -> None:
        """Return if every author may post so, by a device that signs for them."""
        if room.kind is Kind.PRIVATE:
            (part,) = act.form.parts
            assert not room.stale
            assert (part.author, part.device) == (b"", b"")
            return
        if isinstance(act.form, Post):
            found = [(act.who, act.key, act.form.counter, 1)]
        else:
            found = [
                (each.author, each.device, each.counter, each.count) for each in act.form.parts
            ]
        for who, device, counter, count in found:
            assert self.ring.authorises(who, device)
            assert counter == room.counters[who]
            role = Role.OWNER if who == room.owner else room.roles[who]
            assert role >= room.policy.who_may_post
            slow = room.policy.slow_mode_ms if role is Role.MEMBER else 0
            assert not slow or (count == 1 and room.posted.get(who, 0) + slow <= act.now)
            room.counters[who] += count
            room.posted[who] = act.now
            room.acted_at = act.now if who == room.owner else room.acted_at

    def check(self, state: MemoryState) -> None:
        """Return if the state has these channels, and nothing else about them."""
        for where, room in self.rooms.items():
            _check_settings(state, where, room)
            _check_people(state, where, room)
            _check_posts(state, where, room)
        assert len(list(state.scan(keys.CHANNELS))) == len(self.rooms)
        for name, said in self.anchors.items():
            found = conversations.load(state, name)
            assert found is not None
            assert (found.number, found.head) == said


def _check_settings(state: MemoryState, where: bytes, room: Room) -> None:
    record, now = channels.load(state, where), epochs.load(state, where)
    assert record is not None
    assert (record.kind, record.owner, record.policy) == (room.kind, room.owner, room.policy)
    assert (record.closed_at > 0) == room.closed
    if not room.closed:
        assert (record.offered_to, record.successor) == (room.offered, room.heir)
        assert record.acted_at == room.acted_at
    assert (now.number, now.stale, now.reserved) == (room.number, room.stale, room.reserved)
    assert (now.removals, now.member_root) == (room.gone, room.root)
    assert now.posting_key == room.posting_key


def _check_people(state: MemoryState, where: bytes, room: Room) -> None:
    found = {who.id: members.load(state, where, who.id) for who in PEOPLE}
    assert {who: each.role for who, each in found.items() if each} == room.roles
    assert len(list(state.scan(keys.members(where)))) == len(room.roles)
    void = {leaf for leaf in room.void if hidden.is_removed(state, where, leaf)}
    assert void == room.void


def _check_posts(state: MemoryState, where: bytes, room: Room) -> None:
    held = posts.sequence(state, where)
    assert (held.next, held.tombstone) == (room.next, room.tombstone)
    at = held.kept_from
    for first in sorted(room.records):
        assert first == at
        assert posts.batch(state, where, first) == room.records[first]
        at += room.records[first].count
    assert at == room.next
    assert len(list(state.scan(keys.posts(where)))) == len(room.records)
    for who, count in room.counters.items():
        assert posts.author(state, where, who).counter == count
