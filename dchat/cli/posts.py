"""`dchat channel`, posts: putting commitments into a channel, expiry, anchors of conversations."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from abci_chat.state import channels, epochs, post_proofs, posts
from abci_chat.state.post_proofs import NOBODY, Part
from abci_chat.txs import anchor as anchors
from abci_chat.txs import expire as expiry
from abci_chat.txs import post as families
from abci_chat.txs.expire import ExpirePosts
from abci_chat.txs.post import CLASSES, Post, PostBatch, SignedPart
from dchat.cli import digits
from dchat.cli.asking import Fields, Source
from dchat.cli.chains import Network, entry_of, with_chain
from dchat.cli.foresee import block_time, foresee
from dchat.cli.identity_keys import DEVICE
from dchat.cli.ordering import After, Plan, Sending, Told, ordering, plan_and_carry_out
from dchat.cli.post_files import Leaves, Signed, keep_proofs, line_of, read_leaves, read_parts
from dchat.cli.query_posts import anchor_fields, sequence_of, walk
from dchat.cli.unlock import PassphraseFile, unlock
from dchat.kernel import accounts, signing
from dchat.kernel.errors import OperatorError, TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.machine import describe
from dchat.kernel.store import Draft
from dchat.node.chain import Asking, OpenChain
from dchat.node.identity import Identity

ChannelOption = Annotated[str, typer.Option("--channel", help="The channel's id, 64 hex digits.")]
Proofs = Annotated[
    Path | None,
    typer.Option(help="Directory for a proof of each post, NUMBER.proof; made where it is not."),
]


class NothingExpired(OperatorError):
    """No post of the channel is old enough to go."""

    hint = "see dchat query posts, and how long the channel keeps them"


class PartRefused(OperatorError):
    """The chain would refuse the whole batch for one of its parts; nothing was sent."""

    def __init__(self, number: int, refusal: TxRejected) -> None:
        message = f"part {number} would be refused, {describe(refusal)} ({refusal.code})"
        super().__init__(message, "leave it out; nothing was sent, and no fee was paid")


def register(group: typer.Typer) -> None:
    """Add the commands to the group `channel`."""
    group.command("post")(post)
    group.command("sign-posts")(sign_posts)
    group.command("post-batch")(post_batch)
    group.command("expire")(expire)
    group.command("anchor")(anchor)


@ordering
def post(
    sending: Sending,
    *,
    channel: ChannelOption,
    commitment: Annotated[str, typer.Option(help="What is posted: a hash, 64 hex digits.")],
    proofs: Proofs = None,
) -> None:
    """Give one commitment of yours its number and time in a channel that lists its members."""
    channel_id, leaf = (
        digits.parse(channel, "a channel id"),
        digits.parse(commitment, "a commitment"),
    )

    async def make(source: Source, sender: Identity) -> Plan[Post]:
        who = sender.account_id
        epoch, counter = await _standing(source, channel_id, who)
        part = Part(who, sender.public_key, counter, 1, merkle_root((leaf,)))
        after = _numbered(channel_id, [part], [(leaf,)], proofs)
        body = Post(channel_id, epoch, counter, leaf)
        return Plan(body, Told({"channel": channel_id}, after, "chat"))

    plan_and_carry_out(sending, families.POST, make, "chat")


def sign_posts(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    channel: ChannelOption,
    commitments: Annotated[Path, typer.Option(help="File with one commitment a line.")],
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Identity file of the author, or of its device.")
    ],
    network: Network,
    author: Annotated[
        str | None,
        typer.Option(help="Whose posts, dchat1…, where the identity is that of a device."),
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign your next posts for somebody else to send: prints a part, which reveals no more."""
    channel_id, leaves = digits.parse(channel, "a channel id"), read_leaves(commitments)
    opened = unlock(identity_file, passphrase_file)
    mine = author is None
    who = opened.account_id if mine else accounts.parse_account(author)
    seed = opened.account_seed if mine else opened.child(DEVICE)

    async def run(chain: OpenChain) -> Signed:
        source = Source(chain, await chain.reader.latest())
        return await _sign(source, channel_id, who, seed, leaves)

    signed = with_chain(entry_of(network, "chat"), run, Asking(()))
    typer.echo(line_of(signed))


@ordering
def post_batch(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    channel: ChannelOption,
    parts: Annotated[
        Path | None, typer.Option(help="File with one part a line, of any authors.")
    ] = None,
    commitments: Annotated[
        Path | None, typer.Option(help="File with commitments of yours, one a line.")
    ] = None,
    posting_key: Annotated[
        Path | None,
        typer.Option(help="Identity file of a private channel's posting key: it names nobody."),
    ] = None,
    proofs: Proofs = None,
) -> None:
    """Give up to 1024 commitments of many authors their numbers, for the price of a few posts."""
    channel_id = digits.parse(channel, "a channel id")
    given = [] if parts is None else read_parts(parts)
    leaves = () if commitments is None else read_leaves(commitments)
    key = None if posting_key is None else unlock(posting_key)

    async def make(source: Source, sender: Identity) -> Plan[PostBatch]:
        batch = list(given)
        if leaves and key:
            batch.append(await _hide(source, channel_id, sender.account_id, key, leaves))
        elif leaves:
            batch.append(
                await _sign(source, channel_id, sender.account_id, sender.account_seed, leaves)
            )
        epoch = (await foresee(source, lambda draft: epochs.load(draft, channel_id))).number
        await _try_out(source, channel_id, epoch, sender, [each.part for each in given])
        kept = [each.part.part for each in batch]
        after = _numbered(channel_id, kept, [each.leaves for each in batch], proofs)
        body = PostBatch(channel_id, epoch, tuple([each.part for each in batch]))
        return Plan(body, Told({"channel": channel_id}, after, "chat"))

    plan_and_carry_out(sending, families.BATCH, make, "chat")


@ordering
def expire(
    sending: Sending,
    *,
    channel: ChannelOption,
    most: Annotated[
        int, typer.Option(min=1, max=posts.MAX_EXPIRED, help="Records to take away at most.")
    ] = posts.MAX_EXPIRED,
) -> None:
    """Take away what a channel keeps no longer, whoever asks; a tombstone stays."""
    channel_id = digits.parse(channel, "a channel id")

    async def make(source: Source, _sender: Identity) -> Plan[ExpirePosts]:
        firsts = await _expired(source, channel_id, most)
        done: Fields = {"channel": channel_id, "records": len(firsts)}
        return Plan(ExpirePosts(channel_id, firsts), Told(done, _left(channel_id), "chat"))

    plan_and_carry_out(sending, expiry.FAMILY, make, "chat")


@ordering
def anchor(
    sending: Sending,
    *,
    conversation: Annotated[
        Path, typer.Option(help="Identity file whose key the conversation's members share.")
    ],
    number: Annotated[int, typer.Option(min=0, help="Of the last message under the head.")],
    head: Annotated[str, typer.Option(help="The hash chain's head there, 64 hex digits.")],
) -> None:
    """Fix how far a conversation's hash chain goes; the chain learns of no member but the sender.

    Send it from an account that belongs to nobody in particular, a burner.
    """
    seed, digest = unlock(conversation).account_seed, digits.parse(head, "a hash")

    async def make(source: Source, _sender: Identity) -> Plan[anchors.SetAnchor]:
        body = anchors.sign(seed, source.chain.entry.chain_id, number, digest)

        async def after(source: Source, _sender: AccountId) -> Fields:
            return await anchor_fields(source, body.conversation)

        return Plan(body, Told({}, after, "chat"))

    plan_and_carry_out(sending, anchors.FAMILY, make, "chat")


async def _standing(source: Source, channel_id: bytes, who: AccountId) -> tuple[int, int]:
    """Return the channel's epoch, and the counter of somebody's next post. Raises: NotThere."""

    def rules(draft: Draft) -> tuple[int, int]:
        epoch = epochs.load(draft, channel_id)
        return epoch.number, posts.author(draft, channel_id, who).counter

    await sequence_of(source, channel_id)
    return await foresee(source, rules)


async def _sign(
    source: Source, channel_id: bytes, who: AccountId, seed: bytes, leaves: Leaves
) -> Signed:
    """Return the next posts of an author, signed with the key that has this seed."""
    epoch, counter = await _standing(source, channel_id, who)
    part = Part(who, signing.public_key(seed), counter, len(leaves), merkle_root(leaves))
    chain_id = source.chain.entry.chain_id
    return Signed(families.sign(seed, chain_id, channel_id, epoch, part), leaves)


async def _try_out(
    source: Source,
    channel_id: bytes,
    epoch: int,
    sender: Identity,
    parts: Sequence[SignedPart],
) -> None:
    """Return if the chain would take these parts of others now. Raises: PartRefused."""
    chain_id, now = source.chain.entry.chain_id, await block_time(source)
    who, height = sender.account_id, Height(source.at + 1)
    ctx = TxContext(chain_id, who, sender.public_key, height, now)

    def rules(draft: Draft) -> None:
        for number, part in enumerate(parts, 1):
            try:
                families.BATCH.apply(draft, PostBatch(channel_id, epoch, (part,)), ctx)
            except TxRejected as refusal:
                raise PartRefused(number, refusal) from None

    await foresee(source, rules)


async def _hide(
    source: Source, channel_id: bytes, sender: AccountId, key: Identity, leaves: Leaves
) -> Signed:
    """Return posts of a private channel, filled up to a class with what nobody can open."""
    epoch, _ = await _standing(source, channel_id, sender)
    size = next((each for each in CLASSES if each >= len(leaves)), len(leaves))
    filled = (*leaves, *[secrets.token_bytes(32) for _ in range(size - len(leaves))])
    nonce = await source.chain.next_nonce(sender)
    part = Part(sender, NOBODY, nonce, size, merkle_root(filled))
    chain_id = source.chain.entry.chain_id
    signed = families.sign(key.account_seed, chain_id, channel_id, epoch, part)
    return Signed(families.unnamed(signed), filled)


async def _expired(source: Source, channel_id: bytes, most: int) -> tuple[int, ...]:
    """Return where the records begin that may go. Raises: NothingExpired, NotThere."""
    held = await sequence_of(source, channel_id)
    channel = await foresee(source, lambda draft: channels.load(draft, channel_id))
    if channel is None or not channel.policy.retention_ms:
        raise NothingExpired("the channel keeps its posts for ever")
    before = await block_time(source) - channel.policy.retention_ms
    found = await walk(source, channel_id, held, 0, most)
    firsts = tuple([each.first for each in found if each.record.at <= before])
    if not firsts:
        raise NothingExpired("no post of the channel is old enough")
    return firsts


def _left(channel_id: bytes) -> After:
    async def after(source: Source, _sender: AccountId) -> Fields:
        held = await sequence_of(source, channel_id)
        return {"kept_from": held.kept_from, "tombstone": held.tombstone}

    return after


def _numbered(
    channel_id: bytes, parts: Sequence[Part], leaves: Sequence[Leaves], proofs: Path | None
) -> After:
    """Return what finds the numbers that the posts got, and keeps a proof of each."""
    root = post_proofs.root_of(parts)

    async def after(source: Source, _sender: AccountId) -> Fields:
        before = Source(source.chain, await source.chain.reader.state_at(Height(source.at - 1)))
        start = (await sequence_of(before, channel_id)).next
        held = await sequence_of(source, channel_id)
        behind = await walk(source, channel_id, held, start - 1, held.next - start)
        first = next(each.first for each in behind if each.record.root == root)
        if proofs is not None:
            keep_proofs(proofs, first, parts, leaves)
        return {"first": first, "last": first + sum(each.count for each in parts) - 1}

    return after
