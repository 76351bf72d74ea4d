"""Identities: what strangers need to reach somebody, and the log of all keys there ever were.

    ("identity", id)          [handle, public_key, inbox_key, [home_relay, …], prekey_hash, …]
    ("key_log", id, number)   [kind, key, height, previous]

An entry of the log names the one before by its hash and the identity names the last, so whoever has
an identity with proof can check every entry, from wherever they come. Nothing ever changes one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MAX_HANDLE_BYTES: Final = 32
MAX_HOME_RELAYS: Final = 3
MAX_RELAY_BYTES: Final = 256
PREKEY_HASH_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
_LOG_TAG: Final = b"dchat/key-log/v1"

HANDLE: Final = codec.Text(MAX_HANDLE_BYTES)
HOME_RELAYS: Final = codec.ListOf(codec.Text(MAX_RELAY_BYTES), MAX_HOME_RELAYS)
PREKEY_HASH: Final = codec.Fixed(PREKEY_HASH_BYTES)
PUBLIC_KEY: Final = codec.Fixed(PUBLIC_KEY_BYTES)
EMPTY_LOG: Final = bytes(32)
"""What the first entry of a log has as its previous one."""
_NEVER: Final = EpochMs(0)
_FROM_THE_START: Final = Height(0)


class NotRegistered(TxRejected):
    """The account has no identity."""

    code = 203


class Deactivated(TxRejected):
    """The identity was given up for good."""

    code = 206


class LogKind(IntEnum):
    """What an entry of a key log tells; the numbers are frozen."""

    REGISTERED = 1
    """The key signs for the identity from now on."""
    ROTATED = 2
    RECOVERED = 3
    """Guardians gave the identity this key: all devices before it are revoked."""
    DEVICE_ADDED = 4
    DEVICE_REVOKED = 5
    GUARDIANS_SET = 6
    """The key is the hash of the guardians that are in force after their delay."""
    DEACTIVATED = 7


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of an identity's key log."""

    kind: LogKind
    key: bytes
    """32 bytes: an Ed25519 key, or what the kind says."""
    height: Height
    previous: bytes
    """Hash of the entry before, EMPTY_LOG for the first."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What strangers need to reach somebody."""

    handle: str
    """Empty for somebody who has none."""
    public_key: bytes
    """Ed25519 key that signs for the account and its devices."""
    inbox_key: bytes
    """Ed25519 key that opens the owner's mailboxes at the home relays."""
    home_relays: tuple[str, ...]
    """Multiaddrs with peer id, one to three."""
    prekey_hash: bytes
    """SHA-256 of the prekey bundle that the home relays hand out."""
    registered_at: Height
    devices_from: Height = _FROM_THE_START
    """Devices that were added below this height are revoked."""
    deactivated_at: EpochMs = _NEVER
    """Block time at which it was given up for good, 0 for never."""
    log_length: int = 0
    log_head: bytes = EMPTY_LOG
    """Hash of the log's last entry."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return IDENTITY.encode(self)


LOG_ENTRY: Final = codec.Record(
    LogEntry,
    kind=codec.Choice(LogKind),
    key=codec.Fixed(32),
    height=codec.U64,
    previous=codec.Fixed(32),
)
IDENTITY: Final = codec.Record(
    Identity,
    handle=HANDLE,
    public_key=PUBLIC_KEY,
    inbox_key=PUBLIC_KEY,
    home_relays=HOME_RELAYS,
    prekey_hash=PREKEY_HASH,
    registered_at=codec.U64,
    devices_from=codec.U64,
    deactivated_at=codec.U64,
    log_length=codec.U64,
    log_head=codec.Fixed(32),
)


def load(state: State, owner: AccountId) -> Identity | None:
    """Return the owner's identity, given up or not, None where none is registered."""
    return read(state, keys.identity(owner), IDENTITY)


def active(state: State, owner: AccountId) -> Identity:
    """Return the owner's identity. Raises: NotRegistered, Deactivated."""
    record = load(state, owner)
    if record is None:
        raise NotRegistered("register an identity first")
    if record.deactivated_at:
        raise Deactivated("the identity was given up")
    return record


def save(draft: Draft, owner: AccountId, record: Identity) -> None:
    """Write the owner's identity."""
    draft.put(keys.identity(owner), record)


def entry_hash(entry: LogEntry) -> bytes:
    """Return what the next entry of the log, or the identity, calls this one."""
    return sha256(_LOG_TAG + LOG_ENTRY.encode(entry)).digest()


def log(draft: Draft, owner: AccountId, kind: LogKind, key: bytes, height: Height) -> Identity:
    """Add a line to the key log of the owner, whose record is saved; return that record.

    Raises: NotRegistered, Deactivated.
    """
    record = active(draft, owner)
    entry = LogEntry(kind, key, height, record.log_head)
    draft.put(keys.key_log(owner, record.log_length), LOG_ENTRY.encode(entry))
    logged = replace(record, log_length=record.log_length + 1, log_head=entry_hash(entry))
    save(draft, owner, logged)
    return logged
