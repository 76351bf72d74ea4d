"""Rotations of an account's key on the chat chain: its identity names the new one at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from abci_chat.state import identities
from dchat.kernel import rotation
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft


def follow(draft: Draft, owner: AccountId, public_key: bytes) -> None:
    """Put the key into the owner's identity, if there is one.

    Contacts then wait for a prekey bundle that this key has signed: whoever holds the old key could
    otherwise vouch for devices.
    """
    record = identities.load(draft, owner)
    if record is not None:
        identities.save(draft, owner, replace(record, public_key=public_key))


FAMILY: Final = rotation.family(4, follow)
