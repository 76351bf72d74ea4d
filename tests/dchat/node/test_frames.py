from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.node.frames import MAX_FRAME_BYTES, BadFrame, FrameReader, encode_size


def framed(*bodies: bytes) -> bytes:
    return b"".join(encode_size(len(body)) + body for body in bodies)


@pytest.mark.parametrize(
    ("size", "encoded"),
    [(0, b"\x00"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")],
)
def test_a_size_is_a_protobuf_varint(size: int, encoded: bytes) -> None:
    assert encode_size(size) == encoded


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_frames_come_out_however_the_stream_is_cut(bodies: list[bytes], step: int) -> None:
    stream = framed(*bodies)
    reader = FrameReader()

    out = [f for at in range(0, len(stream), step) for f in reader.feed(stream[at : at + step])]

    assert out == bodies
    assert reader.unfinished_bytes() == 0


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_frames_or_refused(stream: bytes) -> None:
    try:
        frames = FrameReader(max_bytes=32).feed(stream)
    except BadFrame:
        return

    assert sum(map(len, frames)) <= len(stream)


def test_a_frame_at_the_bound_is_read() -> None:
    assert FrameReader(max_bytes=8).feed(framed(b"12345678")) == [b"12345678"]


def test_a_frame_over_the_bound_is_refused_before_its_body_arrives() -> None:
    with pytest.raises(BadFrame, match=f"frame of {MAX_FRAME_BYTES + 1} bytes"):
        FrameReader().feed(encode_size(MAX_FRAME_BYTES + 1))


def test_a_size_that_never_ends_is_refused() -> None:
    with pytest.raises(BadFrame, match="size prefix"):
        FrameReader().feed(b"\xff" * 5)


def test_what_is_missing_of_a_frame_is_waited_for() -> None:
    reader = FrameReader()

    assert reader.feed(framed(b"hello")[:3]) == []
    assert reader.unfinished_bytes() == 3
