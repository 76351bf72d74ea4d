from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel.codec import pack
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core.access import Access
from relay.core.envelope import SIZE_CLASSES, Envelope, Receipt
from relay.core.messages import (
    MAX_KEYS_PER_PUT,
    MAX_MESSAGE_BYTES,
    MAX_ONE_TIME_KEY_BYTES,
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    Ack,
    Acked,
    Custody,
    Deposit,
    GetPrekeys,
    Hello,
    Item,
    Mail,
    Message,
    OneTimeKey,
    Page,
    Prekeys,
    Pull,
    PutOneTimeKeys,
    PutPrekeys,
    Refused,
    Stored,
    TakeOneTimeKey,
    Watch,
    Watching,
    decode,
    decode_answer,
    decode_request,
    encode,
)
from relay.core.refusals import Refusal

ACCESS = Access(b"k" * 32, 7, b"s" * 64)
ENVELOPE = Envelope(b"m" * 32, b"i" * 32, EpochMs(99), 0, bytes(SIZE_CLASSES[0]))
RECEIPT = Receipt(b"m" * 32, b"i" * 32, b"h" * 32, 0, EpochMs(99), EpochMs(5), b"s" * 64)

EVERY = (
    Hello(0, b"p" * 38, b"c" * 32, EpochMs(5), 9, 64, 100),
    Deposit(1, ENVELOPE),
    Custody(1, RECEIPT),
    Refused(1, Refusal.QUEUE_FULL.value, "full", 0),
    Pull(2, ACCESS, 0, 64),
    Page(2, b"m" * 32, 1, (Item(b"i" * 32, EpochMs(99), b"c"),), 8, more=True),
    Ack(3, b"m" * 32, 1, (b"i" * 32,), ()),
    Acked(3),
    Watch(4, ACCESS),
    Watching(4),
    Mail(4, b"m" * 32),
    PutPrekeys(5, ACCESS, b"bundle"),
    PutOneTimeKeys(6, ACCESS, (b"key",)),
    Stored(6, 1),
    GetPrekeys(7, b"k" * 32),
    Prekeys(7, b"bundle"),
    TakeOneTimeKey(8, b"k" * 32),
    OneTimeKey(8, b"key"),
)

LARGEST = (
    Page(
        2**64 - 1,
        b"m" * 32,
        2**64 - 1,
        (Item(b"i" * 32, EpochMs(2**64 - 1), bytes(MAX_PAGE_BYTES // MAX_PAGE_ITEMS)),)
        * MAX_PAGE_ITEMS,
        2**64 - 1,
        more=True,
    ),
    PutOneTimeKeys(2**64 - 1, ACCESS, (bytes(MAX_ONE_TIME_KEY_BYTES),) * MAX_KEYS_PER_PUT),
)


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_the_largest_messages_fit_into_a_frame(message: Message) -> None:
    assert len(encode(message)) <= MAX_MESSAGE_BYTES


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_message_or_the_peers_fault(body: bytes) -> None:
    with suppress(RemoteProtocolError):
        assert encode(decode(body)) == body


@given(
    st.integers(0, 20),
    st.lists(st.integers(0, 2**64 - 1) | st.binary(max_size=80) | st.text(max_size=9), max_size=8),
)
def test_arbitrary_fields_are_a_message_or_the_peers_fault(
    number: int, fields: list[int | bytes | str]
) -> None:
    with suppress(RemoteProtocolError):
        decode(pack((number, *fields)))


@pytest.mark.parametrize("body", [b"", b"\x90", pack((0, 1)), pack((19, 1)), pack((True, 1))])
def test_a_body_without_a_known_type_is_the_peers_fault(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(body)


def test_a_body_over_the_bound_is_the_peers_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="limit 131072"):
        decode(bytes(MAX_MESSAGE_BYTES + 1))


def test_an_answer_is_not_taken_as_a_request() -> None:
    with pytest.raises(RemoteProtocolError, match="Acked is not for clients"):
        decode_request(encode(Acked(1)))


def test_a_request_is_not_taken_as_an_answer() -> None:
    with pytest.raises(RemoteProtocolError, match="Watch is not for relays"):
        decode_answer(encode(Watch(1, ACCESS)))
