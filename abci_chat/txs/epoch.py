"""Epochs: families that commit a channel's next one, and remove a hidden member's leaf.

A commit is a compare-and-swap: it names the epoch that it builds on, and who comes second is told
the present one. A removal needs none, so nobody can hold it up by being faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.state import channels, epochs, hidden, members
from abci_chat.state.channels import Channel, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.hidden import HiddenProof
from dchat.kernel import codec, signing
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.store import Draft


class EpochMoved(TxRejected):
    """Somebody committed first. Attributes: have, present, removals -- of the present epoch."""

    code = 268

    def __init__(self, have: int, present: int, removals: int) -> None:
        super().__init__(f"builds on epoch {have}, the present one is {present} ({removals} gone)")
        self.have = have
        self.present = present
        self.removals = removals


class EpochReserved(TxRejected):
    """The owner removed somebody and commits the next epoch itself."""

    code = 269


class BadEpoch(TxRejected):
    """What an epoch commits to does not fit the channel."""

    code = 270


class MembersListed(TxRejected):
    """The channel has no leaves: its members are listed, and removed by name."""

    code = 275


class AlreadyRemoved(TxRejected):
    """The leaf counts no more already."""

    code = 281


@dataclass(frozen=True, slots=True)
class CommitEpoch:
    """Begin a channel's next epoch."""

    channel: bytes
    from_epoch: int
    """The one it builds on."""
    removals: int
    """How many had gone, as far as the sender knew: see state/epochs.py."""
    member_root: bytes
    size_class: int
    posting_key: bytes
    group_commit: bytes
    proof: tuple[HiddenProof, ...]


@dataclass(frozen=True, slots=True)
class RemoveLeaf:
    """Let a hidden member's leaf count no more."""

    channel: bytes
    seat: bytes
    role: Role
    """Seat and role make up the leaf; a member's account stays hidden."""
    reserve: bool
    """The sender, who owns the channel, commits the next epoch, and nobody else."""
    proof: tuple[HiddenProof, ...]


@dataclass(frozen=True, slots=True)
class EpochCommitted(Event):
    """A channel's next epoch began."""

    channel: bytes
    number: int
    stale: bool
    by: AccountId


@dataclass(frozen=True, slots=True)
class LeafRemoved(Event):
    """A hidden member's leaf counts no more."""

    channel: bytes
    leaf: bytes


def check_commit(tx: CommitEpoch) -> None:
    """Apply the rules that need no state. Raises: BadEpoch."""
    if tx.size_class and tx.size_class not in hidden.SIZES:
        raise BadEpoch(f"a tree of {tx.size_class} leaves; the sizes are {hidden.SIZES}")
    if tx.posting_key and not signing.is_strong(tx.posting_key):
        raise BadEpoch("a posting key of small order, or not canonical")


def check_leaf(tx: RemoveLeaf) -> None:
    """Accept every seat: only who has the tree knows what it stands for."""


def commit(draft: Draft, tx: CommitEpoch, ctx: TxContext) -> tuple[Event, ...]:
    """Begin the next epoch.

    Raises: EpochMoved, EpochReserved, BadEpoch, TooManyBumps, as members.act().
    """
    channel, now = channels.open_channel(draft, tx.channel), epochs.load(draft, tx.channel)
    if tx.from_epoch != now.number:
        raise EpochMoved(tx.from_epoch, now.number, now.removals)
    role = members.act(draft, tx.channel, ctx, Role.MODERATOR, _first(tx.proof))
    if now.reserved and role is not Role.OWNER:
        raise EpochReserved("the next epoch is the owner's to commit")
    _check_fits(channel, now, tx)
    epochs.bump(draft, tx.channel, ctx)
    stale = tx.removals < now.removals
    following = Epoch(
        number=now.number + 1,
        stale=stale,
        removals=now.removals,
        member_root=tx.member_root,
        size_class=tx.size_class,
        posting_key=tx.posting_key,
        group_commit=tx.group_commit,
    )
    epochs.save(draft, tx.channel, following)
    return (EpochCommitted(tx.channel, following.number, stale, ctx.sender),)


def _check_fits(channel: Channel, now: Epoch, tx: CommitEpoch) -> None:
    if tx.removals > now.removals:
        raise BadEpoch(f"knows of {tx.removals} who have gone, there were {now.removals}")
    hides = (tx.member_root != epochs.NO_ROOT, tx.size_class > 0, len(tx.posting_key) > 0)
    if hides != (not channel.lists_members,) * len(hides):
        raise BadEpoch("root, size and posting key are those of a private channel, and of no other")
    if tx.posting_key and tx.posting_key == now.posting_key:
        raise BadEpoch("the posting key is that of the epoch before: who is gone knows it")


def remove_leaf(draft: Draft, tx: RemoveLeaf, ctx: TxContext) -> tuple[Event, ...]:
    """Remove a leaf at once. Raises: MembersListed, AlreadyRemoved, TooManyBumps, as act()."""
    if channels.open_channel(draft, tx.channel).lists_members:
        raise MembersListed("remove a listed member by its account")
    mine = members.act(draft, tx.channel, ctx, Role.MODERATOR, _first(tx.proof))
    outranks = Role(min(tx.role + 1, Role.OWNER))
    members.need(mine, Role.OWNER if tx.reserve else outranks)
    leaf = hidden.leaf(tx.channel, tx.seat, tx.role)
    if hidden.is_removed(draft, tx.channel, leaf):
        raise AlreadyRemoved("the leaf counts no more")
    hidden.remove(draft, tx.channel, leaf)
    epochs.bump(draft, tx.channel, ctx)
    epochs.gone(draft, tx.channel, reserve=tx.reserve)
    return (LeafRemoved(tx.channel, leaf),)


def _first(proof: tuple[HiddenProof, ...]) -> HiddenProof | None:
    return proof[0] if proof else None


COMMIT: Final = Family(
    type=36,
    name="commit_epoch",
    shape=codec.Record(
        CommitEpoch,
        channel=channels.CHANNEL_ID,
        from_epoch=codec.U64,
        removals=codec.U64,
        member_root=codec.Fixed(epochs.HASH_BYTES),
        size_class=codec.U64,
        posting_key=channels.SOMEBODY,
        group_commit=codec.Fixed(epochs.HASH_BYTES),
        proof=hidden.MAYBE_PROOF,
    ),
    cost=Cost(170),
    check=check_commit,
    apply=commit,
)

REMOVE_LEAF: Final = Family(
    type=37,
    name="remove_leaf",
    shape=codec.Record(
        RemoveLeaf,
        channel=channels.CHANNEL_ID,
        seat=codec.Fixed(hidden.HASH_BYTES),
        role=codec.Choice(Role),
        reserve=codec.Bool,
        proof=hidden.MAYBE_PROOF,
    ),
    cost=Cost(180),
    check=check_leaf,
    apply=remove_leaf,
)

FAMILIES: Final = (COMMIT, REMOVE_LEAF)
