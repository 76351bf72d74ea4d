from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat.state import posts
from abci_chat.state.channels import UnknownChannel
from abci_chat.state.posts import NotExpired, NotTheOldest, Sequence
from abci_chat.txs.expire import FAMILY, ExpirePosts, KeptForEver, PostsExpired
from dchat.kernel.errors import MalformedBody, NonceMismatch
from dchat.kernel.ids import EpochMs
from tests.fakes.memory import ALICE, BOB, CAROL, Person, signed
from tests.fakes.posting import HOUR_MS, OPEN, PRIVATE, PUBLIC, Room

STRANGER = Person(b"\x66" * 32)


def room_with(*senders: Person) -> Room:
    """A room in which they posted an hour ago."""
    room = Room()
    for who in senders:
        room.post(who)
    room.pass_ms(HOUR_MS)
    return room


def test_old_posts_leave_a_tombstone_whoever_asks() -> None:
    room = room_with(BOB, CAROL, BOB)
    first = room.record(1)

    outcome = room.send(CAROL, FAMILY, ExpirePosts(PUBLIC, (1,)))

    stone = posts.buried(posts.NO_TOMBSTONE, 1, first)
    assert outcome.events == (PostsExpired(PUBLIC, 2, stone),)
    assert room.sequence() == Sequence(4, 2, 1, stone)
    assert posts.batch(room.state, PUBLIC, 1) is None


def test_many_records_go_at_once_and_each_is_paid_for() -> None:
    room = room_with(*(BOB,) * 101)

    one = room.send(ALICE, FAMILY, ExpirePosts(PUBLIC, (1,)))
    many = room.send(ALICE, FAMILY, ExpirePosts(PUBLIC, tuple(range(2, 102))))

    assert (many.code, room.sequence().kept_from) == (0, 102)
    assert many.cost_used - one.cost_used >= 99 * FAMILY.cost_per_entry


def test_one_transaction_takes_a_hundred_records_at_most() -> None:
    room = room_with(BOB)
    body = (FAMILY.type, PUBLIC, list(range(1, 102)))

    outcome = room.send_raw(signed(ALICE, body, fee=20_000, cost_limit=20_000))

    assert (outcome.code, room.sequence().kept_from) == (MalformedBody.code, 1)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (ExpirePosts(PUBLIC, ()), NotTheOldest.code),
        (ExpirePosts(PUBLIC, (2,)), NotTheOldest.code),
        (ExpirePosts(PUBLIC, (1, 3)), NotTheOldest.code),
        (ExpirePosts(PRIVATE, (1,)), NotTheOldest.code),
        (ExpirePosts(bytes(32), (1,)), UnknownChannel.code),
    ],
)
def test_an_expiry_is_refused_and_takes_nothing_away(form: ExpirePosts, code: int) -> None:
    room = room_with(BOB, CAROL)

    outcome = room.send(ALICE, FAMILY, form)

    assert (outcome.code, room.sequence()) == (code, Sequence(next=3))
    assert room.record(1)


def test_one_young_record_keeps_those_before_it() -> None:
    room = room_with(BOB)
    room.post(CAROL)

    outcome = room.send(ALICE, FAMILY, ExpirePosts(PUBLIC, (1, 2)))

    assert (outcome.code, room.sequence().kept_from) == (NotExpired.code, 1)


def test_a_channel_may_keep_its_posts_for_ever() -> None:
    room = Room(replace(OPEN, retention_ms=0))
    room.post(BOB)
    room.pass_ms(10**12)

    outcome = room.send(ALICE, FAMILY, ExpirePosts(PUBLIC, (1,)))

    assert (outcome.code, room.sequence().kept_from) == (KeptForEver.code, 1)


def test_posts_of_a_closed_channel_expire_as_well() -> None:
    room = room_with(BOB)
    room.set(PUBLIC, replace(room.channel(), closed_at=EpochMs(1)))

    assert room.send(ALICE, FAMILY, ExpirePosts(PUBLIC, (1,))).code == 0


def test_a_replayed_expiry_is_refused() -> None:
    room = room_with(BOB, BOB)
    raw = room.signed(ALICE, FAMILY, ExpirePosts(PUBLIC, (1,)))
    room.send_raw(raw)

    assert (room.send_raw(raw).code, room.sequence().kept_from) == (NonceMismatch.code, 2)
