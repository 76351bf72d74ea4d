"""Client and relay's messages as canonical arrays `[type, request_id, fields...]`.

A client numbers its requests as it likes; the answer carries the same `request_id`. Requests may be
pipelined up to `Hello.max_in_flight`, and answers to different requests may come in any order. The
relay speaks first, with Hello; Mail comes unasked after a Watch, with the Watch's request id.

Request          Answer (or Refused)
Deposit          Custody     the envelope is on the relay's disk
Pull             Page        the first items after `cursor`; an empty page needs no ack
Ack              Acked       the page's items are gone from the relay's disk
Watch            Watching    then Mail: at once if mail is waiting, later once per Pull
PutPrekeys       Stored      the bundle replaced the one before
PutOneTimeKeys   Stored
GetPrekeys       Prekeys
TakeOneTimeKey   OneTimeKey  nobody else will be given this key
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from dchat.kernel.codec import (
    U64,
    AnyShape,
    Blob,
    Bool,
    CodecError,
    Fixed,
    ListOf,
    Raw,
    Record,
    Text,
    as_array,
    pack,
    unpack,
)
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core.access import ACCESS, Access
from relay.core.envelope import ENVELOPE, MAX_CIPHERTEXT_BYTES, RECEIPT, Envelope, Receipt

PROTOCOL: Final = "/dchat/relay/1"
"""The libp2p protocol of the streams that carry these messages."""

MAX_MESSAGE_BYTES: Final = 128 * 1024
MAX_PAGE_ITEMS: Final = 64
MAX_PAGE_BYTES: Final = 96 * 1024
"""Ciphertext in one page; one item of the largest class always fits."""

MAX_BUNDLE_BYTES: Final = 8 * 1024
MAX_ONE_TIME_KEY_BYTES: Final = 2 * 1024
MAX_KEYS_PER_PUT: Final = 32
MAX_DETAIL_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class Hello:
    """The relay's first message of a session; `request_id` is 0.

    `relay_peer_id` must be that of the Noise session, or the client hangs up. `challenge` is 32
    fresh bytes; with the peer id it makes the `access.SessionId` that signatures are bound to.
    """

    request_id: int
    relay_peer_id: bytes
    challenge: bytes
    now_ms: EpochMs
    max_message_age_ms: int
    max_in_flight: int
    max_one_time_keys: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """Keep this envelope. Repeating it with the same message id is harmless."""

    request_id: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Custody:
    """The envelope is on disk; `receipt` proves that the relay said so."""

    request_id: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Refused:
    """The request changed nothing; `code` is a `refusals.Refusal.value`, or one this version lacks.

    `retry_after_ms` is 0 where the relay cannot say how long to wait, or waiting is no cure.
    """

    request_id: int
    code: int
    detail: str
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Pull:
    """Give the items after `cursor` (0 = from the oldest). `access` is for Purpose.PULL."""

    request_id: int
    access: Access
    cursor: int
    limit: int


@dataclass(frozen=True, slots=True)
class Item:
    """One envelope of a page. Its receiver drops message ids it has already handled."""

    message_id: bytes
    expires_at_ms: EpochMs
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Items in order of arrival. Until acked as a whole, no further page of the mailbox follows.

    `next_cursor` goes into the next Pull. `more`: items were waiting behind this page.
    """

    request_id: int
    mailbox_id: bytes
    page_id: int
    items: tuple[Item, ...]
    next_cursor: int
    more: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """The page is dealt with: every item is named once, as acked or (undecryptable) as nacked."""

    request_id: int
    mailbox_id: bytes
    page_id: int
    acked: tuple[bytes, ...]
    nacked: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Acked:
    """The page's items are deleted for good; the next page may be pulled."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Say when mail arrives, for as long as the session lives. `access` is for Purpose.WATCH."""

    request_id: int
    access: Access


@dataclass(frozen=True, slots=True)
class Watching:
    """The watch is set."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Mail:
    """Mail waits in a watched mailbox; said once until that mailbox is pulled again."""

    request_id: int
    mailbox_id: bytes


@dataclass(frozen=True, slots=True)
class PutPrekeys:
    """Serve this bundle to whoever asks. `access`: PUT_PREKEYS, epoch 0, subject_of((bundle,))."""

    request_id: int
    access: Access
    bundle: bytes


@dataclass(frozen=True, slots=True)
class PutOneTimeKeys:
    """Add keys, each to be given away once. `access`: PUT_ONE_TIME_KEYS, epoch 0, subject_of(keys).

    A key that is or was stored before is not added again.
    """

    request_id: int
    access: Access
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What was put is on disk. `one_time_keys` are now left to give away."""

    request_id: int
    one_time_keys: int


@dataclass(frozen=True, slots=True)
class GetPrekeys:
    """Give the bundle of an inbox key."""

    request_id: int
    inbox_key: bytes


@dataclass(frozen=True, slots=True)
class Prekeys:
    """The bundle as it was put; its hash is to be compared with the chain's."""

    request_id: int
    bundle: bytes


@dataclass(frozen=True, slots=True)
class TakeOneTimeKey:
    """Give one key of an inbox key away to me."""

    request_id: int
    inbox_key: bytes


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """A key as it was put; the relay has deleted it, durably, before sending it."""

    request_id: int
    key: bytes


Request = Deposit | Pull | Ack | Watch | PutPrekeys | PutOneTimeKeys | GetPrekeys | TakeOneTimeKey
Answer = Hello | Custody | Refused | Page | Acked | Watching | Mail | Stored | Prekeys | OneTimeKey
Message = Request | Answer


def _shape(make: type[Message], **shapes: AnyShape) -> tuple[type[Message], Record[Message]]:
    return make, Record(make, request_id=U64, **shapes)


_ID: Final = Fixed(32)
_IDS: Final = ListOf(_ID, MAX_PAGE_ITEMS)
_ONE_TIME_KEY: Final = Blob(MAX_ONE_TIME_KEY_BYTES, least=1)
_ITEM: Final = Record(
    Item, message_id=_ID, expires_at_ms=U64, ciphertext=Blob(MAX_CIPHERTEXT_BYTES)
)

_SHAPES: Final[Mapping[int, tuple[type[Message], Record[Message]]]] = {
    1: _shape(
        Hello,
        relay_peer_id=Blob(64),
        challenge=_ID,
        now_ms=U64,
        max_message_age_ms=U64,
        max_in_flight=U64,
        max_one_time_keys=U64,
    ),
    2: _shape(Deposit, envelope=ENVELOPE),
    3: _shape(Custody, receipt=RECEIPT),
    4: _shape(Refused, code=U64, detail=Text(MAX_DETAIL_BYTES), retry_after_ms=U64),
    5: _shape(Pull, access=ACCESS, cursor=U64, limit=U64),
    6: _shape(
        Page,
        mailbox_id=_ID,
        page_id=U64,
        items=ListOf(_ITEM, MAX_PAGE_ITEMS),
        next_cursor=U64,
        more=Bool,
    ),
    7: _shape(Ack, mailbox_id=_ID, page_id=U64, acked=_IDS, nacked=_IDS),
    8: _shape(Acked),
    9: _shape(Watch, access=ACCESS),
    10: _shape(Watching),
    11: _shape(Mail, mailbox_id=_ID),
    12: _shape(PutPrekeys, access=ACCESS, bundle=Blob(MAX_BUNDLE_BYTES, least=1)),
    13: _shape(PutOneTimeKeys, access=ACCESS, keys=ListOf(_ONE_TIME_KEY, MAX_KEYS_PER_PUT)),
    14: _shape(Stored, one_time_keys=U64),
    15: _shape(GetPrekeys, inbox_key=_ID),
    16: _shape(Prekeys, bundle=Blob(MAX_BUNDLE_BYTES, least=1)),
    17: _shape(TakeOneTimeKey, inbox_key=_ID),
    18: _shape(OneTimeKey, key=_ONE_TIME_KEY),
}
"""Message types; a number is never given away again."""

_TYPES: Final[Mapping[type, int]] = {cls: number for number, (cls, _) in _SHAPES.items()}


def encode(message: Message) -> bytes:
    """Return the one encoding of a message. Raises: CodecError if a field is out of bounds."""
    number = _TYPES[type(message)]
    _, shape = _SHAPES[number]
    return pack((number, *cast("list[Raw]", shape.lower(message))))


def decode_request(body: bytes) -> Request:
    """Return what a client asks. Raises: RemoteProtocolError."""
    message = decode(body)
    if not isinstance(message, Request):
        raise RemoteProtocolError(f"{type(message).__name__} is not for clients to send")
    return message


def decode_answer(body: bytes) -> Answer:
    """Return what a relay says. Raises: RemoteProtocolError."""
    message = decode(body)
    if not isinstance(message, Answer):
        raise RemoteProtocolError(f"{type(message).__name__} is not for relays to send")
    return message


def decode(body: bytes) -> Message:
    """Return the message that body encodes. Raises: RemoteProtocolError."""
    try:
        number, *fields = as_array(unpack(body, MAX_MESSAGE_BYTES))
    except (CodecError, ValueError) as fault:
        raise RemoteProtocolError(f"not a message: {fault}") from None
    if type(number) is not int or number not in _SHAPES:
        raise RemoteProtocolError("unknown message type")
    try:
        return _SHAPES[number][1].lift(fields)
    except CodecError as fault:
        raise RemoteProtocolError(f"{_SHAPES[number][0].__name__}: {fault}") from None
