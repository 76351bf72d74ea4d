"""Which mailboxes an inbox key has at a time: those its owner pulls, the one writers use."""

from __future__ import annotations

from dataclasses import dataclass

from dchat.kernel.ids import EpochMs
from relay.core.access import epoch_at, epochs_to_pull, mailbox_id


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One inbox key's mailbox in one epoch."""

    id: bytes
    epoch: int


def to_pull(inbox_key: bytes, now_ms: EpochMs) -> tuple[Mailbox, ...]:
    """Return the mailboxes that may hold mail: of the last epoch, this one and the next.

    Envelopes wait up to an epoch, and a writer's clock may be ahead of its reader's.
    """
    return tuple([Mailbox(mailbox_id(inbox_key, epoch), epoch) for epoch in epochs_to_pull(now_ms)])


def to_write(inbox_key: bytes, now_ms: EpochMs) -> Mailbox:
    """Return the mailbox that a writer deposits into now."""
    epoch = epoch_at(now_ms)
    return Mailbox(mailbox_id(inbox_key, epoch), epoch)
