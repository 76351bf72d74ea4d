"""What lies inside the seal that a relay sees: who writes, one Olm message, and padding.

Layout of the sealed plaintext: `u32be size | record | zeros`, filled so that the ciphertext is
exactly as long as its size class. The record is the canonical array `[version, sender, device,
olm_type, olm_body]`. Nothing in it is authenticated: sender and device say only whose session to
try, and whose keys to look up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dchat.kernel.codec import U64, Blob, CodecError, Fixed, Record
from dchat.kernel.ids import AccountId
from relay.core.envelope import MAX_CIPHERTEXT_BYTES, SIZE_CLASSES, size_class_for

VERSION: Final = 1
PREKEY: Final = 0
NORMAL: Final = 1
_SIZE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Wrapped:
    """One Olm message with the address of the device that made it.

    `device` is the writer's Olm Curve25519 identity key; `olm_type` is PREKEY or NORMAL.
    """

    version: int
    sender: AccountId
    device: bytes
    olm_type: int
    olm_body: bytes = field(repr=False)


_WRAPPED: Final = Record(
    Wrapped,
    version=U64,
    sender=Fixed(32),
    device=Fixed(32),
    olm_type=U64,
    olm_body=Blob(MAX_CIPHERTEXT_BYTES),
)


def wrap(message: Wrapped, overhead: int) -> bytes:
    """Return what to seal; sealing adds `overhead` bytes and meets a size class exactly.

    Raises: CodecError if the message is above the largest class.
    """
    record = _WRAPPED.encode(message)
    size_class = size_class_for(_SIZE_BYTES + len(record) + overhead)
    if size_class is None:
        raise CodecError(f"a message of {len(record)} bytes fits no size class")
    room = SIZE_CLASSES[size_class] - overhead
    return (len(record).to_bytes(_SIZE_BYTES, "big") + record).ljust(room, b"\0")


def unwrap(opened: bytes) -> Wrapped:
    """Return the message in an opened seal. Raises: CodecError."""
    size = int.from_bytes(opened[:_SIZE_BYTES], "big")
    record, padding = opened[_SIZE_BYTES : _SIZE_BYTES + size], opened[_SIZE_BYTES + size :]
    if len(record) != size or padding.strip(b"\0"):
        raise CodecError("the padding is not what it must be")
    message = _WRAPPED.decode(record, MAX_CIPHERTEXT_BYTES)
    if message.version != VERSION or message.olm_type not in (PREKEY, NORMAL):
        raise CodecError("a message form unknown to this release")
    return message
