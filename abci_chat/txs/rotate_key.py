"""Rotations of an account's key on the chat chain: its identity names the new one at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from abci_chat.state import identities
from abci_chat.state.identities import LogKind
from dchat.kernel import rotation
from dchat.kernel.family import TxContext
from dchat.kernel.ids import Cost
from dchat.kernel.store import Draft


def follow(draft: Draft, public_key: bytes, ctx: TxContext) -> None:
    """Put the key into the sender's identity and its log, if there is one in use.

    Contacts then wait for a prekey bundle that this key has signed: whoever holds the old key could
    otherwise vouch for devices. What was given up stays as it was at its end.
    """
    record = identities.load(draft, ctx.sender)
    if record is not None and not record.deactivated_at:
        identities.save(draft, ctx.sender, replace(record, public_key=public_key))
        identities.log(draft, ctx.sender, LogKind.ROTATED, public_key, ctx.height)


FAMILY: Final = rotation.family(4, follow, Cost(rotation.COST + 30))
"""The line in the log is a record more."""
