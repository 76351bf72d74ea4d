"""What two people say to each other: plaintexts before the ratchet, in one encoding each.

Layout: canonical array `[version, [sender, recipient, id, sent_at_ms, [kind, fields]]]` where
`fields` is the array of the kind's own record. Sender and recipient stand inside the authenticated
plaintext so that a message cannot be replayed to somebody else, nor under another name, even by
the person it was written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

from dchat.client.core.conversation import MENDED_BY_REKEY
from dchat.kernel.codec import U64, CodecError, Fixed, ListOf, Raw, Record, Shape, as_array
from dchat.kernel.codec import Text as Utf8
from dchat.kernel.errors import ProtocolError
from dchat.kernel.ids import AccountId, EpochMs

VERSION: Final = 1
MAX_BODY: Final = 16 * 1024
MAX_IDS: Final = 256
MAX_CONTENT: Final = 24 * 1024
LIFE_MS: Final = 6 * 24 * 3600 * 1000
"""Nothing is delivered later than this after it was written.

A day below the relays' usual `max_message_age`, so that a clock running ahead is no hindrance.
"""
SKEW_MS: Final = 24 * 3600 * 1000
"""How far apart two people's clocks may be before a message is refused for its date."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words for a conversation. `body` is at most 16 KiB of UTF-8."""

    conversation: bytes
    body: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The sender's device has decrypted and stored these messages."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """The sender's device could not open these envelopes; write them again in a new session.

    `reason` is a number of `Fault`; one that is not known to a release means MALFORMED.
    """

    envelope_ids: tuple[bytes, ...]
    reason: int


Kind = Text | Receipt | Undecryptable


@dataclass(frozen=True, slots=True)
class Content:
    """One message from one account to one account. `id` is 32 bytes and unique to its writer."""

    sender: AccountId
    recipient: AccountId
    id: bytes
    sent_at_ms: EpochMs
    kind: Kind


class WrongDate(ProtocolError):
    """The message is too old or too far in the future to be told from a replay."""


class _KindShape(Shape[Kind]):
    def lower(self, value: Kind) -> Raw:
        number = _NUMBERS[type(value)]
        return [number, _FIELDS[number].lower(value)]

    def lift(self, raw: object) -> Kind:
        parts = as_array(raw)
        if len(parts) != 2:  # noqa: PLR2004  # [kind, fields]
            raise CodecError("a kind of content is a number and its fields")
        number = U64.lift(parts[0])
        if number not in _FIELDS:
            raise CodecError(f"content kind {number} is unknown to this release")
        return _FIELDS[number].lift(parts[1])


_IDS: Final = ListOf(Fixed(32), MAX_IDS)
_FIELDS: Final[Mapping[int, Shape[Kind]]] = {
    0: cast("Shape[Kind]", Record(Text, conversation=Fixed(32), body=Utf8(MAX_BODY))),
    1: cast("Shape[Kind]", Record(Receipt, ids=_IDS)),
    2: cast("Shape[Kind]", Record(Undecryptable, envelope_ids=_IDS, reason=U64)),
}
_NUMBERS: Final[Mapping[type[Kind], int]] = {Text: 0, Receipt: 1, Undecryptable: 2}
_CONTENT: Final = Record(
    Content, sender=Fixed(32), recipient=Fixed(32), id=Fixed(32), sent_at_ms=U64, kind=_KindShape()
)


@dataclass(frozen=True, slots=True)
class _Versioned:
    version: int
    content: Content


_VERSIONED: Final = Record(_Versioned, version=U64, content=_CONTENT)


def encode(content: Content) -> bytes:
    """Return the plaintext of content. Raises: CodecError if a field is out of bounds."""
    return _VERSIONED.encode(_Versioned(VERSION, content))


def decode(plaintext: bytes) -> Content:
    """Return the content in a decrypted message. Raises: CodecError."""
    versioned = _VERSIONED.decode(plaintext, MAX_CONTENT)
    if versioned.version != VERSION:
        raise CodecError(f"content version {versioned.version} is unknown to this release")
    return versioned.content


def opens_session(content: Content) -> bool:
    """Tell whether the content must go out in a new session: it says that the last one broke."""
    return isinstance(content.kind, Undecryptable) and content.kind.reason in MENDED_BY_REKEY


def message_id(sender: AccountId, entropy: bytes) -> bytes:
    """Return the id of a new message; `entropy` is 32 fresh random bytes."""
    return sha256(b"dchat/message/v1" + sender + entropy).digest()


def conversation_id(one: AccountId, other: AccountId) -> bytes:
    """Return the id that two accounts' talk has on both sides."""
    return sha256(b"dchat/conversation/v1" + min(one, other) + max(one, other)).digest()


def expires_at_ms(sent_at_ms: EpochMs) -> EpochMs:
    """Return when a message written then is no longer delivered."""
    return EpochMs(sent_at_ms + LIFE_MS)


def check_date(content: Content, now_ms: EpochMs) -> None:
    """Pass if the message's date lets a replay be told by its id. Raises: WrongDate.

    Ids are remembered until `remember_until`: what is older than that is refused here.
    """
    if content.sent_at_ms > now_ms + SKEW_MS or remember_until(content) < now_ms:
        raise WrongDate(f"dated {content.sent_at_ms}, now {now_ms}")


def remember_until(content: Content) -> EpochMs:
    """Return until when the message's id must be remembered so that no replay gets through."""
    return EpochMs(expires_at_ms(content.sent_at_ms) + SKEW_MS)
