"""Typed reads and writes over a draft of the chat chain's state.

`("identity", id)` holds `[handle, public_key, inbox_key, [home_relay, …], prekey_hash, height]`,
`("handle", name)` holds the id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.store import Draft, State

MAX_HANDLE_BYTES: Final = 32
MAX_HOME_RELAYS: Final = 3
MAX_RELAY_BYTES: Final = 256
PREKEY_HASH_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32

HANDLE: Final = codec.Text(MAX_HANDLE_BYTES)
HOME_RELAYS: Final = codec.ListOf(codec.Text(MAX_RELAY_BYTES), MAX_HOME_RELAYS)
PREKEY_HASH: Final = codec.Fixed(PREKEY_HASH_BYTES)
PUBLIC_KEY: Final = codec.Fixed(PUBLIC_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Identity:
    """What strangers need to reach somebody."""

    handle: str
    public_key: bytes
    """Ed25519 key that signs for the account and its devices."""
    inbox_key: bytes
    """Ed25519 key that opens the owner's mailboxes at the home relays."""
    home_relays: tuple[str, ...]
    """Multiaddrs with peer id, one to three."""
    prekey_hash: bytes
    """SHA-256 of the prekey bundle that the home relays hand out."""
    registered_at: Height


IDENTITY: Final = codec.Record(
    Identity,
    handle=HANDLE,
    public_key=PUBLIC_KEY,
    inbox_key=PUBLIC_KEY,
    home_relays=HOME_RELAYS,
    prekey_hash=PREKEY_HASH,
    registered_at=codec.U64,
)


def identity(state: State, owner: AccountId) -> Identity | None:
    """Return the owner's identity, None where none is registered."""
    found = state.get(keys.identity(owner))
    return None if found is None else IDENTITY.decode_own(found)


def save_identity(draft: Draft, owner: AccountId, record: Identity) -> None:
    """Write the owner's identity."""
    draft.put(keys.identity(owner), IDENTITY.encode(record))


def handle_owner(state: State, handle: str) -> AccountId | None:
    """Return whose handle this is, None where it is free."""
    found = state.get(keys.handle(handle))
    return None if found is None else AccountId(ACCOUNT_ID.decode_own(found))


def claim_handle(draft: Draft, handle: str, owner: AccountId) -> None:
    """Make the handle name the owner."""
    draft.put(keys.handle(handle), ACCOUNT_ID.encode(owner))
