from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import codec
from dchat.kernel.codec import CodecError


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    keys: tuple[bytes, ...]


PAIR = codec.Record(Pair, name=codec.Text(8), keys=codec.ListOf(codec.Fixed(2), 3))

values = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def nested(depth: int) -> codec.Raw:
    return [nested(depth - 1)] if depth else 0


@given(values)
def test_what_is_packed_comes_back(value: codec.Raw) -> None:
    assert codec.unpack(codec.pack(value)) == value


@given(st.binary(max_size=60))
def test_accepted_bytes_are_the_one_encoding_of_their_value(data: bytes) -> None:
    with suppress(CodecError):
        assert codec.pack(codec.unpack(data)) == data


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_record_or_a_codec_error(data: bytes) -> None:
    with suppress(CodecError):
        assert PAIR.encode(PAIR.decode(data)) == data


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_packed_integers_sort_like_numbers(left: int, right: int) -> None:
    assert (codec.pack(left) < codec.pack(right)) == (left < right)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xcc\x05", "integer longer than needed"),
        (b"\xcd\x00\x05", "integer longer than needed"),
        (b"\xd9\x01a", "text header longer than needed"),
        (b"\xc5\x00\x01a", "bytes header longer than needed"),
        (b"\xdc\x00\x01\x05", "array header longer than needed"),
        (b"\xff", "negative"),
        (b"\xd3" + b"\xff" * 8, "negative"),
        (b"\xc0", "nil"),
        (b"\xcb" + bytes(8), "float"),
        (b"\xca" + bytes(4), "float"),
        (b"\x80", "map"),
        (b"\x81\xa1a\x01", "map"),
        (b"\x81\x90\x01", "map with an array as key"),
        (b"\xd4\x05\x00", "extension"),
        (b"\xd6\xff\x00\x00\x00\x00", "timestamp"),
        (b"\xc1", "never used"),
        (b"\xa1\xff", "not UTF-8"),
        (b"\x92\x01", "truncated"),
        (b"\xdd\xff\xff\xff\xff", "array that claims four thousand million entries"),
        (b"\xc6\xff\xff\xff\xff", "bytes that claim four gigabytes"),
        (b"\x01\x02", "two values"),
        (b"", "nothing"),
        (b"\x91" * 9 + b"\x00", "nested too deep"),
        (b"\x91" * 5000 + b"\x00", "nested absurdly deep"),
    ],
)
def test_every_other_encoding_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(CodecError):
        codec.unpack(data)


@pytest.mark.parametrize("value", [-1, 2**64, nested(9), "\ud800", 1.5, None, {}, [None], {1}])
def test_a_value_without_encoding_is_refused(value: codec.Raw) -> None:
    with pytest.raises(CodecError):
        codec.pack(value)


def test_nesting_is_allowed_up_to_the_bound() -> None:
    assert codec.unpack(codec.pack(nested(codec.MAX_DEPTH))) == nested(codec.MAX_DEPTH)


def test_bytes_over_the_bound_are_refused_unread() -> None:
    with pytest.raises(CodecError, match="limit 3"):
        codec.unpack(codec.pack(b"abc"), max_bytes=3)


def test_a_record_is_the_array_of_its_fields() -> None:
    assert PAIR.encode(Pair("bob", (b"ab",))) == codec.pack(["bob", [b"ab"]])


@pytest.mark.parametrize(
    "raw",
    [
        ["bob"],
        ["bob", [], 1],
        ["nine char", []],
        ["éééééé", []],
        [b"bob", []],
        ["bob", [b"abc"]],
        ["bob", [b"ab"] * 4],
        ["bob", b"ab"],
        "bob",
        7,
    ],
)
def test_a_record_refuses_other_fields(raw: codec.Raw) -> None:
    with pytest.raises(CodecError):
        PAIR.decode(codec.pack(raw))


@pytest.mark.parametrize("value", [Pair("nine char", ()), Pair("bob", (b"a",))])
def test_encoding_a_record_out_of_bounds_names_the_field(value: Pair) -> None:
    with pytest.raises(CodecError, match=r"name|keys"):
        PAIR.encode(value)


@pytest.mark.parametrize("raw", [True, "1", b"1", -1, 2**64])
def test_only_unsigned_64_bit_integers_are_u64(raw: object) -> None:
    with pytest.raises(CodecError):
        codec.U64.lift(raw)


@pytest.mark.parametrize("raw", [0, 1, "true"])
def test_only_booleans_are_bool(raw: object) -> None:
    with pytest.raises(CodecError):
        codec.Bool.lift(raw)


def test_an_array_has_no_more_entries_than_its_decoder_takes() -> None:
    longest = [0] * codec.MAX_ENTRIES
    many = codec.ListOf(codec.U64, 1000)

    assert codec.unpack(codec.pack(longest)) == longest
    assert many.decode(codec.pack([0] * 1000), max_entries=1000) == (0,) * 1000
    with pytest.raises(CodecError):
        codec.unpack(codec.pack([0, *longest]))


def test_heads_of_nested_arrays_do_not_reserve_what_they_announce() -> None:
    heads = b"\xdc\xff\x00" * 1000 + bytes(62_000)

    tracemalloc.start()
    with pytest.raises(CodecError):
        codec.unpack(heads)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 1_000_000


@pytest.mark.parametrize(
    "odd",
    [b"\x80", b"\x81\xa1a\x00", b"\xc7\x00\x05", b"\xd4\x01\x00", b"\xd6\xff" + bytes(4)],
    ids=["empty map", "map", "empty extension", "extension", "timestamp"],
)
def test_maps_and_extensions_are_never_even_made(odd: bytes) -> None:
    """What they mean depends on the library's version."""
    with pytest.raises(CodecError, match=r"a map|an extension|exceeds"):
        codec.unpack_array(b"\x91" + odd)


class Colour(IntEnum):
    RED = 1
    BLUE = 4


def test_a_choice_is_kept_as_its_number() -> None:
    shape = codec.Choice(Colour)

    assert (shape.lower(Colour.BLUE), shape.lift(4)) == (4, Colour.BLUE)


@pytest.mark.parametrize("raw", [0, 2, True, "1", b"1", None, 1.0])
def test_what_is_no_choice_is_refused(raw: object) -> None:
    with pytest.raises(codec.CodecError, match=r"expected one of \[1, 4\]"):
        codec.Choice(Colour).lift(raw)
