from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import content
from dchat.client.core.content import Content, Kind, Receipt, Text, Undecryptable
from dchat.kernel.codec import CodecError, pack
from dchat.kernel.ids import AccountId, EpochMs

ALICE = AccountId(b"a" * 32)
BOB = AccountId(b"b" * 32)
ID = b"i" * 32
HELLO = Content(ALICE, BOB, ID, EpochMs(1_000), Text(b"c" * 32, "hello"))

ids = st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)
kinds = st.one_of(
    st.builds(Text, st.binary(min_size=32, max_size=32), st.text(max_size=50)),
    st.builds(Receipt, ids),
    st.builds(Undecryptable, ids, st.integers(0, 2**64 - 1)),
)


@given(kinds)
def test_what_is_encoded_is_decoded(kind: Kind) -> None:
    written = replace(HELLO, kind=kind)

    assert content.decode(content.encode(written)) == written


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_content_or_a_codec_error(data: bytes) -> None:
    try:
        read = content.decode(data)
    except CodecError:
        return
    assert content.encode(read) == data


def test_an_unknown_kind_is_refused() -> None:
    data = pack((1, (ALICE, BOB, ID, 0, (9, ()))))

    with pytest.raises(CodecError, match="kind 9"):
        content.decode(data)


def test_an_unknown_version_is_refused() -> None:
    data = pack((2, (ALICE, BOB, ID, 0, (1, ((),)))))

    with pytest.raises(CodecError, match="version 2"):
        content.decode(data)


def test_a_kind_without_fields_is_refused() -> None:
    with pytest.raises(CodecError):
        content.decode(pack((1, (ALICE, BOB, ID, 0, (1,)))))


def test_a_body_over_16_kib_is_refused() -> None:
    long = replace(HELLO, kind=Text(b"c" * 32, "x" * (content.MAX_BODY + 1)))

    with pytest.raises(CodecError):
        content.encode(long)


def test_a_body_of_16_kib_passes() -> None:
    long = replace(HELLO, kind=Text(b"c" * 32, "x" * content.MAX_BODY))

    assert content.decode(content.encode(long)) == long


def test_a_conversation_has_one_id_on_both_sides() -> None:
    assert content.conversation_id(ALICE, BOB) == content.conversation_id(BOB, ALICE)


def test_two_conversations_differ() -> None:
    assert content.conversation_id(ALICE, BOB) != content.conversation_id(ALICE, ALICE)


@pytest.mark.parametrize(
    "sent_at_ms",
    [
        10 * content.LIFE_MS - content.LIFE_MS - content.SKEW_MS,
        10 * content.LIFE_MS,
        10 * content.LIFE_MS + content.SKEW_MS,
    ],
)
def test_a_date_within_life_and_skew_passes(sent_at_ms: int) -> None:
    dated = replace(HELLO, sent_at_ms=EpochMs(sent_at_ms))

    content.check_date(dated, EpochMs(10 * content.LIFE_MS))


@pytest.mark.parametrize(
    "sent_at_ms",
    [
        10 * content.LIFE_MS - content.LIFE_MS - content.SKEW_MS - 1,
        10 * content.LIFE_MS + content.SKEW_MS + 1,
    ],
)
def test_a_date_beyond_life_and_skew_is_refused(sent_at_ms: int) -> None:
    dated = replace(HELLO, sent_at_ms=EpochMs(sent_at_ms))

    with pytest.raises(content.WrongDate):
        content.check_date(dated, EpochMs(10 * content.LIFE_MS))


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_an_id_is_remembered_for_as_long_as_its_message_would_pass(sent: int, now: int) -> None:
    dated = replace(HELLO, sent_at_ms=EpochMs(sent))

    try:
        content.check_date(dated, EpochMs(now))
    except content.WrongDate:
        return
    assert content.remember_until(dated) >= now
