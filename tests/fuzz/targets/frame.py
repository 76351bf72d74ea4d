"""ABCI frames: the same bodies however the stream is cut, each within its bound."""

from __future__ import annotations

from random import Random
from typing import Final

from dchat.node.frames import BadFrame, FrameReader, encode_size
from tests.fuzz.mutate import change_bytes
from tests.fuzz.target import Target, named

BOUND: Final = 300
CUTS: Final = 2
"""Bytes in front of a stream: a seed of where it is cut."""


def framed(*bodies: bytes) -> bytes:
    """The bodies as a stream, behind a seed."""
    return bytes(CUTS) + b"".join(encode_size(len(body)) + body for body in bodies)


def judge(data: bytes) -> str:
    """Cut anywhere, the stream gives what it gives in one piece; no more is held than a frame."""
    cuts, stream = Random(data[:CUTS]), data[CUTS:]
    whole, why = _read(FrameReader(BOUND), [stream])
    reader = FrameReader(BOUND)
    pieces, again = _read(reader, _cut(cuts, stream))
    assert (pieces, again) == (whole, why), "the cuts matter"
    assert all(len(body) <= BOUND for body in whole)
    if not why:
        left = reader.unfinished_bytes()
        assert _spelled(whole, stream[: len(stream) - left]), "frames are not those of the stream"
        assert left <= BOUND + len(encode_size(BOUND)) or not _ends(stream[-left:])
    return why or f"{min(len(whole), 5)} frames"


def _read(reader: FrameReader, chunks: list[bytes]) -> tuple[list[bytes], str]:
    bodies: list[bytes] = []
    try:
        for chunk in chunks:
            bodies += reader.feed(chunk)
    except BadFrame as fault:
        return [], named(fault)
    return bodies, ""


def _cut(rng: Random, stream: bytes) -> list[bytes]:
    chunks: list[bytes] = []
    while stream:
        size = rng.choice((1, 2, 3, 7, 50, 400))
        chunks.append(stream[:size])
        stream = stream[size:]
    return chunks


def _spelled(bodies: list[bytes], stream: bytes) -> bool:
    """Whether the stream is these bodies, each behind its size in whatever length of varint."""
    for body in bodies:
        size = shift = at = 0
        while True:
            size |= (stream[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if stream[at - 1] < 0x80:
                break
        if size != len(body) or stream[at : at + size] != body:
            return False
        stream = stream[at + size :]
    return not stream


def _ends(rest: bytes) -> bool:
    return any(byte < 0x80 for byte in rest[:5])


TARGET: Final = Target(
    "frame",
    "a stream's frames do not depend on how it is cut; a size over the bound or 5 bytes is refused",
    judge,
    (
        framed(b"", b"one", b"x" * BOUND),
        framed(b"y" * 127, b"z" * 128),
        framed(b"x" * (BOUND + 1)),
        framed() + b"\xff" * 6,
        framed() + b"\x83\x80\x00one",
        framed(b"one") + b"\x05cut",
    ),
    (change_bytes,),
)
