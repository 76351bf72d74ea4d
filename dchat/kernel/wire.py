"""The few protobuf encodings that CometBFT hashes and signs, written out by hand.

Fields with their default value are left out, as proto3 does; messages are always written.
Field layout: `tag | value`, tag = number << 3 | wire type (0 varint, 1 64-bit, 2 length first).

Source: protobuf encoding specification; CometBFT spec/core/encoding.md.
"""

from __future__ import annotations

from typing import Final

NS_PER_SECOND: Final = 1_000_000_000

_VARINT: Final = 0
_SFIXED64: Final = 1
_LENGTH_FIRST: Final = 2
_MORE: Final = 0x80
_MASK64: Final = 2**64 - 1


def uvarint(value: int) -> bytes:
    """Return value, 0 to 2^64 - 1, as little-endian groups of 7 bits."""
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_field(number: int, value: int) -> bytes:
    """Return an int64, uint64 or enum field; negative values take ten bytes."""
    return _tag(number, _VARINT) + uvarint(value & _MASK64) if value else b""


def sfixed64_field(number: int, value: int) -> bytes:
    """Return a signed 64-bit little-endian field."""
    return _tag(number, _SFIXED64) + value.to_bytes(8, "little", signed=True) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a bytes or string field."""
    return message_field(number, value) if value else b""


def message_field(number: int, message: bytes) -> bytes:
    """Return an embedded message, present even where it is empty."""
    return _tag(number, _LENGTH_FIRST) + delimited(message)


def delimited(message: bytes) -> bytes:
    """Return message behind its length."""
    return uvarint(len(message)) + message


def timestamp(time_ns: int) -> bytes:
    """Return a google.protobuf.Timestamp of nanoseconds since the epoch, also before it."""
    seconds, nanos = divmod(time_ns, NS_PER_SECOND)
    return varint_field(1, seconds) + varint_field(2, nanos)


def _tag(number: int, wire_type: int) -> bytes:
    return uvarint(number << 3 | wire_type)
