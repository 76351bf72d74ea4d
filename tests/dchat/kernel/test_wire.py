"""Hand-made protobuf equals what the protobuf runtime makes."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import wire


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_varint_field_is_that_of_the_runtime(value: int) -> None:
    assert wire.varint_field(1, value) == Int64Value(value=value).SerializeToString()


@given(st.integers(0, 2**64 - 1))
def test_unsigned_varint_field_is_that_of_the_runtime(value: int) -> None:
    assert wire.varint_field(1, value) == UInt64Value(value=value).SerializeToString()


@given(st.binary(max_size=300))
def test_bytes_field_is_that_of_the_runtime(value: bytes) -> None:
    assert wire.bytes_field(1, value) == BytesValue(value=value).SerializeToString()


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
def test_timestamp_is_that_of_the_runtime(seconds: int, nanos: int) -> None:
    made = wire.timestamp(seconds * wire.NS_PER_SECOND + nanos)

    assert made == Timestamp(seconds=seconds, nanos=nanos).SerializeToString()


def test_empty_message_is_written() -> None:
    assert wire.message_field(2, b"") == b"\x12\x00"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b""), (1, b"\x11\x01" + bytes(7)), (-1, b"\x11" + b"\xff" * 8)],
)
def test_fixed_field_is_little_endian_and_left_out_at_zero(value: int, encoded: bytes) -> None:
    assert wire.sfixed64_field(2, value) == encoded


def test_field_numbers_above_fifteen_take_two_bytes_of_tag() -> None:
    assert wire.varint_field(16, 1) == b"\x80\x01\x01"


@given(st.binary(max_size=300))
def test_delimited_message_stands_behind_its_length(message: bytes) -> None:
    assert wire.delimited(message) == wire.uvarint(len(message)) + message
