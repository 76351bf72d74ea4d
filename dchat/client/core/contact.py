"""Somebody else, as the chat chain proved them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dchat.client.core.prekeys import MAX_BUNDLE
from dchat.kernel.codec import U64, Blob, Bool, Fixed, ListOf, Record, Text
from dchat.kernel.ids import AccountId, Height

MAX_NAME: Final = 64
"""Bytes of a handle, or of an account's id as it is shown."""


@dataclass(frozen=True, slots=True)
class Contact:
    """An account's chain record and the keys that it commits to.

    `handle` is the account's id where it has no handle. `verified_height` is that of the header
    that proved the record. `accepted` is False while we know the account only because it wrote to
    us. `bundle` is what its home relay served under `prekey_hash`, empty until fetched.
    """

    id: AccountId
    handle: str
    identity_key: bytes
    inbox_key: bytes
    home_relays: tuple[str, ...]
    prekey_hash: bytes
    verified_height: Height
    accepted: bool = False
    bundle: bytes = field(repr=False, default=b"")


CONTACT: Final = Record(
    Contact,
    id=Fixed(32),
    handle=Text(MAX_NAME),
    identity_key=Fixed(32),
    inbox_key=Fixed(32),
    home_relays=ListOf(Text(256), 3),
    prekey_hash=Fixed(32),
    verified_height=U64,
    accepted=Bool,
    bundle=Blob(MAX_BUNDLE),
)
"""How the store keeps a contact."""
