"""Bundles: many transactions carried as one of CometBFT's, each judged and charged on its own.

    [kind 1, version 1, [transaction, …]]         1 to 100 of them, 64 KiB all together
    [[code, cost used], …]                        the data of its result, in the same order

A bundle has no sender, nonce, fee or signature: whoever puts it together can neither change what it
carries nor make it dearer. None carries another bundle.
Source: ADR 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dchat.kernel import codec
from dchat.kernel.errors import MalformedTransaction, TransactionTooLarge, UnknownVersion
from dchat.kernel.ids import Cost
from dchat.kernel.tx import MAX_TX_BYTES

KIND: Final = 1
VERSION: Final = 1
MAX_CARRIED: Final = 100
"""CometBFT may hold 256 requests in front of a Commit: 1.5 s of signatures, if each is a bundle."""
_PARTS: Final = 3
_HEAD: Final = codec.pack([KIND, VERSION, []])[:2]
"""An array of three of which the first is the kind."""


@dataclass(frozen=True, slots=True)
class Did:
    """What became of one of the carried transactions, as far as consensus hashes it."""

    code: int
    cost_used: Cost


_CARRIED: Final = codec.ListOf(codec.Blob(MAX_TX_BYTES, 1), MAX_CARRIED)
_RESULTS: Final = codec.ListOf(codec.Record(Did, code=codec.U64, cost_used=codec.U64), MAX_CARRIED)


def build(raws: Sequence[bytes]) -> bytes:
    """Return the bundle that carries these in this order. Raises: as decode(), CodecError."""
    packed = codec.pack([KIND, VERSION, _CARRIED.lower(tuple(raws))])
    decode(packed)
    return packed


def decode(raw: bytes) -> tuple[bytes, ...]:
    """Return what the bundle carries.

    Raises: TransactionTooLarge, UnknownVersion, MalformedTransaction.
    """
    if len(raw) > MAX_TX_BYTES:
        raise TransactionTooLarge(size=len(raw), limit=MAX_TX_BYTES)
    try:
        return _lift(codec.unpack_array(raw))
    except codec.CodecError as fault:
        raise MalformedTransaction(f"bundle: {fault}") from None


def _lift(parts: Sequence[object]) -> tuple[bytes, ...]:
    if len(parts) != _PARTS or codec.U64.lift(parts[0]) != KIND:
        raise MalformedTransaction("bundle: not [1, 1, [transaction, …]]")
    if codec.U64.lift(parts[1]) != VERSION:
        raise UnknownVersion(f"version {parts[1]} of bundles, known is {VERSION}")
    found = _CARRIED.lift(parts[2])
    if not found:
        raise MalformedTransaction("bundle: it carries nothing")
    return found


def carried(raw: bytes) -> tuple[bytes, ...]:
    """Return what a well-formed bundle carries; anything else carries itself alone."""
    if not raw.startswith(_HEAD):
        return (raw,)
    try:
        return decode(raw)
    except (TransactionTooLarge, UnknownVersion, MalformedTransaction):
        return (raw,)


def is_bundle(raw: bytes) -> bool:
    """Tell whether raw would be a bundle, if it were well formed."""
    return raw.startswith(_HEAD)


def refuse(raw: bytes) -> None:
    """Return if raw may be an envelope.

    Raises: MalformedTransaction where it is a bundle, for one that is looked at as an envelope is
    carried by another; as decode() where it is not even that.
    """
    if is_bundle(raw):
        decode(raw)
        raise MalformedTransaction("a bundle within a bundle")


def encode_results(results: Sequence[Did]) -> bytes:
    """Return the data that tells what became of each carried transaction."""
    return _RESULTS.encode(tuple(results))


def decode_results(data: bytes) -> tuple[Did, ...]:
    """Return what the data of a bundle's result tells. Raises: CodecError."""
    return _RESULTS.decode(data)
