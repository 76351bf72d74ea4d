"""What a relay keeps for a mailbox, and the receipt it signs for keeping it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

from dchat.kernel import signing
from dchat.kernel.codec import U64, Blob, Fixed, Record, pack
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs

SIZE_CLASSES: Final = (2_048, 4_096, 16_384, 65_536)
"""Bytes of ciphertext per size class; class n is entry n, and no other length is kept."""

Place = tuple[bytes, bytes]
"""Mailbox id and message id: where an envelope lies."""

MAX_CIPHERTEXT_BYTES: Final = SIZE_CLASSES[-1]
MAX_POSTAGE_BYTES: Final = 512

RECEIPT_DOMAIN: Final = b"dchat/relay/receipt/v1"
_CIPHERTEXT_TAG: Final = b"dchat/ciphertext/v1"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed message for one mailbox.

    `message_id` is 32 random bytes that the sender draws and keeps over all retries: within one
    mailbox it is what makes a deposit idempotent.
    """

    mailbox_id: bytes
    message_id: bytes
    expires_at_ms: EpochMs
    size_class: int
    ciphertext: bytes = field(repr=False)
    postage: bytes = b""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A relay's signed word that one envelope is on its disk until `expires_at_ms` or an ack.

    `signature`: Ed25519 by the relay's libp2p identity key over RECEIPT_DOMAIN and the other
    fields. The same deposit repeated gives the same bytes.
    """

    mailbox_id: bytes
    message_id: bytes
    ciphertext_hash: bytes
    size_class: int
    expires_at_ms: EpochMs
    accepted_at_ms: EpochMs
    signature: bytes


ENVELOPE: Final = Record(
    Envelope,
    mailbox_id=Fixed(32),
    message_id=Fixed(32),
    expires_at_ms=U64,
    size_class=U64,
    ciphertext=Blob(MAX_CIPHERTEXT_BYTES),
    postage=Blob(MAX_POSTAGE_BYTES),
)

RECEIPT: Final = Record(
    Receipt,
    mailbox_id=Fixed(32),
    message_id=Fixed(32),
    ciphertext_hash=Fixed(32),
    size_class=U64,
    expires_at_ms=U64,
    accepted_at_ms=U64,
    signature=Fixed(64),
)


def size_class_for(size: int) -> int | None:
    """Return the smallest class that holds `size` bytes of ciphertext, None above the largest."""
    return next((n for n, room in enumerate(SIZE_CLASSES) if size <= room), None)


def has_its_size(envelope: Envelope) -> bool:
    """Tell whether the ciphertext is exactly as long as its size class says."""
    if envelope.size_class >= len(SIZE_CLASSES):
        return False
    return len(envelope.ciphertext) == SIZE_CLASSES[envelope.size_class]


def ciphertext_hash(ciphertext: bytes) -> bytes:
    """Return SHA-256(tag | ciphertext), the name of a ciphertext in receipts and postage."""
    return hashlib.sha256(_CIPHERTEXT_TAG + ciphertext).digest()


def sign_receipt(unsigned: Receipt, relay_seed: bytes) -> Receipt:
    """Return the receipt signed; `unsigned.signature` is not looked at."""
    signature = signing.sign(relay_seed, RECEIPT_DOMAIN, _statement(unsigned))
    return replace(unsigned, signature=signature)


def check_receipt(receipt: Receipt, envelope: Envelope, relay_key: bytes) -> None:
    """Return only if `relay_key` (see access.relay_key) signed for exactly this envelope.

    A relay neither lengthens nor shortens an envelope's life, so the expiries must be equal.
    Raises: RemoteProtocolError.
    """
    named = (
        receipt.mailbox_id,
        receipt.message_id,
        receipt.ciphertext_hash,
        receipt.size_class,
        receipt.expires_at_ms,
    )
    if named != (
        envelope.mailbox_id,
        envelope.message_id,
        ciphertext_hash(envelope.ciphertext),
        envelope.size_class,
        envelope.expires_at_ms,
    ):
        raise RemoteProtocolError("the receipt is for another envelope")
    try:
        signing.verify(relay_key, RECEIPT_DOMAIN, _statement(receipt), receipt.signature)
    except signing.SignatureInvalid as fault:
        raise RemoteProtocolError("the receipt is not signed by the relay") from fault


def _statement(receipt: Receipt) -> bytes:
    return pack(
        (
            receipt.mailbox_id,
            receipt.message_id,
            receipt.ciphertext_hash,
            receipt.size_class,
            receipt.expires_at_ms,
            receipt.accepted_at_ms,
        )
    )
