"""Posts: families that give commitments their place in a channel, one by one or many at once.

Whoever sends a batch pays for it and has no say in it: every author signs for its own posts, with a
device of its own, under a counter that lets none be left out or come twice. In a private channel
posts name nobody: the epoch's posting key signs them for the account that sends them and its nonce,
and their number is rounded up to one of CLASSES with commitments that nobody can open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import channels, devices, epochs, members, posts
from abci_chat.state.channels import Channel, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.post_proofs import DOMAIN, NOBODY, Part, statement
from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID_BYTES
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import AccountId, ChainId, Cost
from dchat.kernel.store import Draft, State

CLASSES: Final = (1, 4, 16, 64, 256, 1024)
"""How many posts a batch of a private channel can have."""


class BadBatch(TxRejected):
    """A batch has 1 to 64 parts of 1 post or more, 1024 posts in all, each part signed by a key."""

    code = 285


class WrongPostEpoch(TxRejected):
    """The posts are signed for another epoch than the present one. Attributes: have, need."""

    code = 286

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"posts of epoch {have}, the channel is in epoch {need}")
        self.have = have
        self.need = need


class PostingKeyStale(TxRejected):
    """Somebody who knows the epoch's posting key is gone, so it signs for nobody."""

    code = 287


class CounterMismatch(TxRejected):
    """The author's posts have another number by now. Attributes: have, need."""

    code = 288

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"signed as the author's post {have}, the next one is {need}")
        self.have = have
        self.need = need


class BadPostSignature(TxRejected):
    """A part is not signed by its key for this channel, epoch, counter and chain."""

    code = 289


class DeviceNotAuthorised(TxRejected):
    """The key does not sign for the author: never added, or revoked."""

    code = 290


class SlowModeOn(TxRejected):
    """The author has to wait, and posts one at a time. Attribute: ready_at -- ms."""

    code = 291

    def __init__(self, ready_at: int) -> None:
        super().__init__(f"one post at a time, the author's next at {ready_at} ms")
        self.ready_at = ready_at


class AuthorNamed(TxRejected):
    """Posts of a private channel name no author: they come as a batch of one unnamed part."""

    code = 292


class AuthorMissing(TxRejected):
    """Posts of a channel that lists its members name their author."""

    code = 293


class OddBatchSize(TxRejected):
    """The batch tells how many posts it has more closely than its class does."""

    code = 297


@dataclass(frozen=True, slots=True)
class Post:
    """Put one commitment of the sender's into a channel."""

    channel: bytes
    epoch: int
    counter: int
    """How many posts the sender has made in this channel."""
    commitment: bytes


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Posts in a row, of one author, as Part has them, and the device's signature."""

    author: bytes
    device: bytes
    counter: int
    count: int
    root: bytes
    signature: bytes

    @property
    def part(self) -> Part:
        """What is signed, and kept."""
        return Part(self.author, self.device, self.counter, self.count, self.root)


@dataclass(frozen=True, slots=True)
class PostBatch:
    """Put many commitments into a channel, in the order of the parts."""

    channel: bytes
    epoch: int
    parts: tuple[SignedPart, ...]


@dataclass(frozen=True, slots=True)
class Posted(Event):
    """A channel has further posts."""

    channel: bytes
    first: int
    """The number of the first of them."""
    count: int
    root: bytes
    """As the record has it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where posts go."""

    channel_id: bytes
    channel: Channel
    epoch: Epoch
    ctx: TxContext


def sign(seed: bytes, chain_id: ChainId, channel_id: bytes, epoch: int, part: Part) -> SignedPart:
    """Return the part with the signature of the device that has this seed."""
    signature = signing.sign(seed, DOMAIN, statement(chain_id, channel_id, epoch, part))
    return SignedPart(part.author, part.device, part.counter, part.count, part.root, signature)


def unnamed(signed: SignedPart) -> SignedPart:
    """Return what a posting key has signed as a private channel takes it.

    It was signed as the part of the account that sends it, its nonce being the counter.
    """
    return replace(signed, author=NOBODY, device=NOBODY, counter=0)


def check_post(tx: Post) -> None:
    """Accept every commitment: nobody but its author can open it."""


def check_batch(tx: PostBatch) -> None:
    """Apply the rules that need no state. Raises: BadBatch."""
    counts = [part.count for part in tx.parts]
    if not counts or not min(counts) or sum(counts) > posts.MAX_POSTS:
        raise BadBatch(f"{sum(counts)} posts in {len(counts)} parts")
    sizes = {(len(part.author), len(part.device)) for part in tx.parts}
    if not sizes <= {(0, 0), (ACCOUNT_ID_BYTES, signing.PUBLIC_KEY_BYTES)}:
        raise BadBatch("a part names an author and its device, or neither")
    if (0, 0) in sizes and (len(counts) > 1 or tx.parts[0].counter):
        raise BadBatch("an unnamed part stands alone, with counter 0")


def post(draft: Draft, tx: Post, ctx: TxContext) -> tuple[Event, ...]:
    """Give the sender's post the channel's next number.

    Raises: UnknownChannel, ChannelClosed, AuthorNamed, WrongPostEpoch, CounterMismatch, SlowModeOn,
    NotAMember, RoleTooLow, NotRegistered, Deactivated.
    """
    place = _place(draft, tx.channel, tx.epoch, ctx)
    if not place.channel.lists_members:
        raise AuthorNamed("a post by itself would name its author")
    root = merkle_root((tx.commitment,))
    part = Part(ctx.sender, ctx.public_key, tx.counter, 1, root)
    _count(draft, place, part)
    return _append(draft, place, (part,))


def post_batch(draft: Draft, tx: PostBatch, ctx: TxContext) -> tuple[Event, ...]:
    """Give the posts of all parts the channel's next numbers.

    Raises: as post() does for each author, BadPostSignature, DeviceNotAuthorised, AuthorMissing,
    PostingKeyStale, OddBatchSize.
    """
    place = _place(draft, tx.channel, tx.epoch, ctx)
    if not place.channel.lists_members:
        return _append(draft, place, (_unnamed(place, tx.parts[0]),))
    for signed in tx.parts:
        _authenticate(draft, place, signed)
        _count(draft, place, signed.part)
    return _append(draft, place, tuple([signed.part for signed in tx.parts]))


def _place(state: State, channel_id: bytes, epoch: int, ctx: TxContext) -> _Place:
    """Return where posts go. Raises: UnknownChannel, ChannelClosed, WrongPostEpoch."""
    channel = channels.open_channel(state, channel_id)
    present = epochs.load(state, channel_id)
    if epoch != present.number:
        raise WrongPostEpoch(epoch, present.number)
    return _Place(channel_id, channel, present, ctx)


def _unnamed(place: _Place, signed: SignedPart) -> Part:
    """Return the part of a private channel's batch.

    Raises: AuthorNamed, OddBatchSize, PostingKeyStale, BadPostSignature.
    """
    if signed.author:
        raise AuthorNamed("posts of a private channel are signed by its posting key")
    if signed.count not in CLASSES:
        raise OddBatchSize(f"{signed.count} posts, allowed are {CLASSES}")
    if place.epoch.stale:
        raise PostingKeyStale("somebody is gone since the epoch began")
    ctx = place.ctx
    bound = Part(ctx.sender, NOBODY, ctx.nonce, signed.count, signed.root)
    _verify(place, place.epoch.posting_key, bound, signed.signature)
    return signed.part


def _authenticate(state: State, place: _Place, signed: SignedPart) -> None:
    """Return if the author's device signed. Raises: AuthorMissing, DeviceNotAuthorised, …"""
    if not signed.author:
        raise AuthorMissing("every part names its author and the device that signed")
    if not devices.authorises(state, AccountId(signed.author), signed.device):
        raise DeviceNotAuthorised(f"{signed.device.hex()} does not sign for the author")
    _verify(place, signed.device, signed.part, signed.signature)


def _verify(place: _Place, key: bytes, part: Part, signature: bytes) -> None:
    said = statement(place.ctx.chain_id, place.channel_id, place.epoch.number, part)
    try:
        signing.verify(key, DOMAIN, said, signature)
    except signing.SignatureInvalid:
        raise BadPostSignature("not the key's for this channel, epoch and counter") from None


def _count(draft: Draft, place: _Place, part: Part) -> None:
    """Count an author's posts on, if they are allowed and the next ones.

    Raises: NotAMember, RoleTooLow, CounterMismatch, SlowModeOn, NotRegistered, Deactivated.
    """
    who, now, policy = AccountId(part.author), place.ctx.block_time_ms, place.channel.policy
    role = members.acting(draft, place.channel_id, who, None)
    members.need(role, policy.who_may_post)
    before = posts.author(draft, place.channel_id, who)
    if part.counter != before.counter:
        raise CounterMismatch(part.counter, before.counter)
    ready_at = before.last_at + policy.slow_mode_ms
    if policy.slow_mode_ms and role is Role.MEMBER and (part.count > 1 or ready_at > now):
        raise SlowModeOn(ready_at)
    posts.count_on(draft, place.channel_id, who, part.count, now)
    channels.acted(draft, place.channel_id, who, now)


def _append(draft: Draft, place: _Place, parts: tuple[Part, ...]) -> tuple[Event, ...]:
    ctx, channel_id = place.ctx, place.channel_id
    where = (ctx.height, place.epoch.number)
    first, record = posts.append(draft, channel_id, parts, ctx.block_time_ms, where)
    return (Posted(channel_id, first, record.count, record.root),)


POST: Final = Family(
    type=40,
    name="post",
    shape=codec.Record(
        Post,
        channel=channels.CHANNEL_ID,
        epoch=codec.U64,
        counter=codec.U64,
        commitment=posts.HASH,
    ),
    cost=Cost(200),
    check=check_post,
    apply=post,
)

_PART: Final = codec.Record(
    SignedPart,
    author=channels.SOMEBODY,
    device=codec.Blob(signing.PUBLIC_KEY_BYTES),
    counter=codec.U64,
    count=codec.U64,
    root=posts.HASH,
    signature=codec.Fixed(signing.SIGNATURE_BYTES),
)

BATCH: Final = Family(
    type=41,
    name="post_batch",
    shape=codec.Record(
        PostBatch,
        channel=channels.CHANNEL_ID,
        epoch=codec.U64,
        parts=codec.ListOf(_PART, posts.MAX_PARTS),
    ),
    cost=Cost(120),
    cost_per_entry=Cost(200),
    check=check_batch,
    apply=post_batch,
)

FAMILIES: Final = (POST, BATCH)
