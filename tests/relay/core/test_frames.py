from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.frames import (
    HEADER,
    MAX_BODY,
    FrameReader,
    FrameTooLarge,
    OversizedFrame,
    encode_frame,
)

bodies = st.lists(st.binary(max_size=80), max_size=12)
cuts = st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=40)


def chunked(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Cut the stream by the sizes, repeated as long as needed."""
    chunks: list[bytes] = []
    position = 0
    while position < len(stream):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(stream[position : position + size])
        position += size
    return chunks


def read_all(reader: FrameReader, chunks: list[bytes]) -> tuple[list[bytes], bool]:
    """All bodies up to a refusal, and whether there was one."""
    seen: list[bytes] = []
    try:
        for chunk in chunks:
            seen.extend(reader.feed(chunk))
    except OversizedFrame:
        return seen, True
    return seen, False


@given(bodies, cuts)
def test_every_chunking_gives_back_the_same_bodies(sent: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(encode_frame(body) for body in sent)

    assert read_all(FrameReader(), chunked(stream, sizes)) == (sent, False)


@given(st.binary(max_size=400), cuts)
def test_arbitrary_bytes_are_read_or_refused_the_same_way_whole_and_in_pieces(
    stream: bytes, sizes: list[int]
) -> None:
    assert read_all(FrameReader(), chunked(stream, [1])) == read_all(
        FrameReader(), chunked(stream, sizes)
    )


@given(st.binary(max_size=400), cuts)
def test_the_reader_never_holds_more_than_one_unfinished_frame(
    stream: bytes, sizes: list[int]
) -> None:
    reader = FrameReader()

    read_all(reader, chunked(stream, sizes))

    assert reader.pending <= HEADER.size + MAX_BODY


def test_the_layout_is_a_big_endian_length_then_the_body() -> None:
    assert encode_frame(b"abc") == b"\x00\x00\x00\x03abc"


def test_a_body_of_exactly_the_bound_passes() -> None:
    body = bytes(MAX_BODY)

    assert list(FrameReader().feed(encode_frame(body))) == [body]


def test_a_body_over_the_bound_is_not_encoded() -> None:
    with pytest.raises(FrameTooLarge) as refused:
        encode_frame(bytes(MAX_BODY + 1))

    assert (refused.value.size, refused.value.limit) == (MAX_BODY + 1, MAX_BODY)


def test_an_oversized_length_is_refused_on_its_header_alone() -> None:
    with pytest.raises(OversizedFrame) as refused:
        list(FrameReader().feed(HEADER.pack(MAX_BODY + 1)))

    assert (refused.value.size, refused.value.limit) == (MAX_BODY + 1, MAX_BODY)


def test_bodies_before_an_oversized_one_still_come_out() -> None:
    frames = FrameReader().feed(encode_frame(b"first") + HEADER.pack(MAX_BODY + 1))

    assert next(frames) == b"first"


def test_a_refused_stream_stays_refused() -> None:
    reader = FrameReader()
    with pytest.raises(OversizedFrame):
        list(reader.feed(HEADER.pack(MAX_BODY + 1)))

    with pytest.raises(OversizedFrame):
        list(reader.feed(encode_frame(b"later")))


def test_bodies_left_in_an_iterator_come_out_of_the_next_one() -> None:
    reader = FrameReader()
    reader.feed(encode_frame(b"one"))

    assert list(reader.feed(encode_frame(b"two"))) == [b"one", b"two"]
