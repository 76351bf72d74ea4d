"""What a session asks of the disk, and what the disk may answer; values only.

A job's outcome is given out only when everything it wrote is on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dchat.kernel.ids import EpochMs
from relay.core.envelope import Envelope, Place
from relay.core.messages import Item
from relay.core.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Keep:
    """Store an envelope unless its place has one or had one. Gives Kept or IdTaken.

    `sender` and `is_reserved` are for `Queue.settle` and stay in memory: no disk ever holds who
    wrote to whom.
    """

    envelope: Envelope
    ciphertext_hash: bytes
    accepted_at_ms: EpochMs
    sender: bytes = field(repr=False)
    is_reserved: bool

    @property
    def place(self) -> Place:
        """Where the envelope lies."""
        return self.envelope.mailbox_id, self.envelope.message_id


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Read a mailbox's unexpired items after `cursor`. Gives PageRead."""

    mailbox_id: bytes
    cursor: int
    limit: int
    now: EpochMs


@dataclass(frozen=True, slots=True)
class Clear:
    """Delete items and leave tombstones until they would have expired. Gives Cleared."""

    mailbox_id: bytes
    acked: tuple[bytes, ...]
    nacked: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PutBundle:
    """Replace an inbox's prekey bundle. Gives KeysHeld or NoRoom."""

    inbox_key: bytes
    bundle: bytes
    now: EpochMs


@dataclass(frozen=True, slots=True)
class AddKeys:
    """Add one-time keys that were not there before. Gives KeysHeld or NoRoom."""

    inbox_key: bytes
    keys: tuple[bytes, ...]
    now: EpochMs


@dataclass(frozen=True, slots=True)
class GetBundle:
    """Read an inbox's bundle. Gives Found or NotThere."""

    inbox_key: bytes


@dataclass(frozen=True, slots=True)
class TakeKey:
    """Take an inbox's oldest one-time key away. Gives Found or NotThere."""

    inbox_key: bytes
    now: EpochMs


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete what has expired, bundles nobody refreshed and tombstones. Gives Pruned."""

    now: EpochMs


Job = Keep | ReadPage | Clear | PutBundle | AddKeys | GetBundle | TakeKey | Prune


@dataclass(frozen=True, slots=True)
class Kept:
    """The envelope is on disk since `accepted_at_ms`; `is_new` unless it was there before.

    `is_present` is False where only its tombstone is left.
    """

    accepted_at_ms: EpochMs
    is_new: bool
    is_present: bool


@dataclass(frozen=True, slots=True)
class IdTaken:
    """A different envelope has this message id, or had it where `is_present` is False."""

    is_present: bool


@dataclass(frozen=True, slots=True)
class PageRead:
    """Items of a mailbox; `more` where the bounds of a page left some behind."""

    items: tuple[Item, ...]
    next_cursor: int
    more: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """So many items were there and are gone now."""

    acked: int
    nacked: int


@dataclass(frozen=True, slots=True)
class KeysHeld:
    """So many one-time keys are left."""

    one_time_keys: int


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A bound on inboxes or keys would be exceeded."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class Found:
    """What was asked for."""

    blob: bytes


@dataclass(frozen=True, slots=True)
class NotThere:
    """Nothing of that kind."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """These places held expired envelopes and are empty now."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The disk refused; nothing of the job was done."""


Outcome = (
    Kept | IdTaken | PageRead | Cleared | KeysHeld | NoRoom | Found | NotThere | Pruned | Failed
)
