"""What a private channel reveals, whoever is in it: the class of its size, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_chat.state import hidden
from abci_chat.state.channels import Role
from abci_chat.txs import epoch
from abci_chat.txs.epoch import CommitEpoch, RemoveLeaf
from dchat.kernel import codec, tx
from dchat.kernel.ids import AccountId
from tests.fakes.channels import COMMIT, PRIVATE, Chat, posting_key
from tests.fakes.memory import ALICE, signed

Seat = tuple[AccountId, bytes, Role]
WORDS = ("channel", "epoch", "actor", "removed_leaf", "member", "invite", "ban", "join_request")
"""What the keys begin with that stand in the state for channels."""


def crowd(count: int, chance: int) -> list[Seat]:
    """So many people, whom nobody has ever heard of."""
    word = [sha256(b"%d of %d" % (at, chance)).digest() for at in range(2 * count)]
    roles = [Role.MODERATOR if (chance >> at) & 1 else Role.MEMBER for at in range(count)]
    return [(AccountId(word[2 * at]), word[2 * at + 1], roles[at]) for at in range(count)]


def crowds(most: int) -> st.SearchStrategy[list[Seat]]:
    return st.builds(crowd, st.integers(1, most), st.integers(0, 2**32 - 1))


def leaves_of(where: bytes, members: Sequence[Seat]) -> list[bytes]:
    """The tree of these members, filled up."""
    mine = [hidden.leaf(where, hidden.seat(who, blind), role) for who, blind, role in members]
    size = hidden.size_of(len(mine)) or 0
    return mine + [sha256(b"filling %d" % at).digest() for at in range(size - len(mine))]


def commit(chat: Chat, where: bytes, members: Sequence[Seat]) -> CommitEpoch:
    """The owner's commit of an epoch with these members."""
    now, leaves = chat.epoch(where), leaves_of(where, members)
    key, root = posting_key(now.number + 1), hidden.root_of(leaves)
    return CommitEpoch(where, now.number, now.removals, root, len(leaves), key, COMMIT, proof=())


def story(members: Sequence[Seat]) -> tuple[Chat, list[bytes]]:
    """A private channel whose owner lets these in, and removes the first; what was sent for it."""
    chat = Chat()
    where = chat.create(ALICE, PRIVATE)
    who, blind, role = members[0]
    removal = RemoveLeaf(where, hidden.seat(who, blind), role, False, ())
    sent = [signed(ALICE, epoch.COMMIT.body(commit(chat, where, members)), chat.nonce(ALICE))]
    chat.send_raw(*sent)
    sent.append(signed(ALICE, epoch.REMOVE_LEAF.body(removal), chat.nonce(ALICE)))
    chat.send_raw(sent[-1])
    sent.append(signed(ALICE, epoch.COMMIT.body(commit(chat, where, members)), chat.nonce(ALICE)))
    assert chat.send_raw(sent[-1]).code == 0
    return chat, sent


def outline(raw: object) -> object:
    """A value with its hashes, keys and signatures struck out, but for how long they are."""
    if isinstance(raw, bytes):
        return len(raw)
    return [outline(part) for part in raw] if isinstance(raw, list | tuple) else raw


def body(raw: bytes) -> object:
    """What a transaction looks like to who cannot open a hash."""
    return outline(tx.decode(raw).envelope.body)


def outlines(chat: Chat) -> list[str]:
    """What the state of channels looks like to who cannot open a hash."""
    entries = [(codec.unpack_array(key), value) for key, value in chat.state.entries.items()]
    kept = [(key, codec.unpack(value)) for key, value in entries if key[0] in WORDS]
    return sorted([repr(outline(entry)) for entry in kept])


@settings(max_examples=25, deadline=None)
@given(crowds(16), crowds(16))
def test_two_groups_of_one_class_look_the_same(one: list[Seat], other: list[Seat]) -> None:
    """The role of who is removed is shown, so it is the same in both."""
    other[0] = (other[0][0], other[0][1], one[0][2])

    (first, ours), (second, theirs) = story(one), story(other)

    assert outlines(first) == outlines(second)
    assert [body(raw) for raw in ours] == [body(raw) for raw in theirs]


@settings(max_examples=25, deadline=None)
@given(crowds(80))
def test_nobody_is_named_in_the_state_nor_in_what_is_sent(members: list[Seat]) -> None:
    chat, sent = story(members)

    everything = b"".join([*sent, *[k + v for k, v in chat.state.entries.items()]])
    named = [who for who, blind, _ in members if who in everything or blind in everything]
    assert named == []


@settings(max_examples=25, deadline=None)
@given(crowds(80))
def test_of_the_size_only_the_class_is_told(members: list[Seat]) -> None:
    _, sent = story(members)

    told = [tx.decode(raw).envelope.body[5] for raw in (sent[0], sent[2])]

    least = next(size for size in (16, 64, 256) if len(members) <= size)
    assert told == [least, least]
    assert [len(raw) for raw in sent] == [len(raw) for raw in story(members[:1] * least)[1]]
