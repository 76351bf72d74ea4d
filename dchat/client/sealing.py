"""Whole payloads sealed to a recipient's X-Wing key, so that relays see nothing but a size.

HPKE (RFC 9180) with KEM X-Wing (ML-KEM-768 and X25519 together), HKDF-SHA256 and ChaCha20Poly1305.
Secret keys are X-Wing seeds of 32 bytes: SHAKE256 stretches one to the ML-KEM seed (64) and the
X25519 key (32). Public keys: ML-KEM-768 encapsulation key (1184), then the X25519 key (32). The
info string names the recipient, so no sealed payload opens under another account.
Source: draft-connolly-cfrg-xwing-kem; ADR 6.
"""

from __future__ import annotations

from hashlib import shake_256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dchat.kernel.errors import ProtocolError
from dchat.kernel.ids import AccountId

SEED_BYTES: Final = 32
OVERHEAD: Final = 1088 + 32 + 16
"""Bytes a seal adds: ML-KEM ciphertext, X25519 share, Poly1305 tag."""

_MLKEM_SEED: Final = 64
_MLKEM_PUBLIC: Final = 1184
_SUITE: Final = hpke.Suite(
    hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305
)


class CannotOpen(ProtocolError):
    """The payload was not sealed to this key and account, or was altered."""


class BadSealingKey(ProtocolError):
    """The bytes are not an X-Wing public key."""


def public_key(seed: bytes) -> bytes:
    """Return the 1216-byte public key of an X-Wing seed."""
    mlkem, x25519 = _private(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def seal(plaintext: bytes, key: bytes, recipient: AccountId) -> bytes:
    """Return plaintext sealed to an X-Wing public key, OVERHEAD bytes longer.

    Raises: BadSealingKey.
    """
    try:
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(key[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(key[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(plaintext, public, _info(recipient))
    except ValueError as fault:
        raise BadSealingKey(f"unusable sealing key: {fault}") from None


def open_sealed(ciphertext: bytes, seed: bytes, recipient: AccountId) -> bytes:
    """Return what was sealed to this seed's key and account. Raises: CannotOpen."""
    private = hpke.MLKEM768X25519PrivateKey(*_private(seed))
    try:
        return _SUITE.decrypt(ciphertext, private, _info(recipient))
    except (InvalidTag, ValueError):
        raise CannotOpen("not sealed to this key and account") from None


def _private(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    stretched = shake_256(seed).digest(_MLKEM_SEED + 32)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(stretched[:_MLKEM_SEED])
    return mlkem, X25519PrivateKey.from_private_bytes(stretched[_MLKEM_SEED:])


def _info(recipient: AccountId) -> bytes:
    return b"dchat/seal/v1" + recipient
