"""Epochs: the steps by which a channel's group changes its keys, strictly one after another.

    ("epoch", channel)      [number, stale, reserved, removals, member_root, size_class, …]
    ("actor", channel, id)  spent_until

Whoever commits an epoch names the one it builds on, and loses where somebody was faster: a group
never forks. Who leaves or is removed goes at once, whatever the epoch, and leaves it stale: whoever
is gone still knows its keys. Such removals are counted, and a commit says how many it knows of:
where that is not all, the next epoch is stale as well, so that no removal is ever overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat import keys
from abci_chat.params import CHANNELS, HOUR_MS, REPUTATION
from abci_chat.state import reputation
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import TxContext
from dchat.kernel.store import Draft, State, read

HASH_BYTES: Final = 32
NO_ROOT: Final = bytes(HASH_BYTES)
"""The member root of a channel that lists its members, and of a private one before epoch 1."""
NO_KEY: Final = b""


class TooManyBumps(TxRejected):
    """The actor has changed the channel's epoch too often. Attribute: ready_at -- ms."""

    code = 271

    def __init__(self, ready_at: int) -> None:
        super().__init__(f"too many changes of the epoch; the next at {ready_at} ms")
        self.ready_at = ready_at


@dataclass(frozen=True, slots=True)
class Epoch:
    """A channel's present epoch; number 0 before anybody committed one."""

    number: int = 0
    stale: bool = False
    """Whether somebody who knows its keys is gone."""
    reserved: bool = False
    """Whether the owner alone may commit the next one."""
    removals: int = 0
    """How often somebody has gone since the channel was created."""
    member_root: bytes = NO_ROOT
    """Of a private channel's tree, see hidden.py."""
    size_class: int = 0
    """How many leaves that tree has, 0 where there is none."""
    posting_key: bytes = NO_KEY
    """Ed25519 key that signs a private channel's posts; empty elsewhere."""
    group_commit: bytes = NO_ROOT
    """SHA-256 of what the members were sent about this epoch, so that all were sent the same."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return EPOCH.encode(self)


EPOCH: Final = codec.Record(
    Epoch,
    number=codec.U64,
    stale=codec.Bool,
    reserved=codec.Bool,
    removals=codec.U64,
    member_root=codec.Fixed(HASH_BYTES),
    size_class=codec.U64,
    posting_key=codec.Blob(32),
    group_commit=codec.Fixed(HASH_BYTES),
)
FIRST: Final = Epoch()
_ACTOR: Final = codec.U64
"""Until when the hour is spent, in milliseconds of block time."""


def load(state: State, channel_id: bytes) -> Epoch:
    """Return the present epoch of a channel that exists."""
    return read(state, keys.epoch(channel_id), EPOCH) or FIRST


def save(draft: Draft, channel_id: bytes, record: Epoch) -> None:
    """Write the present epoch."""
    draft.put(keys.epoch(channel_id), record)


def gone(draft: Draft, channel_id: bytes, *, reserve: bool = False) -> None:
    """Mark the epoch stale: somebody who knows its keys has gone.

    reserve: the next is the owner's to commit; nothing but that commit takes it back.
    """
    now = load(draft, channel_id)
    save(
        draft,
        channel_id,
        replace(now, stale=True, removals=now.removals + 1, reserved=now.reserved or reserve),
    )


def bump(draft: Draft, channel_id: bytes, ctx: TxContext) -> None:
    """Count a change of the epoch by the sender.

    What an actor may do in an hour comes back evenly; all of it can be done at once.
    Raises: TooManyBumps.
    """
    key, now = keys.actor(channel_id, ctx.sender), ctx.block_time_ms
    spent_until = max(read(draft, key, _ACTOR) or 0, now) + _step(draft, ctx)
    if spent_until > now + HOUR_MS:
        raise TooManyBumps(spent_until - HOUR_MS)
    draft.put(key, _ACTOR.encode(spent_until))


def _step(state: State, ctx: TxContext) -> int:
    """Return how much of an hour one change takes of the sender, in milliseconds, rounded down."""
    allowed = CHANNELS.load(state).bumps_per_hour
    if reputation.is_trusted(state, ctx.sender, ctx.height):
        allowed *= REPUTATION.load(state).trusted_limit_factor
    return max(1, HOUR_MS // allowed)
