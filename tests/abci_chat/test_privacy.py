"""What the chain tells of people who did not say it: of burners, and of private channels.

By fields: no order says more of others than its body does. By graph: none moves credits of an
account that it does not name. By size: a private channel shows classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any, Final, TypeVar, cast

import pytest
from hypothesis import given, settings

from abci_chat import params
from abci_chat.machine import FAMILIES, MACHINE
from abci_chat.state import devices, handles, pools
from abci_chat.state.channels import SOMEBODY, Role
from abci_chat.txs import anchor, device, handle, identity, invite, member, post, report
from abci_chat.txs.device import AddDevice
from abci_chat.txs.identity import RegisterIdentity
from abci_chat.txs.member import JoinChannel, LeaveChannel
from abci_chat.txs.post import Post, PostBatch
from dchat.kernel import accounts, codec, machine, signing, tx
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, Cost, EpochMs, Height
from dchat.kernel.machine import Block, BlockResult
from tests.abci_chat.test_private_channels import Seat, crowds, outline, story
from tests.fakes import toil
from tests.fakes.channels import PRIVATE, Chat
from tests.fakes.court import HANDLE, REPORT, Court
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person, give, run, signed
from tests.fakes.orders import RELAY
from tests.fakes.posting import EPOCH, Room, commitment
from tests.fakes.posting import PRIVATE as SECRET
from tests.fakes.posting import PUBLIC as PLACE
from tests.fuzz.targets.order import STAGES, Stage

T = TypeVar("T")
GHOST: Final = Person(b"\x77" * 32)
"""Carol's burner."""
GADGET: Final = Person(b"\x78" * 32)
"""The burner's device."""
CONVERSATION: Final = b"\x79" * 32
POOLS: Final = frozenset(pools.NAMES)


# --- what an order says of others, and whose credits it moves: every family

NAMING: Final = {
    *("transfer_handle", "set_guardians", "approve_recovery", "finish_recovery"),
    *("invite_member", "answer_request", "ban_member", "unban_member", "remove_member"),
    *("set_role", "offer_channel", "name_successor", "propose_spend"),
    "post_batch",  # authors, each by a signature
    "commit_epoch",  # no account: a posting key has as many bytes
}
"""Orders whose fields name somebody. Another one is another way to tie a burner to somebody."""


def parts(shape: Any) -> Iterator[Any]:
    """A shape, and all that it is made of."""
    yield shape
    for inner in getattr(shape, "_shapes", {}).values():
        yield from parts(inner)
    if hasattr(shape, "_shape"):
        yield from parts(shape._shape)


def test_orders_name_nobody_unless_that_is_what_they_are_for() -> None:
    found = {
        family.name
        for family in FAMILIES.values()
        if any(
            each is ACCOUNT_ID or each is SOMEBODY
            for each in parts(cast("Family[Any]", family).shape)
        )
    }

    assert found == NAMING


DONE: Final = [
    each
    for each in STAGES
    if not run(MACHINE, each.state, each.raw, height=each.height).outcomes[0].code
]
"""Every order of the chat chain's vectors that is carried out."""


def flat(value: object) -> bytes:
    """All bytes and texts in a body or event."""
    if isinstance(value, list | tuple):
        return b"".join([flat(each) for each in value])
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""


@pytest.mark.parametrize("stage", DONE, ids=[str(at) for at in range(len(DONE))])
def test_no_order_moves_credits_of_who_is_not_in_it(stage: Stage) -> None:
    envelope = tx.decode(stage.raw).envelope
    named = envelope.sender + flat(envelope.body)

    written = run(MACHINE, stage.state, stage.raw, height=stage.height).writes
    anyway = run(MACHINE, stage.state, height=stage.height).writes

    moved = {key for key in written if key.startswith(accounts.SPACE) and key not in anyway}
    others = [key for key in moved if cast("bytes", codec.unpack_array(key)[1]) not in POOLS]
    assert [key for key in others if cast("bytes", codec.unpack_array(key)[1]) not in named] == []


# --- a burner's life beside that of the identity whose it is


class Life(Court):
    """Carol, who has a handle and a device, and GHOST, of whom only she knows that it is hers."""

    def __init__(self) -> None:
        super().__init__()
        draft = self.draft()
        params.WORK.save(draft, toil.EASY)
        devices.add(draft, CAROL.id, CAROLS_PHONE, Height(0))
        give(draft, GHOST.id, Amount(10**9))
        self.keep(draft)
        self.told: list[bytes] = []
        """Each transaction of the burner's, with what it wrote and what it told."""

    def live(self, raw: bytes) -> BlockResult:
        """Run a transaction of the burner's, and keep all that can be seen of it."""
        result = machine.run_block(MACHINE, self.state, Block(self.context(), (raw,)), {})
        assert result.outcomes[0].code == 0, result.outcomes[0].reason
        before, self.state = self.state, self.state.after(result.writes)
        self.height = Height(self.height + 1)
        changed = [
            key + (value or b"") for key, value in result.writes.items() if before.get(key) != value
        ]
        events = [flat(astuple(event)) for event in result.outcomes[0].events]
        self.told.append(b"".join([raw, *changed, *events]))
        return result

    def order(self, family: Family[T], fields: T) -> None:
        """Let the burner have this carried out."""
        nonce = accounts.load(self.state, GHOST.id).nonce
        paid = {"fee": Amount(20_000), "cost_limit": Cost(20_000)}
        self.live(signed(GHOST, family.body(fields), nonce, **paid))


CAROLS_PHONE: Final = signing.public_key(b"\x76" * 32)
MARKS: Final = (CAROL.id, CAROL.public_key, CAROLS_PHONE, HANDLE.encode(), CAROL.seed)
FORM: Final = RegisterIdentity("ghost", b"s" * 32, GADGET.public_key, (RELAY,), b"h" * 32)


def lived() -> Life:
    """All that a burner does that names nobody else, from its first transaction to its last."""
    life = Life()
    promised = handles.commitment(CHAIN, GHOST.id, FORM.handle, FORM.salt)
    life.live(toil.commitment(life.state, GHOST, promised, 0, life.height))
    life.live(toil.registration(life.state, GHOST, FORM, 1, life.height))
    proof = devices.statement(CHAIN, GHOST.id, GADGET.public_key)
    signed_proof = signing.sign(GADGET.seed, devices.DOMAIN, proof)
    life.order(device.ADD, AddDevice(GADGET.public_key, signed_proof))
    life.order(identity.UPDATE_PREKEYS, identity.UpdatePrekeys(b"p" * 32))
    life.order(member.JOIN, JoinChannel(PLACE))
    life.order(post.POST, Post(PLACE, EPOCH, 0, commitment(1)))
    nonce = accounts.load(life.state, GHOST.id).nonce
    life.order(post.BATCH, PostBatch(SECRET, EPOCH, (life.hidden(GHOST, 4, nonce),)))
    life.order(anchor.FAMILY, anchor.sign(CONVERSATION, CHAIN, 1, b"a" * 32))
    life.order(report.REPORT, replace(REPORT, target=replace(REPORT.target, name=ALICE.id)))
    life.order(member.LEAVE, LeaveChannel(PLACE, ()))
    life.order(handle.RELEASE, handle.ReleaseHandle())
    nonce = accounts.load(life.state, GHOST.id).nonce
    life.live(toil.deactivation(life.state, GHOST, nonce, life.height))
    return life


LIFE: Final = lived()


@pytest.mark.parametrize("told", LIFE.told, ids=[str(at) for at in range(len(LIFE.told))])
def test_nothing_of_a_burners_transactions_says_whose_it_is(told: bytes) -> None:
    assert [mark for mark in MARKS if mark in told] == []


def test_a_burners_credits_come_from_nobody_and_go_to_nobody() -> None:
    before, after = Life().state, LIFE.state

    changed = {
        codec.unpack_array(key)[1]
        for key, value in after.entries.items()
        if key.startswith(accounts.SPACE) and before.get(key) != value
    }

    assert changed - POOLS == {GHOST.id}


# --- what a private channel tells of its size


def told(sent: list[bytes]) -> tuple[list[object], set[object]]:
    """The outlines of a private channel's events, and which modules its state has."""
    chat = Chat()
    before = frozenset(chat.state.entries)
    chat.create(ALICE, PRIVATE)
    events = [event for raw in sent for event in chat.send_raw(raw).events]
    modules = {codec.unpack_array(key)[0] for key in chat.state.entries if key not in before}
    return [(type(each).__name__, outline(astuple(each))) for each in events], modules


@settings(max_examples=15, deadline=None)
@given(crowds(16), crowds(16))
def test_events_of_two_groups_of_one_class_look_the_same(
    one: list[Seat], other: list[Seat]
) -> None:
    other[0] = (other[0][0], other[0][1], one[0][2])

    (first, ours), (second, theirs) = told(story(one)[1]), told(story(other)[1])

    assert first == second
    assert ours == theirs == {"channel", "epoch", "actor", "removed_leaf", *PAID}


PAID: Final = {"account", "reputation"}
"""What a fee leaves."""


@pytest.mark.parametrize("size", [1, 4, 16, 64, 256, 1024])
def test_posts_of_a_private_channel_leave_a_class_and_no_author(size: int) -> None:
    room = Room()
    before = frozenset(room.state.entries)

    outcome = room.batch(BOB, room.hidden(BOB, size), channel=SECRET)

    record = room.record(1, SECRET)
    modules = {codec.unpack_array(key)[0] for key in room.state.entries if key not in before}
    assert (outcome.code, record.count, record.parts) == (0, size, 1)
    assert modules <= {"post", "sequence", *PAID}


@pytest.mark.parametrize("size", [2, 3, 5, 15, 17, 63, 255, 1023])
def test_posts_of_a_private_channel_come_in_no_other_number(size: int) -> None:
    room = Room()

    assert room.batch(BOB, room.hidden(BOB, size), channel=SECRET).code == post.OddBatchSize.code


LISTING: Final = (
    (member.JOIN, member.JoinChannel(SECRET)),
    (member.SET_ROLE, member.SetRole(SECRET, BOB.id, Role.MODERATOR)),
    (member.BAN, member.BanMember(SECRET, BOB.id, EpochMs(0))),
    (member.UNBAN, member.UnbanMember(SECRET, BOB.id)),
    (member.REMOVE, member.RemoveMember(SECRET, BOB.id)),
    (invite.INVITE, invite.InviteMember(SECRET, BOB.id)),
    (invite.REQUEST, invite.RequestJoin(SECRET)),
    (invite.ANSWER, invite.AnswerRequest(SECRET, BOB.id, accept=True)),
    (post.POST, Post(SECRET, EPOCH, 0, commitment(1))),
)
"""Orders that would list somebody, or count what one author posts."""


@pytest.mark.parametrize(("family", "fields"), LISTING, ids=[each[0].name for each in LISTING])
@pytest.mark.parametrize("who", [ALICE, BOB], ids=["owner", "stranger"])
def test_nothing_lists_anybody_of_a_private_channel(
    who: Person, family: Family[Any], fields: Any
) -> None:
    room = Room()
    before = room.state.entries

    outcome = room.send(who, family, fields)

    changed = {key for key, value in room.state.entries.items() if before.get(key) != value}
    assert outcome.code
    assert {codec.unpack_array(key)[0] for key in changed} <= {"supply", *PAID}
