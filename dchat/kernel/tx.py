"""Transactions as bytes: a canonical envelope followed by its 64-byte signature.

    [kind 0, version 1, chain_id, sender, public_key, nonce, fee, cost_limit,
     valid_until_height, [type, field, …]]  ‖  Ed25519 signature

The signature covers `dchat/tx/v1` ‖ SHA-256(array). Kind 1 is a bundle of these (bundle.py).
Source: ADR 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import (
    BadSignature,
    MalformedTransaction,
    TransactionTooLarge,
    UnknownKind,
    UnknownVersion,
)
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, Height, Nonce, TxHash

DOMAIN: Final = b"dchat/tx/v1"
KIND: Final = 0
VERSION: Final = 1
MAX_TX_BYTES: Final = 64 * 1024
MAX_CHAIN_ID_BYTES: Final = 50


class _Body(codec.Shape[tuple[codec.Raw, ...]]):
    """`[type, field, …]`, judged by the family that the type names."""

    def lower(self, value: tuple[codec.Raw, ...]) -> codec.Raw:
        """Return the body as a list."""
        return list(value)

    def lift(self, raw: object) -> tuple[codec.Raw, ...]:
        """Return the body's parts. Raises: CodecError unless the first is an integer.

        The others are looked at by their family's shape alone: to walk 64 KiB of nested arrays
        here would take fifty times as long as their sender pays for.
        """
        parts = codec.as_array(raw)
        if not parts:
            raise codec.CodecError("empty body")
        codec.U64.lift(parts[0])
        return tuple(cast("Sequence[codec.Raw]", parts))


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who wants what, on which chain, for how much and until when."""

    chain_id: ChainId
    sender: AccountId
    public_key: bytes
    nonce: Nonce
    fee: Amount
    """Base units that the sender pays, whether the body is refused or not."""
    cost_limit: Cost
    """The most cost units that the transaction may use; block space is given out by it."""
    valid_until_height: Height
    """The last height at which the transaction may be included."""
    body: tuple[codec.Raw, ...]
    """`(type, field, …)`"""


_SHAPE: Final = codec.Record(
    Envelope,
    chain_id=codec.Text(MAX_CHAIN_ID_BYTES),
    sender=ACCOUNT_ID,
    public_key=codec.Fixed(signing.PUBLIC_KEY_BYTES),
    nonce=codec.U64,
    fee=codec.U64,
    cost_limit=codec.U64,
    valid_until_height=codec.U64,
    body=_Body(),
)


@dataclass(frozen=True, slots=True)
class SignedTx:
    """An envelope as it came over the wire; the signature is not checked yet."""

    envelope: Envelope
    digest: bytes
    """SHA-256 of the encoded envelope: what is signed."""
    signature: bytes = field(repr=False)
    size: int
    """Bytes on the wire, signature included."""


def build(envelope: Envelope, seed: bytes) -> bytes:
    """Return the transaction, signed with the key of a 32-byte seed. Raises: CodecError."""
    encoded = codec.pack([KIND, VERSION, *codec.as_values(_SHAPE.lower(envelope))])
    return encoded + signing.sign(seed, DOMAIN, hashlib.sha256(encoded).digest())


def decode(raw: bytes) -> SignedTx:
    """Return the transaction that raw encodes, unverified.

    Raises: TransactionTooLarge, MalformedTransaction, UnknownKind, UnknownVersion.
    """
    if len(raw) > MAX_TX_BYTES:
        raise TransactionTooLarge(size=len(raw), limit=MAX_TX_BYTES)
    encoded, signature = raw[: -signing.SIGNATURE_BYTES], raw[-signing.SIGNATURE_BYTES :]
    try:
        envelope = _SHAPE.lift(_strip_head(codec.unpack_array(encoded)))
    except codec.CodecError as fault:
        raise MalformedTransaction(str(fault)) from None
    return SignedTx(envelope, hashlib.sha256(encoded).digest(), signature, len(raw))


def _strip_head(parts: Sequence[object]) -> Sequence[object]:
    if not parts or codec.U64.lift(parts[0]) != KIND:
        raise UnknownKind(f"kind {parts[0] if parts else None}, known is {KIND}")
    if len(parts) == 1 or codec.U64.lift(parts[1]) != VERSION:
        raise UnknownVersion(f"version {parts[1] if parts[1:] else None}, known is {VERSION}")
    return parts[2:]


def verify(tx: SignedTx) -> None:
    """Return if the envelope's own key signed it. Raises: BadSignature."""
    try:
        signing.verify(tx.envelope.public_key, DOMAIN, tx.digest, tx.signature)
    except signing.SignatureInvalid:
        raise BadSignature("the signature is not this key's over this envelope") from None


def holds(tx: SignedTx) -> bool:
    """Tell whether the envelope's own key signed it."""
    try:
        verify(tx)
    except BadSignature:
        return False
    return True


def tx_hash(raw: bytes) -> TxHash:
    """Return the hash under which CometBFT indexes the transaction."""
    return TxHash(hashlib.sha256(raw).digest())
