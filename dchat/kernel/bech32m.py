"""Account ids and other hashes as text that catches typing errors.

Source: BIP-350. Lengths here are up to 32 bytes of payload, well inside the checksum's guarantee.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dchat.kernel.errors import ProtocolError

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT: Final = 0x2BC830A3
_CHECKSUM_SYMBOLS: Final = 6
_MAX_CHARACTERS: Final = 90
_SYMBOL_BITS: Final = 5
_BYTE_BITS: Final = 8


class BadAddress(ProtocolError):
    """The text is not a bech32m string with the expected prefix."""


def encode(prefix: str, payload: bytes) -> str:
    """Return `prefix1…` in lower case for a payload of at most 32 bytes."""
    symbols = _regroup(payload, _BYTE_BITS, _SYMBOL_BITS)
    if pad := len(payload) * _BYTE_BITS % _SYMBOL_BITS:
        last = int.from_bytes(payload, "big") << (_SYMBOL_BITS - pad)
        symbols = [*symbols, last % 32]
    check = _polymod([*_expand(prefix), *symbols, *[0] * _CHECKSUM_SYMBOLS]) ^ _CONSTANT
    tail = [(check >> _SYMBOL_BITS * (5 - at)) % 32 for at in range(_CHECKSUM_SYMBOLS)]
    return prefix + "1" + "".join(_ALPHABET[symbol] for symbol in [*symbols, *tail])


def decode(prefix: str, text: str) -> bytes:
    """Return the payload of `text`. Raises: BadAddress."""
    symbols = _symbols(prefix, text)
    body = symbols[:-_CHECKSUM_SYMBOLS]
    payload = bytes(_regroup(body, _SYMBOL_BITS, _BYTE_BITS))
    if encode(prefix, payload) != text.lower():
        raise BadAddress("padding bits are set")
    return payload


def _symbols(prefix: str, text: str) -> list[int]:
    if len(text) > _MAX_CHARACTERS or (text != text.lower() and text != text.upper()):
        raise BadAddress("too long, or upper and lower case mixed")
    head, mark, tail = text.lower().rpartition("1")
    if not mark or not head or head != prefix or len(tail) < _CHECKSUM_SYMBOLS:
        raise BadAddress(f"does not begin with {prefix}1")
    if any(letter not in _ALPHABET for letter in tail):
        raise BadAddress("has a character that bech32 does not use")
    symbols = [_ALPHABET.index(letter) for letter in tail]
    if _polymod([*_expand(head), *symbols]) != _CONSTANT:
        raise BadAddress("checksum does not match: mistyped?")
    return symbols


def _expand(prefix: str) -> list[int]:
    letters = prefix.encode("ascii")
    return [letter >> 5 for letter in letters] + [0] + [letter % 32 for letter in letters]


def _polymod(symbols: Iterable[int]) -> int:
    check = 1
    for symbol in symbols:
        top = check >> 25
        check = (check & 0x1FFFFFF) << _SYMBOL_BITS ^ symbol
        for at, term in enumerate(_GENERATOR):
            check ^= term if top >> at & 1 else 0
    return check


def _regroup(groups: Sequence[int], width: int, wanted: int) -> list[int]:
    """Return the complete groups of `wanted` bits; a rest is left out."""
    number = 0
    for group in groups:
        number = number << width | group
    count, rest = divmod(len(groups) * width, wanted)
    number >>= rest
    return [number >> wanted * (count - 1 - at) & (2**wanted - 1) for at in range(count)]
