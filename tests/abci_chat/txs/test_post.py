from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.state import devices, epochs, identities, members, posts
from abci_chat.state.channels import ChannelClosed, Role, UnknownChannel
from abci_chat.state.identities import Deactivated
from abci_chat.state.members import FOR_GOOD, NotAMember, RoleTooLow
from abci_chat.state.post_proofs import NOBODY, Part, root_of
from abci_chat.state.posts import Author, Batch, Sequence
from abci_chat.txs import post as families
from abci_chat.txs.member import BAN, BanMember
from abci_chat.txs.post import (
    BATCH,
    POST,
    AuthorMissing,
    AuthorNamed,
    BadBatch,
    BadPostSignature,
    CounterMismatch,
    DeviceNotAuthorised,
    OddBatchSize,
    Post,
    PostBatch,
    Posted,
    PostingKeyStale,
    SignedPart,
    SlowModeOn,
    WrongPostEpoch,
)
from dchat.kernel.errors import MalformedBody, NonceMismatch
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import ChainId, EpochMs, Height
from dchat.kernel.refusals import REFUSALS
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, Person, signed
from tests.fakes.posting import (
    DEVICE,
    DEVICE_SEED,
    EPOCH,
    OPEN,
    POSTING_SEED,
    PRIVATE,
    PUBLIC,
    Room,
    commitment,
    commitments,
    part_of,
)

SLOW = replace(OPEN, slow_mode_ms=1000)
FORM = Post(PUBLIC, EPOCH, 0, commitment(7))
DAVE = Person(b"\x04" * 32)


def signed_by(seed: bytes, part: Part, channel: bytes = PUBLIC, epoch: int = EPOCH) -> SignedPart:
    return families.sign(seed, CHAIN, channel, epoch, part)


def bobs(count: int = 2, counter: int = 0) -> Part:
    return part_of(BOB.id, DEVICE, counter, commitments(count))


def nothing_posted(room: Room) -> bool:
    return room.sequence() == room.sequence(PRIVATE) == Sequence() and not room.counter(BOB)


def test_a_post_gets_the_channels_next_number_and_the_blocks_time() -> None:
    room = Room()
    room.post(CAROL)

    outcome = room.post(BOB, 9)

    part = part_of(BOB.id, BOB.public_key, 0, (commitment(9),))
    record = Batch(1, 1, root_of((part,)), START, Height(2), EPOCH)
    assert (outcome.code, room.record(2)) == (0, record)
    assert outcome.events == (Posted(PUBLIC, 2, 1, record.root),)
    assert room.sequence() == Sequence(next=3)
    assert posts.author(room.state, PUBLIC, BOB.id) == Author(1, START)


def test_a_batch_takes_a_thousand_posts_in_one_record() -> None:
    room = Room()
    parts = (room.part(CAROL, 500), room.part(BOB, 524))

    outcome = room.batch(ALICE, *parts)

    root = root_of([each.part for each in parts])
    assert outcome.events == (Posted(PUBLIC, 1, 1024, root),)
    assert room.record(1) == Batch(1024, 2, root, START, Height(1), EPOCH)
    assert (room.counter(CAROL), room.counter(BOB), room.counter(ALICE)) == (500, 524, 0)
    assert room.sequence().next == 1025


def test_a_batch_costs_by_its_parts_and_not_by_its_posts() -> None:
    one, many = (Room().batch(ALICE, Room().part(BOB, count)) for count in (1, 1000))
    room = Room()
    two = room.batch(ALICE, room.part(BOB, 1), room.part(CAROL, 1))

    assert many.cost_used - one.cost_used <= 1
    assert two.cost_used - one.cost_used >= BATCH.cost_per_entry


def test_a_device_signs_for_its_author_whoever_sends_the_batch() -> None:
    room = Room()

    outcome = room.batch(CAROL, signed_by(DEVICE_SEED, bobs()))

    assert (outcome.code, room.counter(BOB), room.counter(CAROL)) == (0, 2, 0)


def test_two_parts_of_one_author_follow_each_other() -> None:
    room = Room()

    outcome = room.batch(
        CAROL,
        signed_by(DEVICE_SEED, bobs(2)),
        signed_by(BOB.seed, Part(BOB.id, BOB.public_key, 2, 1, merkle_root((b"x" * 32,)))),
    )

    assert (outcome.code, room.counter(BOB)) == (0, 3)


def test_a_part_is_not_taken_twice() -> None:
    room = Room()
    part = room.part(BOB, 2)
    room.batch(CAROL, part)

    again = room.batch(CAROL, part)

    assert (again.code, room.counter(BOB), room.sequence().next) == (CounterMismatch.code, 2, 3)


def test_a_post_that_a_batch_has_brought_is_not_taken_again_by_itself() -> None:
    room = Room()
    room.batch(CAROL, room.part(BOB, 1))

    assert room.post(BOB, counter=0).code == CounterMismatch.code


def test_a_part_that_leaves_posts_out_is_refused() -> None:
    room = Room()

    outcome = room.batch(CAROL, signed_by(DEVICE_SEED, bobs(counter=1)))

    assert (outcome.code, nothing_posted(room)) == (CounterMismatch.code, True)


def test_one_bad_part_keeps_the_whole_batch_out() -> None:
    room = Room()

    outcome = room.batch(ALICE, room.part(CAROL, 2), signed_by(DEVICE_SEED, bobs(counter=5)))

    assert (outcome.code, nothing_posted(room)) == (CounterMismatch.code, True)
    assert room.counter(CAROL) == 0


@pytest.mark.parametrize(
    "part",
    [
        replace(signed_by(DEVICE_SEED, bobs()), count=3),
        replace(signed_by(DEVICE_SEED, bobs()), root=b"r" * 32),
        replace(signed_by(DEVICE_SEED, bobs()), signature=bytes(64)),
        replace(signed_by(DEVICE_SEED, bobs()), device=BOB.public_key),
        signed_by(BOB.seed, bobs()),
        signed_by(DEVICE_SEED, bobs(), channel=PRIVATE),
        signed_by(DEVICE_SEED, bobs(), epoch=EPOCH + 1),
        families.sign(DEVICE_SEED, ChainId("test-2"), PUBLIC, EPOCH, bobs()),
        replace(signed_by(DEVICE_SEED, replace(bobs(), counter=1)), counter=0),
        replace(signed_by(DEVICE_SEED, replace(bobs(), author=CAROL.id)), author=BOB.id),
    ],
)
def test_a_part_counts_only_as_it_was_signed(part: SignedPart) -> None:
    room = Room()

    outcome = room.batch(ALICE, part)

    assert (outcome.code, nothing_posted(room)) == (BadPostSignature.code, True)


def test_a_revoked_device_signs_for_nobody() -> None:
    room = Room()
    draft = Draft(room.state)
    devices.revoke(draft, BOB.id, DEVICE, Height(1))
    room.keep(draft)

    outcome = room.batch(ALICE, signed_by(DEVICE_SEED, bobs()))

    assert (outcome.code, nothing_posted(room)) == (DeviceNotAuthorised.code, True)


def test_a_device_does_not_sign_for_somebody_else() -> None:
    part = replace(bobs(), author=CAROL.id)

    outcome = Room().batch(ALICE, signed_by(DEVICE_SEED, part))

    assert outcome.code == DeviceNotAuthorised.code


def deactivated(room: Room) -> None:
    draft = Draft(room.state)
    held = identities.active(draft, BOB.id)
    identities.save(draft, BOB.id, replace(held, deactivated_at=START))
    room.keep(draft)


def test_somebody_who_gave_up_the_identity_posts_nothing() -> None:
    room = Room()
    part = room.part(BOB, 1)
    deactivated(room)

    alone, in_batch = room.post(BOB), room.batch(CAROL, part)

    assert (alone.code, in_batch.code) == (Deactivated.code, DeviceNotAuthorised.code)


def test_who_is_no_member_posts_nothing() -> None:
    room = Room()
    part = room.part(BOB, 1)
    draft = Draft(room.state)
    members.drop(draft, PUBLIC, BOB.id)
    room.keep(draft)

    assert (room.post(BOB).code, room.batch(ALICE, part).code) == (NotAMember.code,) * 2


def test_who_is_banned_posts_nothing_from_the_next_transaction_on() -> None:
    room = Room()
    part = room.part(CAROL, 1)
    room.send(BOB, BAN, BanMember(PUBLIC, CAROL.id, FOR_GOOD))

    alone, in_batch = room.post(CAROL), room.batch(ALICE, part)

    assert (alone.code, in_batch.code) == (NotAMember.code, NotAMember.code)


def test_only_roles_that_may_post_do() -> None:
    room = Room(replace(OPEN, who_may_post=Role.MODERATOR))

    assert (room.post(CAROL).code, room.post(BOB).code) == (RoleTooLow.code, 0)
    assert room.batch(ALICE, room.part(CAROL, 1)).code == RoleTooLow.code


def test_posts_belong_to_the_present_epoch() -> None:
    room = Room()
    form = replace(FORM, epoch=EPOCH - 1)
    part = signed_by(DEVICE_SEED, bobs(), epoch=EPOCH - 1)

    alone = room.send(BOB, POST, form)
    batch = room.send(BOB, BATCH, PostBatch(PUBLIC, EPOCH - 1, (part,)))

    assert (alone.code, batch.code) == (WrongPostEpoch.code,) * 2
    assert nothing_posted(room)


@pytest.mark.parametrize("channel", [PUBLIC, PRIVATE])
def test_a_closed_channel_takes_no_posts(channel: bytes) -> None:
    room = Room()
    room.set(channel, replace(room.channel(channel), closed_at=EpochMs(1)))

    outcome = room.send(BOB, POST, replace(FORM, channel=channel))

    assert outcome.code == ChannelClosed.code


def test_a_channel_that_there_never_was_takes_no_posts() -> None:
    room = Room()

    outcome = room.send(BOB, POST, replace(FORM, channel=bytes(32)))

    assert outcome.code == UnknownChannel.code


def test_slow_mode_lets_a_member_post_once_in_its_time() -> None:
    room = Room(SLOW)
    room.post(CAROL)
    room.pass_ms(999)

    early = room.post(CAROL)
    room.pass_ms(1)

    assert (early.code, room.post(CAROL).code) == (SlowModeOn.code, 0)


def test_slow_mode_is_not_got_round_by_a_batch() -> None:
    room = Room(SLOW)

    many, once = (room.batch(ALICE, room.part(CAROL, count)).code for count in (2, 1))
    again = room.batch(ALICE, room.part(CAROL, 1)).code

    assert (many, once, again) == (SlowModeOn.code, 0, SlowModeOn.code)


def test_slow_mode_does_not_hold_moderators() -> None:
    room = Room(SLOW)

    assert [room.post(BOB).code, room.batch(ALICE, room.part(BOB, 5)).code] == [0, 0]


def test_an_owner_who_posts_is_not_gone() -> None:
    room = Room()
    room.pass_ms(5)

    room.batch(BOB, room.part(ALICE, 1))

    assert room.channel().acted_at == START + 5


def test_posts_of_a_private_channel_name_nobody() -> None:
    room = Room()

    outcome = room.batch(CAROL, room.hidden(CAROL, 4), channel=PRIVATE)

    nobody = Part(NOBODY, NOBODY, 0, 4, merkle_root(commitments(4)))
    assert outcome.code == 0
    assert room.record(1, PRIVATE) == Batch(4, 1, root_of((nobody,)), START, Height(1), EPOCH)
    authors = keys.author(PRIVATE, b"")[:-2]
    assert list(room.state.scan(authors)) == []


@pytest.mark.parametrize("count", [1, 4, 16, 64, 256, 1024])
def test_a_private_batch_has_the_size_of_a_class(count: int) -> None:
    room = Room()

    assert room.batch(CAROL, room.hidden(CAROL, count), channel=PRIVATE).code == 0


@pytest.mark.parametrize("count", [2, 3, 5, 100, 1023])
def test_a_private_batch_of_another_size_is_refused(count: int) -> None:
    room = Room()

    outcome = room.batch(CAROL, room.hidden(CAROL, count), channel=PRIVATE)

    assert (outcome.code, nothing_posted(room)) == (OddBatchSize.code, True)


def test_a_private_batch_is_not_sent_again_by_its_sender_nor_by_another() -> None:
    room = Room()
    part = room.hidden(CAROL, 4)
    room.batch(CAROL, part, channel=PRIVATE)

    again = room.batch(CAROL, part, channel=PRIVATE)
    other = room.batch(BOB, part, channel=PRIVATE)

    assert (again.code, other.code) == (BadPostSignature.code,) * 2
    assert room.sequence(PRIVATE).next == 5


def test_a_stale_posting_key_signs_for_nobody() -> None:
    room = Room()
    draft = Draft(room.state)
    epochs.gone(draft, PRIVATE)
    room.keep(draft)

    outcome = room.batch(CAROL, room.hidden(CAROL, 4), channel=PRIVATE)

    assert (outcome.code, nothing_posted(room)) == (PostingKeyStale.code, True)


def test_a_private_channel_without_a_key_takes_no_posts() -> None:
    room = Room()
    draft = Draft(room.state)
    epochs.save(draft, PRIVATE, epochs.Epoch(EPOCH))
    room.keep(draft)

    assert room.batch(CAROL, room.hidden(CAROL, 4), channel=PRIVATE).code == BadPostSignature.code


def test_a_stale_epoch_does_not_silence_a_channel_that_lists_its_members() -> None:
    room = Room()
    draft = Draft(room.state)
    epochs.gone(draft, PUBLIC)
    room.keep(draft)

    assert room.post(BOB).code == 0


def test_a_post_by_itself_would_name_its_author_in_a_private_channel() -> None:
    room = Room()

    outcome = room.send(ALICE, POST, replace(FORM, channel=PRIVATE))

    assert (outcome.code, nothing_posted(room)) == (AuthorNamed.code, True)


def test_a_named_part_is_refused_in_a_private_channel() -> None:
    part = signed_by(POSTING_SEED, bobs(4), channel=PRIVATE)

    assert Room().batch(BOB, part, channel=PRIVATE).code == AuthorNamed.code


def test_an_unnamed_part_is_refused_where_members_are_listed() -> None:
    room = Room()

    assert room.batch(BOB, room.hidden(BOB, 4)).code == AuthorMissing.code


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (signed_by(DEVICE_SEED, bobs(0)),),
        (signed_by(DEVICE_SEED, replace(bobs(), count=1025)),),
        (signed_by(DEVICE_SEED, replace(bobs(), count=2**64 - 1)),),
        (signed_by(DEVICE_SEED, bobs(1024)), signed_by(DEVICE_SEED, bobs(1, 1024))),
        (replace(signed_by(DEVICE_SEED, bobs()), author=b"b" * 31),),
        (replace(signed_by(DEVICE_SEED, bobs()), author=NOBODY),),
        (replace(signed_by(DEVICE_SEED, bobs()), device=NOBODY),),
        (Room().hidden(ALICE, 1), signed_by(DEVICE_SEED, bobs())),
        (Room().hidden(ALICE, 1), Room().hidden(ALICE, 1)),
        (replace(Room().hidden(ALICE, 1), counter=1),),
    ],
)
def test_a_batch_of_no_allowed_form_is_refused(parts: tuple[SignedPart, ...]) -> None:
    room = Room()

    outcome = room.batch(ALICE, *parts)

    assert (outcome.code, nothing_posted(room)) == (BadBatch.code, True)


@pytest.mark.parametrize(("count", "code"), [(64, CounterMismatch.code), (65, MalformedBody.code)])
def test_a_batch_has_64_parts_at_most(count: int, code: int) -> None:
    room = Room()
    part = room.part(BOB, 1)
    fields = [part.author, part.device, 0, 1, part.root, part.signature]
    body = (BATCH.type, PUBLIC, EPOCH, [fields] * count)

    outcome = room.send_raw(signed(BOB, body, fee=20_000, cost_limit=20_000), BOB)

    assert outcome.code == code


def test_a_replayed_transaction_is_refused() -> None:
    room = Room()
    raw = room.signed(BOB, POST, FORM)
    room.send_raw(raw)

    assert (room.send_raw(raw).code, room.sequence().next) == (NonceMismatch.code, 2)


@pytest.mark.parametrize("number", [POST.type, BATCH.type])
@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 9)), max_size=6))
def test_other_fields_are_refused_and_change_nothing(number: int, raw: list[bytes | int]) -> None:
    room = Room()

    outcome = room.send_raw(signed(BOB, (number, *raw), fee=20_000, cost_limit=20_000), BOB)

    assert outcome.code in REFUSALS
    assert room.sequence() == Sequence()
