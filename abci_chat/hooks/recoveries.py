"""New keys by recovery: accounts whose recovery was finished in the block have them at its end.

Not at once: what the old key signed behind it in the same block would be refused without a fee, and
could fill the block for nothing. As many end as transactions of the block said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from abci_chat.state import guardians, identities, recoveries
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft


@dataclass(frozen=True, slots=True)
class IdentityRecovered(Event):
    """Guardians gave an account another key; all devices of before are revoked."""

    owner: AccountId
    public_key: bytes
    key_version: int


def take_over(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """Give out the keys that transactions of the block asked for and that may still be given."""
    return tuple(
        [
            event
            for owner, public_key in recoveries.scheduled(draft)
            for event in _take_over(draft, owner, public_key, context)
        ]
    )


def _take_over(
    draft: Draft, owner: AccountId, public_key: bytes, context: BlockContext
) -> tuple[Event, ...]:
    """Give one out, unless what came behind in the block stands against it."""
    now = context.block_time_ms
    identity = identities.load(draft, owner)
    stands = recoveries.standing(draft, owner, public_key, now)
    is_due = stands is not None and stands.is_ready(now)
    if stands is None or not is_due or identity is None or identity.deactivated_at:
        return ()
    recoveries.finish(draft, owner, public_key, stands.recovery, context.height)
    guardians.cancel(draft, owner, now)
    return (IdentityRecovered(owner, public_key, stands.recovery.key_version),)
