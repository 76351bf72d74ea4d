from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import wrapping
from dchat.client.core.wrapping import Wrapped
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import AccountId
from relay.core.envelope import SIZE_CLASSES

OVERHEAD = 1136


def written(body: bytes) -> Wrapped:
    return Wrapped(1, AccountId(b"a" * 32), b"d" * 32, wrapping.PREKEY, body)


@given(st.integers(0, 60_000))
def test_every_message_meets_a_size_class_exactly(size: int) -> None:
    wrapped = wrapping.wrap(written(bytes(size)), OVERHEAD)

    assert len(wrapped) + OVERHEAD in SIZE_CLASSES


@given(st.binary(max_size=3_000))
def test_what_is_wrapped_is_unwrapped(body: bytes) -> None:
    assert wrapping.unwrap(wrapping.wrap(written(body), OVERHEAD)) == written(body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_a_codec_error(data: bytes) -> None:
    try:
        wrapping.unwrap(data)
    except CodecError:
        return


def test_padding_that_is_not_zero_is_refused() -> None:
    wrapped = wrapping.wrap(written(b"body"), OVERHEAD)

    with pytest.raises(CodecError, match="padding"):
        wrapping.unwrap(wrapped[:-1] + b"\x01")


def test_a_size_beyond_the_end_is_refused() -> None:
    with pytest.raises(CodecError, match="padding"):
        wrapping.unwrap((2**31).to_bytes(4, "big") + bytes(100))


def test_an_olm_type_of_neither_kind_is_refused() -> None:
    odd = Wrapped(1, AccountId(b"a" * 32), b"d" * 32, 2, b"body")

    with pytest.raises(CodecError, match="form"):
        wrapping.unwrap(wrapping.wrap(odd, OVERHEAD))


def test_a_message_above_the_largest_class_is_refused() -> None:
    with pytest.raises(CodecError, match="size class"):
        wrapping.wrap(written(bytes(SIZE_CLASSES[-1])), OVERHEAD)
