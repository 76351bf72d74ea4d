"""Ed25519 signatures that ZIP-215 accepts and RFC 8032's usual verifiers refuse.

Both kinds give their key away or could be told from others: they are for tests only.
"""

from __future__ import annotations

import hashlib
from typing import Final

from dchat.kernel import zip215

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
P: Final = 2**255 - 19
ORDER_8: Final = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
"""A point of order 8, in its one encoding."""
SAME_AS_IDENTITY: Final = (P + 1).to_bytes(32, "little")
"""The neutral point, with a y that is not below the field's prime."""
CLAMP: Final = ~(1 << 255 | 7)


def with_torsion(seed: bytes, message: bytes) -> bytes:
    """A signature whose R has a part of order 8: the equation holds only times the cofactor."""
    secret, prefix = _expanded(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    torsion = zip215._decode(ORDER_8)
    assert torsion is not None
    commitment = zip215._add(zip215._multiply(nonce, zip215._BASE), torsion)
    return _finished(_encoded(commitment), nonce, secret, message)


def with_second_spelling(seed: bytes, message: bytes) -> bytes:
    """A signature whose R is the neutral point, spelled in other than its one encoding."""
    secret, _ = _expanded(seed)
    return _finished(SAME_AS_IDENTITY, 0, secret, message)


def _expanded(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & CLAMP | 1 << 254
    return secret, digest[32:]


def _finished(commitment: bytes, nonce: int, secret: int, message: bytes) -> bytes:
    key = _encoded(zip215._multiply(secret, zip215._BASE))
    digest = hashlib.sha512(commitment + key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    return commitment + ((nonce + challenge * secret) % ORDER).to_bytes(32, "little")


def _encoded(point: tuple[int, int, int, int]) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")
