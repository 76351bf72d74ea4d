"""Ed25519 as CometBFT's validators check it: exactly the signatures that ZIP-215 accepts.

libsodium decides first. It refuses some signatures that ZIP-215 accepts (small-order points, points
in other than their one encoding, equations that hold only times the cofactor), so its refusal is
checked again in plain integers; everything it accepts, ZIP-215 accepts too. The second check
takes milliseconds and is not constant-time: it handles public values only.

Source: https://zips.z.cash/zip-0215; RFC 8032 section 5.1; ADR 10.
"""

from __future__ import annotations

import hashlib
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_COFACTOR: Final = 8
_SIGN_BIT: Final = 255

# Extended coordinates: x = X:Z, y = Y:Z, x * y = T:Z.
_Point = tuple[int, int, int, int]
_IDENTITY: Final[_Point] = (0, 1, 1, 0)


def verify_vote(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a CometBFT validator takes the signature as the key's over message."""
    if len(public_key) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError:
        return _verify_cofactored(public_key, message, signature)
    return True


def _verify_cofactored(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Check [8][S]B == [8]R + [8][k]A, where k hashes the encodings as they came."""
    key, commitment = _decode(public_key), _decode(signature[:KEY_SIZE])
    scalar = int.from_bytes(signature[KEY_SIZE:], "little")
    if key is None or commitment is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:KEY_SIZE] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    left = _multiply(_COFACTOR * scalar, _BASE)
    right = _multiply(_COFACTOR, _add(commitment, _multiply(challenge, key)))
    return _same(left, right)


def _decode(encoded: bytes) -> _Point | None:
    """Return the point, taking y modulo p and x = 0 with either sign, as ZIP-215 demands."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> _SIGN_BIT, number % 2**_SIGN_BIT % _P
    x = _recover_x(y)
    if x is None:
        return None
    x = -x % _P if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


def _recover_x(y: int) -> int | None:
    """Return a root of (y^2 - 1) / (d y^2 + 1), None where there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    root = pow(square, (_P + 3) // 8, _P)
    if root * root % _P == square:
        return root
    root = root * _ROOT_OF_MINUS_ONE % _P
    return root if root * root % _P == square else None


def _add(p: _Point, q: _Point) -> _Point:
    """Return p + q; the formula is complete, so no pair of points is special."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _same(p: _Point, q: _Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


def _base_point() -> _Point:
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(KEY_SIZE, "little"))
    if point is None:
        raise AssertionError("the base point is on the curve")
    return point


_BASE: Final = _base_point()
