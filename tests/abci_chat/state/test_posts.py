from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from abci_chat import keys
from abci_chat.state import posts
from abci_chat.state.posts import Batch, NotExpired, NotTheOldest, Sequence
from abci_chat.txs import expire, post
from abci_chat.txs.expire import ExpirePosts
from abci_chat.txs.post import CounterMismatch, SignedPart
from dchat.kernel import codec
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.merkle import tree
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, START, MemoryState, Person
from tests.fakes.posting import HOUR_MS, PRIVATE, PUBLIC, Room, commitments, part_of

NOW = EpochMs(1000)
people = st.sampled_from((ALICE, BOB, CAROL))
channels = st.sampled_from((PUBLIC, PRIVATE))


def drafted(*counts: int) -> Draft:
    """A channel with records of so many posts, one after another in blocks 100 ms apart."""
    draft = Draft(MemoryState())
    for at, count in enumerate(counts):
        part = part_of(ALICE.id, ALICE.public_key, at, commitments(count))
        posts.append(draft, PUBLIC, (part,), EpochMs(NOW + 100 * at), (Height(at), 0))
    return draft


def test_records_follow_each_other_without_a_gap() -> None:
    draft = drafted(3, 1, 5)

    held = [posts.batch(draft, PUBLIC, first) for first in (1, 4, 5)]

    assert [each.count for each in held if each] == [3, 1, 5]
    assert posts.sequence(draft, PUBLIC) == Sequence(next=10)


def test_channels_count_by_themselves() -> None:
    assert posts.sequence(drafted(3), PRIVATE) == Sequence()


def test_records_expire_from_the_front_and_leave_a_tombstone() -> None:
    draft = drafted(3, 1, 5)
    first, second = (posts.batch(draft, PUBLIC, at) for at in (1, 4))
    assert first
    assert second

    left = posts.expire(draft, PUBLIC, (1, 4), EpochMs(NOW + 600), 500)

    stone = posts.buried(posts.buried(posts.NO_TOMBSTONE, 1, first), 4, second)
    assert left == posts.sequence(draft, PUBLIC) == Sequence(10, 5, 2, stone)
    assert [posts.batch(draft, PUBLIC, at) for at in (1, 4)] == [None, None]


def test_a_tombstone_is_the_hash_over_the_one_before_and_the_record() -> None:
    record = Batch(2, 1, b"r" * 32, EpochMs(7), Height(8), 9)
    packed = codec.pack((5,)) + codec.pack((2, 1, b"r" * 32, 7, 8, 9))

    stone = posts.buried(b"t" * 32, 5, record)

    assert stone == sha256(b"dchat/post-tombstone/v1" + b"t" * 32 + packed).digest()


@pytest.mark.parametrize("firsts", [(4,), (2,), (0,), (1, 5), (1, 1), (1, 4, 5, 10), (10,)])
def test_nothing_but_the_oldest_records_in_their_order_expires(firsts: tuple[int, ...]) -> None:
    draft = drafted(3, 1, 5)

    with pytest.raises(NotTheOldest):
        posts.expire(draft, PUBLIC, firsts, EpochMs(NOW + 10**6), 500)


def test_a_record_expires_when_its_time_is_over_and_no_sooner() -> None:
    draft = drafted(3)

    with pytest.raises(NotExpired):
        posts.expire(draft, PUBLIC, (1,), EpochMs(NOW + 499), 500)
    assert posts.expire(draft, PUBLIC, (1,), EpochMs(NOW + 500), 500).kept_from == 4


class Posting(RuleBasedStateMachine):
    """Posts, batches and expiry in any order, held against plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.room, self.other = Room(), Room()
        self.sent: dict[bytes, list[tuple[int, int]]] = {PUBLIC: [], PRIVATE: []}
        """When each record came, and how many posts it has."""
        self.gone: dict[bytes, list[tuple[int, Batch]]] = {PUBLIC: [], PRIVATE: []}
        self.posted: dict[Person, int] = {ALICE: 0, BOB: 0, CAROL: 0}
        self.old: list[SignedPart] = []

    @rule(who=people)
    def post(self, who: Person) -> None:
        self.carry_out(who, self.room.signed(who, post.POST, self.form(who)))
        self.take(PUBLIC, 1, who)

    @rule(sender=people, authors=st.lists(people, min_size=1, max_size=3, unique=True))
    def batch(self, sender: Person, authors: list[Person]) -> None:
        parts = tuple(self.room.part(who, 2 + at) for at, who in enumerate(authors))
        form = post.PostBatch(PUBLIC, 3, parts)
        self.carry_out(sender, self.room.signed(sender, post.BATCH, form))
        self.old = list(parts)
        for each, who in zip(parts, authors, strict=True):
            self.posted[who] += each.count
        self.sent[PUBLIC].append((self.room.now, sum(each.count for each in parts)))

    @rule(sender=people, count=st.sampled_from((1, 4, 16)))
    def hide(self, sender: Person, count: int) -> None:
        form = post.PostBatch(PRIVATE, 3, (self.room.hidden(sender, count),))
        self.carry_out(sender, self.room.signed(sender, post.BATCH, form))
        self.take(PRIVATE, count)

    @precondition(lambda self: self.old)
    @rule(sender=people, data=st.data())
    def replay(self, sender: Person, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(self.old))
        form = post.PostBatch(PUBLIC, 3, (part,))
        code = self.try_out(sender, self.room.signed(sender, post.BATCH, form))
        assert code == CounterMismatch.code

    @rule(channel=channels, sender=people, count=st.integers(1, 4))
    def expire(self, channel: bytes, sender: Person, count: int) -> None:
        kept = self.kept(channel)[:count]
        old = [at for at, _ in self.sent[channel][len(self.gone[channel]) :][:count]]
        records = [(first, self.room.record(first, channel)) for first in kept]
        form = ExpirePosts(channel, tuple(kept))
        code = self.try_out(sender, self.room.signed(sender, expire.FAMILY, form))
        if kept and all(at + HOUR_MS <= self.room.now for at in old):
            assert code == 0
            self.gone[channel] += records
        else:
            assert code in {NotExpired.code, NotTheOldest.code}

    @rule(span=st.sampled_from((1, HOUR_MS // 2, HOUR_MS - 1)))
    def wait(self, span: int) -> None:
        self.room.pass_ms(span)
        self.other.pass_ms(span)

    @invariant()
    def numbers_have_no_gap_and_no_overlap(self) -> None:
        for channel, sent in self.sent.items():
            held = self.room.sequence(channel)
            at = held.kept_from
            for _, count in sent[len(self.gone[channel]) :]:
                assert self.room.record(at, channel).count == count
                at += count
            assert at == held.next == 1 + sum(count for _, count in sent)

    @invariant()
    def nothing_else_is_there(self) -> None:
        for channel in self.sent:
            there = [key for key, _ in self.room.state.scan(keys.posts(channel))]
            assert there == [keys.post(channel, first) for first in self.kept(channel)]

    @invariant()
    def counters_rise_by_one_a_post(self) -> None:
        assert {who: self.room.counter(who) for who in self.posted} == self.posted

    @invariant()
    def tombstones_cover_all_that_is_gone(self) -> None:
        for channel, gone in self.gone.items():
            stone = posts.NO_TOMBSTONE
            for first, record in gone:
                stone = posts.buried(stone, first, record)
                assert posts.batch(self.room.state, channel, first) is None
            held = self.room.sequence(channel)
            assert (held.tombstone, held.expired_records) == (stone, len(gone))

    @invariant()
    def replicas_are_equal(self) -> None:
        here, there = (tree.update({}, each.state.entries).root for each in (self.room, self.other))
        assert here == there

    def form(self, who: Person) -> post.Post:
        return post.Post(PUBLIC, 3, self.posted[who], commitments(1)[0])

    def kept(self, channel: bytes) -> list[int]:
        """The first numbers of the records that are there."""
        at, firsts = 1, list[int]()
        for _, count in self.sent[channel]:
            firsts.append(at)
            at += count
        return firsts[len(self.gone[channel]) :]

    def take(self, channel: bytes, count: int, who: Person | None = None) -> None:
        self.sent[channel].append((self.room.now, count))
        if who:
            self.posted[who] += count

    def carry_out(self, who: Person, raw: bytes) -> None:
        assert self.try_out(who, raw) == 0

    def try_out(self, who: Person, raw: bytes) -> int:
        here, there = (room.send_raw(raw, who) for room in (self.room, self.other))
        assert here == there
        return here.code


TestPosting = Posting.TestCase
TestPosting.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_the_oldest_post_is_the_next_one_where_all_are_gone() -> None:
    draft = drafted(3)

    left = posts.expire(draft, PUBLIC, (1,), START, 500)

    assert (left.kept_from, left.next) == (4, 4)
