"""Mailbox ids, and the signatures by which their owners reach them.

A mailbox id is H(tag | inbox key | epoch), so a relay learns whose it is only when its owner pulls.
Every signature names its purpose, the relay's peer id and the challenge of one session: what one
relay has seen opens nothing at another relay, in another session or for another purpose.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from dchat.kernel import signing
from dchat.kernel.codec import U64, Fixed, Record, pack
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs

EPOCH_MS: Final = 7 * 24 * 3600 * 1000
"""How long a mailbox id is used for deposits: seven days, counted from 1970 UTC."""

ACCESS_DOMAIN: Final = b"dchat/relay/access/v1"
MAX_EPOCH: Final = 2**32 - 1
_MAILBOX_TAG: Final = b"dchat/mailbox/v1"

_PEER_ID_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash (0x00, 36 bytes) of a protobuf public key (type 1 = Ed25519, 32 bytes).

Source: libp2p specs, peer-ids.
"""
_PEER_ID_BYTES: Final = len(_PEER_ID_PREFIX) + 32


@unique
class Purpose(Enum):
    """What a signature allows, and nothing else."""

    PULL = b"pull"
    WATCH = b"watch"
    PUT_PREKEYS = b"put-prekeys"
    PUT_ONE_TIME_KEYS = b"put-one-time-keys"


@dataclass(frozen=True, slots=True)
class SessionId:
    """What a signature is bound to: the relay's peer id (38 bytes) and its session's challenge."""

    relay_peer_id: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class Access:
    """An owner's signature over one purpose in one session.

    `subject` is what the purpose needs: for PULL and WATCH nothing (the mailbox follows from
    `inbox_key` and `epoch`), for the two PUT purposes the hash of what is put.
    """

    inbox_key: bytes
    epoch: int
    signature: bytes


ACCESS: Final = Record(Access, inbox_key=Fixed(32), epoch=U64, signature=Fixed(64))


def mailbox_id(inbox_key: bytes, epoch: int) -> bytes:
    """Return the 32-byte id of an inbox key's mailbox in one epoch."""
    return hashlib.sha256(_MAILBOX_TAG + inbox_key + epoch.to_bytes(8, "big")).digest()


def epoch_at(now: EpochMs) -> int:
    """Return the epoch that senders deposit into; rounds down."""
    return now // EPOCH_MS


def epochs_to_pull(now: EpochMs) -> tuple[int, ...]:
    """Return the epochs that may hold mail: the last, this and, for senders ahead, the next."""
    epoch = epoch_at(now)
    return tuple(range(max(epoch - 1, 0), epoch + 2))


def relay_key(peer_id: bytes) -> bytes:
    """Return the Ed25519 key that a peer id's bytes contain. Raises: RemoteProtocolError."""
    if len(peer_id) != _PEER_ID_BYTES or not peer_id.startswith(_PEER_ID_PREFIX):
        raise RemoteProtocolError("the peer id holds no Ed25519 key")
    return peer_id[len(_PEER_ID_PREFIX) :]


def peer_id_of(key: bytes) -> bytes:
    """Return the peer id's bytes for an Ed25519 key; relay_key() undoes it."""
    return _PEER_ID_PREFIX + key


def grant(
    inbox_seed: bytes, session: SessionId, purpose: Purpose, epoch: int, subject: bytes = b""
) -> Access:
    """Return the access that the owner of `inbox_seed` gives for one purpose in one session."""
    key = signing.public_key(inbox_seed)
    statement = _statement(session, purpose, epoch, subject)
    return Access(key, epoch, signing.sign(inbox_seed, ACCESS_DOMAIN, statement))


def is_granted(access: Access, session: SessionId, purpose: Purpose, subject: bytes = b"") -> bool:
    """Tell whether the owner of `access.inbox_key` signed exactly this."""
    if access.epoch > MAX_EPOCH:
        return False
    statement = _statement(session, purpose, access.epoch, subject)
    try:
        signing.verify(access.inbox_key, ACCESS_DOMAIN, statement, access.signature)
    except signing.SignatureInvalid:
        return False
    return True


def subject_of(blobs: tuple[bytes, ...]) -> bytes:
    """Return the 32-byte hash that a PUT signature names for what it puts."""
    return hashlib.sha256(pack(blobs)).digest()


def _statement(session: SessionId, purpose: Purpose, epoch: int, subject: bytes) -> bytes:
    return pack((purpose.value, session.relay_peer_id, session.challenge, epoch, subject))
