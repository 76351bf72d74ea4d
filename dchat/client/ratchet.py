"""Olm accounts and sessions, each a thin typed coat over vodozemac.

An object here is a step of a ratchet in memory. Whoever moves one on commits `freeze()` to the
store *before* what came out of it leaves the machine: a step that is taken twice uses a message key
twice. Frozen ratchets are never part of a backup, for the same reason. A failed `read` leaves its
session as it was.
Source: Olm specification; ADR 6.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import vodozemac

from dchat.client.core import prekeys
from dchat.client.core.prekeys import OneTimeKey
from dchat.client.core.wrapping import PREKEY
from dchat.kernel.errors import ProtocolError
from dchat.kernel.ids import AccountId

ONE_TIME_KEYS: Final = 50
"""As many as vodozemac lets an account have unpublished at once."""


class Unreadable(ProtocolError):
    """The session does not decrypt this message: altered, replayed, or of another session."""


class Unusable(ProtocolError):
    """A key or a frozen ratchet is not what it must be."""


@dataclass(frozen=True, slots=True)
class OlmMessage:
    """What a session wrote: `type` is wrapping.PREKEY until the other side has answered."""

    type: int
    body: bytes = field(repr=False)


class _Fallback(Protocol):
    """What vodozemac has but its stubs lack."""

    @property
    def fallback_key(self) -> Mapping[str, vodozemac.Curve25519PublicKey]:
        """The unpublished fallback key, by key id."""
        ...

    def generate_fallback_key(self) -> None:
        """Make a new one; the one before stays readable."""
        ...


class Session:
    """A ratchet with one device of one other account."""

    def __init__(self, olm: vodozemac.Session) -> None:
        self._olm = olm

    @classmethod
    def thaw(cls, frozen: str, pickle_key: bytes) -> Session:
        """Return the session as it was frozen. Raises: Unusable."""
        try:
            return cls(vodozemac.Session.from_pickle(frozen, pickle_key))
        except ValueError as fault:
            raise Unusable(f"session: {fault}") from None

    def freeze(self, pickle_key: bytes) -> str:
        """Return the session's present step, encrypted, for the store."""
        return self._olm.pickle(pickle_key)

    @property
    def id(self) -> str:
        """The same on both sides and never of another session."""
        return self._olm.session_id

    def write(self, plaintext: bytes) -> OlmMessage:
        """Return the next message; the step is taken."""
        return OlmMessage(*self._olm.encrypt(plaintext).to_parts())

    def read(self, message: OlmMessage) -> bytes:
        """Return the plaintext; the step is taken. Raises: Unreadable, and then none is."""
        try:
            return self._olm.decrypt(_any_message(message))
        except ValueError as fault:
            raise Unreadable(str(fault)) from None

    def began_with(self, message: OlmMessage) -> bool:
        """Tell whether a prekey message belongs to this session. Raises: Unreadable."""
        return self._olm.session_matches(_prekey_message(message))


class Account:
    """This device's long-term keys and the one-time keys it has given out."""

    def __init__(self, olm: vodozemac.Account) -> None:
        self._olm = olm

    @classmethod
    def create(cls) -> Account:
        """Return a new device; its fallback key is made."""
        account = cls(vodozemac.Account())
        cast("_Fallback", account._olm).generate_fallback_key()
        return account

    @classmethod
    def thaw(cls, frozen: str, pickle_key: bytes) -> Account:
        """Return the account as it was frozen. Raises: Unusable."""
        try:
            return cls(vodozemac.Account.from_pickle(frozen, pickle_key))
        except ValueError as fault:
            raise Unusable(f"account: {fault}") from None

    def freeze(self, pickle_key: bytes) -> str:
        """Return the account's present state, encrypted, for the store."""
        return self._olm.pickle(pickle_key)

    @property
    def device_key(self) -> bytes:
        """The Ed25519 key that signs one-time keys, 32 bytes."""
        return _unbase64(self._olm.ed25519_key.to_base64())

    @property
    def ratchet_key(self) -> bytes:
        """The Curve25519 identity key, 32 bytes."""
        return self._olm.curve25519_key.to_bytes()

    @property
    def fallback_key(self) -> bytes | None:
        """The Curve25519 fallback key, while `mark_published` has not been called."""
        keys = cast("_Fallback", self._olm).fallback_key
        return next((key.to_bytes() for key in keys.values()), None)

    def one_time_keys(self, identity: AccountId, count: int) -> tuple[bytes, ...]:
        """Return the unpublished one-time keys, signed and encoded, at least `count` (up to 50).

        The same ones come again until `mark_published`, so a lost answer costs none.
        """
        missing = min(count, ONE_TIME_KEYS) - len(self._olm.one_time_keys)
        if missing > 0:
            self._olm.generate_one_time_keys(missing)
        keys = [key.to_bytes() for key in self._olm.one_time_keys.values()]
        return tuple([self._signed(identity, key) for key in sorted(keys)])

    def mark_published(self) -> None:
        """From now on no key that was shown so far is shown again."""
        self._olm.mark_keys_as_published()

    def start(self, ratchet_key: bytes, one_time_key: bytes) -> Session:
        """Return a new session towards a device, opened with one of its keys. Raises: Unusable."""
        try:
            return Session(
                self._olm.create_outbound_session(
                    vodozemac.Curve25519PublicKey.from_bytes(ratchet_key),
                    vodozemac.Curve25519PublicKey.from_bytes(one_time_key),
                )
            )
        except ValueError as fault:
            raise Unusable(f"the other device's keys: {fault}") from None

    def accept(self, ratchet_key: bytes, message: OlmMessage) -> tuple[Session, bytes]:
        """Return the session that a device began with us, and the plaintext it came with.

        The one-time key it used is gone from the account. Raises: Unreadable.
        """
        try:
            sender = vodozemac.Curve25519PublicKey.from_bytes(ratchet_key)
            session, plaintext = self._olm.create_inbound_session(sender, _prekey_message(message))
        except ValueError as fault:
            raise Unreadable(str(fault)) from None
        return Session(session), plaintext

    def _signed(self, identity: AccountId, key: bytes) -> bytes:
        statement = prekeys.ONE_TIME_DOMAIN + prekeys.one_time_statement(identity, key)
        signature = _unbase64(self._olm.sign(statement).to_base64())
        return prekeys.encode_one_time_key(OneTimeKey(key, signature))


def _any_message(message: OlmMessage) -> vodozemac.AnyOlmMessage:
    try:
        return vodozemac.AnyOlmMessage.from_parts(message.type, message.body)
    except (ValueError, OverflowError) as fault:
        raise Unreadable(str(fault)) from None


def _prekey_message(message: OlmMessage) -> vodozemac.PreKeyMessage:
    prekey = _any_message(message).to_pre_key() if message.type == PREKEY else None
    if prekey is None:
        raise Unreadable("not a message that begins a session")
    return prekey


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
