"""`dchat query` of posts and anchors: which there are, at what time, and what expired."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat import keys
from abci_chat.state import conversations, post_proofs, posts, targets
from abci_chat.state.posts import Batch, Sequence
from abci_chat.state.targets import Shown
from dchat.cli import digits
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.records import DEFAULT_LISTED, Limit
from dchat.cli.show import moment
from dchat.kernel import accounts, codec
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId
from dchat.kernel.inclusion import NotProved
from dchat.kernel.queries import Listing
from dchat.node.rpc import ChainUnavailable

MAX_PROOF_BYTES: Final = 4096
ID_BYTES: Final = 32

ChannelText = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="The channel's id, 64 hexadecimal digits.")
]


class BadPostProof(OperatorError):
    """The file does not prove what it was kept for."""

    hint = "proofs are written by `dchat channel post` and `post-batch` with --proofs"


class PostHidden(ChainUnavailable):
    """A node keeps a record of posts back that must be there."""

    hint = "ask another node with --rpc URL: this one leaves entries out"


@dataclass(frozen=True, slots=True)
class Found:
    """A record of posts, and the number of its first."""

    first: int
    record: Batch

    @property
    def fields(self) -> Fields:
        """What is shown of it."""
        record = self.record
        return {
            "first": self.first,
            "last": self.first + record.count - 1,
            "at": moment(record.at),
            "height": record.height,
            "epoch": record.epoch,
            "parts": record.parts,
            "root": record.root,
        }


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("posts")(show_posts)
    group.command("post")(show_post)
    group.command("anchor")(show_anchor)


@asking
def show_posts(
    asked: Asked,
    channel: ChannelText,
    *,
    after: Annotated[
        int, typer.Option(min=0, help="Go on behind this post: `next_after` of the last page.")
    ] = 0,
    limit: Limit = DEFAULT_LISTED,
) -> None:
    """List a channel's posts by record, with none left out, and the tombstone of what expired."""
    channel_id = digits.parse(channel, "a channel id")

    async def ask(source: Source) -> Fields:
        held = await sequence_of(source, channel_id)
        found = await walk(source, channel_id, held, after, limit)
        end = found[-1].fields["last"] if found else held.next - 1
        return {
            "posts": [each.fields for each in found],
            **_sequence_fields(held),
            "next_after": None if end == held.next - 1 else end,
        }

    answer(asked, "chat", ask)


@asking
def show_post(
    asked: Asked,
    channel: ChannelText,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The post's number.")],
    *,
    proof: Annotated[
        Path | None, typer.Option(help="File that proves whose post it is, and which commitment.")
    ] = None,
) -> None:
    """Show the record that a post is in, or that it expired; check a proof of it that was kept."""
    channel_id = digits.parse(channel, "a channel id")
    shown = None if proof is None else read_proof(proof)

    async def ask(source: Source) -> Fields:
        held = await sequence_of(source, channel_id)
        if number >= held.next:
            raise NotThere(f"the channel's next post is number {held.next}")
        if number < held.kept_from:
            return {"number": number, "state": "expired", **_sequence_fields(held)}
        found = await locate(source, channel_id, held, number)
        proved: Fields = {} if shown is None else _proved(shown, found, number)
        return {"number": number, "state": "kept", **found.fields, **proved}

    answer(asked, "chat", ask)


@asking
def show_anchor(
    asked: Asked,
    conversation: Annotated[
        str, typer.Argument(metavar="CONVERSATION", help="Its public key, 64 hexadecimal digits.")
    ],
) -> None:
    """Show up to where a conversation's hash chain is anchored, and since when."""
    name = digits.parse(conversation, "a conversation")
    answer(asked, "chat", lambda source: anchor_fields(source, name))


async def anchor_fields(source: Source, name: bytes) -> Fields:
    """Return what the chain knows of a conversation. Raises: NotThere."""
    value = await source.value(keys.anchor(name))
    if value is None:
        raise NotThere("the conversation has no anchor")
    found = conversations.ANCHOR.decode(value)
    return {
        "conversation": name,
        "number": found.number,
        "head": found.head,
        "at": moment(found.at),
    }


async def sequence_of(source: Source, channel_id: bytes) -> Sequence:
    """Return how far a channel's posts go. Raises: NotThere for no channel."""
    value = await source.value(keys.sequence(channel_id))
    if value is not None:
        return posts.SEQUENCE.decode(value)
    if await source.value(keys.channel(channel_id)) is None:
        raise NotThere(f"there is no channel {channel_id.hex()}")
    return Sequence()


async def walk(
    source: Source, channel_id: bytes, held: Sequence, after: int, most: int
) -> list[Found]:
    """Return the records behind a post, at most so many. Raises: PostHidden, NotThere."""
    at = held.kept_from
    if after >= held.kept_from:
        if after >= held.next:
            raise NotThere(f"the channel's next post is number {held.next}")
        before = await locate(source, channel_id, held, after)
        at = before.first + before.record.count
    found: list[Found] = []
    while at < held.next and len(found) < most:
        found.append(await _record(source, channel_id, at))
        at += found[-1].record.count
    return found


async def _record(source: Source, channel_id: bytes, first: int) -> Found:
    value = await source.value(keys.post(channel_id, first))
    if value is None:
        raise PostHidden(f"no record begins with post {first}, though one must")
    return Found(first, posts.BATCH.decode(value))


async def locate(source: Source, channel_id: bytes, held: Sequence, number: int) -> Found:
    """Return the record with that post in it, which is kept. Raises: PostHidden.

    A record has posts.MAX_POSTS at most, so it begins not far before; where is found by halves. The
    node's listings lead there, what is found is proved by itself.
    """
    low, high = max(held.kept_from, number - posts.MAX_POSTS + 1), number
    while low < high:
        middle = (low + high + 1) // 2
        later = await _first_from(source, channel_id, middle)
        low, high = (later, high) if middle <= later <= number else (low, middle - 1)
    source.listed = None
    found = await _record(source, channel_id, low)
    if number >= low + found.record.count:
        raise PostHidden(f"the node shows no record with post {number} in it, though one must be")
    return found


async def _first_from(source: Source, channel_id: bytes, number: int) -> int:
    """Return where the first record begins that begins there or later, 0 for none."""
    prefix = keys.posts(channel_id)
    behind = keys.post(channel_id, number - 1)
    page = await source.page(Listing(prefix, behind, 1))
    if not page.entries:
        return 0
    return codec.U64.lift(codec.unpack_array(page.entries[0].key)[2])


def _sequence_fields(held: Sequence) -> Fields:
    return {
        "next": held.next,
        "kept_from": held.kept_from,
        "expired_posts": held.kept_from - posts.FIRST,
        "expired_records": held.expired_records,
        "tombstone": held.tombstone,
    }


def read_proof(path: Path) -> Shown:
    """Return the proof in a file. Raises: BadPostProof, OSError."""
    with path.open("rb") as file:
        found = file.read(MAX_PROOF_BYTES + 1)
    try:
        return targets.PROOF_OF_POST.decode(found, MAX_PROOF_BYTES)
    except codec.CodecError as fault:
        raise BadPostProof(f"{path} is no proof of a post: {fault}") from None


def _proved(shown: Shown, found: Found, number: int) -> Fields:
    """Return whose post it is, and what it commits to. Raises: BadPostProof."""
    record, part = found.record, shown.proof.part
    try:
        before = post_proofs.check(record.root, record.parts, shown.proof, shown.commitment)
    except NotProved as fault:
        raise BadPostProof(str(fault)) from None
    if (shown.first, shown.first + before) != (found.first, number):
        raise BadPostProof(f"the proof is of post {shown.first + before}")
    named = part.author != post_proofs.NOBODY
    return {
        "commitment": shown.commitment,
        "author": accounts.show_account(AccountId(part.author)) if named else None,
        "device": part.device if named else None,
        "counter": part.counter + shown.proof.in_part.index if named else None,
    }
