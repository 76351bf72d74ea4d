"""Ed25519 over a domain tag and a message, with the one verifier everything but votes uses.

Source: RFC 8032, as libsodium checks it: canonical points and scalars only, small-order keys and
commitments refused, equation without cofactor. CometBFT judges votes by other rules: zip215.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nacl import bindings
from nacl.exceptions import CryptoError

from dchat.kernel.errors import ProtocolError

PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_KEYS_KEPT: Final = 16
_KEYS_REMEMBERED: Final = 65_536
"""The check costs as much as a signature, and CheckTx asks again until an account has its key."""


class SignatureInvalid(ProtocolError):
    """The signature is not this key's over these bytes."""


def public_key(seed: bytes) -> bytes:
    """Return the 32-byte public key of a 32-byte seed."""
    key, _ = _keypair(seed)
    return key


def sign(seed: bytes, domain: bytes, message: bytes) -> bytes:
    """Return the 64-byte signature over domain followed by message."""
    _, secret = _keypair(seed)
    return bindings.crypto_sign(domain + message, secret)[:SIGNATURE_BYTES]


def verify(key: bytes, domain: bytes, message: bytes, signature: bytes) -> None:
    """Return if the signature is the key's. Raises: SignatureInvalid."""
    if len(key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise SignatureInvalid("wrong length of key or signature")
    try:
        bindings.crypto_sign_open(signature + domain + message, key)
    except CryptoError:
        raise SignatureInvalid("signature does not match") from None


@lru_cache(maxsize=_KEYS_REMEMBERED)
def is_strong(key: bytes) -> bool:
    """Tell whether key is a canonical point of the prime-order group."""
    return len(key) == PUBLIC_KEY_BYTES and bindings.crypto_core_ed25519_is_valid_point(key)


@lru_cache(maxsize=_KEYS_KEPT)
def _keypair(seed: bytes) -> tuple[bytes, bytes]:
    """Return public and expanded secret key; making them takes longer than a signature."""
    return bindings.crypto_sign_seed_keypair(seed)
