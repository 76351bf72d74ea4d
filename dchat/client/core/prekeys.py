"""The keys a stranger needs to write to an account, bound to it by its account key.

A bundle is the one long-lived record: the chat chain holds its commitment, relays serve it.
One-time keys change hands by themselves, each signed by the Olm device key that the bundle vouches
for.

Signatures: the bundle by the account key over BUNDLE_DOMAIN and the canonical array of all other
fields; a one-time key by the device's Ed25519 key over ONE_TIME_DOMAIN, account id and key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from dchat.kernel import signing
from dchat.kernel.codec import U64, CodecError, Fixed, Record
from dchat.kernel.errors import ProtocolError
from dchat.kernel.ids import AccountId, EpochMs

VERSION: Final = 1
SEALING_KEY_BYTES: Final = 1216
"""An X-Wing public key: ML-KEM-768 encapsulation key (1184), then X25519 (32)."""
BUNDLE_DOMAIN: Final = b"dchat/prekeys/v1"
ONE_TIME_DOMAIN: Final = b"dchat/one-time-key/v1"
MAX_BUNDLE: Final = 2048
MAX_ONE_TIME_KEY: Final = 128


class BadPrekeys(ProtocolError):
    """Prekeys are not what the account signed or the chain committed to: somebody altered them."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Where an account's messages are sealed to, and from whom its own come.

    `identity_key` is the account's Ed25519 key, `device_key` Olm's Ed25519 key, `ratchet_key` and
    `fallback_key` Olm's Curve25519 identity and fallback keys, `sealing_key` an X-Wing public key.
    """

    version: int
    identity: AccountId
    identity_key: bytes
    device_key: bytes
    ratchet_key: bytes
    fallback_key: bytes
    sealing_key: bytes
    made_at_ms: EpochMs
    signature: bytes


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """A Curve25519 key that opens one session, signed by the device key."""

    key: bytes
    signature: bytes


_BUNDLE: Final = Record(
    Bundle,
    version=U64,
    identity=Fixed(32),
    identity_key=Fixed(32),
    device_key=Fixed(32),
    ratchet_key=Fixed(32),
    fallback_key=Fixed(32),
    sealing_key=Fixed(SEALING_KEY_BYTES),
    made_at_ms=U64,
    signature=Fixed(64),
)
_ONE_TIME_KEY: Final = Record(OneTimeKey, key=Fixed(32), signature=Fixed(64))
_UNSIGNED: Final = bytes(64)


def sign_bundle(unsigned: Bundle, account_seed: bytes) -> Bundle:
    """Return the bundle signed by the account key; the signature it had is not looked at."""
    signature = signing.sign(account_seed, BUNDLE_DOMAIN, _signed_bytes(unsigned))
    return _with_signature(unsigned, signature)


def renew_bundle(kept: bytes, identity_key: bytes, account_seed: bytes) -> bytes:
    """Return our own bundle as that account key vouches for it: the same bytes if it does already.

    The keys in it stay, so sessions and one-time keys do. Raises: BadPrekeys.
    """
    bundle = _decode_bundle(kept)
    if bundle.identity_key == identity_key:
        return kept
    return encode_bundle(sign_bundle(replace(bundle, identity_key=identity_key), account_seed))


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the bytes that relays serve and the chain's commitment is taken of."""
    return _BUNDLE.encode(bundle)


def commitment(bundle: bytes) -> bytes:
    """Return the chat chain's `prekey_hash` of an encoded bundle."""
    return sha256(b"dchat/prekey-hash/v1" + bundle).digest()


def open_bundle(
    served: bytes, identity: AccountId, identity_key: bytes, prekey_hash: bytes
) -> Bundle:
    """Return the bundle if it is the one that this account committed to on chain.

    `identity_key` and `prekey_hash` come from a proved chain record. Raises: BadPrekeys.
    """
    if commitment(served) != prekey_hash:
        raise BadPrekeys("the bundle served is not the one committed to on chain")
    bundle = _decode_bundle(served)
    if (bundle.identity, bundle.identity_key) != (identity, identity_key):
        raise BadPrekeys("the bundle names another account or key")
    _check_signature(identity_key, BUNDLE_DOMAIN, _signed_bytes(bundle), bundle.signature)
    return bundle


def encode_one_time_key(one_time_key: OneTimeKey) -> bytes:
    """Return the bytes that a relay hands to one writer."""
    return _ONE_TIME_KEY.encode(one_time_key)


def one_time_statement(identity: AccountId, key: bytes) -> bytes:
    """Return what the device key signs, behind ONE_TIME_DOMAIN, for a one-time key."""
    return identity + key


def open_one_time_key(served: bytes, bundle: Bundle) -> bytes:
    """Return the Curve25519 key if the bundle's device signed it. Raises: BadPrekeys."""
    try:
        one_time_key = _ONE_TIME_KEY.decode(served, MAX_ONE_TIME_KEY)
    except CodecError as fault:
        raise BadPrekeys(f"one-time key: {fault}") from None
    statement = one_time_statement(bundle.identity, one_time_key.key)
    _check_signature(bundle.device_key, ONE_TIME_DOMAIN, statement, one_time_key.signature)
    return one_time_key.key


def _check_signature(key: bytes, domain: bytes, statement: bytes, signature: bytes) -> None:
    try:
        signing.verify(key, domain, statement, signature)
    except signing.SignatureInvalid as fault:
        raise BadPrekeys(f"{domain.decode()}: {fault}") from None


def _decode_bundle(served: bytes) -> Bundle:
    try:
        bundle = _BUNDLE.decode(served, MAX_BUNDLE)
    except CodecError as fault:
        raise BadPrekeys(f"prekey bundle: {fault}") from None
    if bundle.version != VERSION:
        raise BadPrekeys(f"prekey bundle of unknown version {bundle.version}")
    return bundle


def _signed_bytes(bundle: Bundle) -> bytes:
    return _BUNDLE.encode(_with_signature(bundle, _UNSIGNED))


def _with_signature(bundle: Bundle, signature: bytes) -> Bundle:
    return replace(bundle, signature=signature)
