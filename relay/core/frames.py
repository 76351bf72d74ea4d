"""Bodies <-> one byte stream: each frame is `u32be length | body`, no body over MAX_BODY bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from dchat.kernel.errors import LocalProtocolError, RemoteProtocolError

MAX_BODY: Final = 128 * 1024
HEADER: Final = struct.Struct(">I")


class FrameTooLarge(LocalProtocolError):
    """We tried to send a body over the bound. Attributes: size, limit -- bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a frame body of {size} bytes is over the bound of {limit}")
        self.size = size
        self.limit = limit


class OversizedFrame(RemoteProtocolError):
    """The peer announced a body over the bound. Attributes: size, limit -- bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the peer announced a frame of {size} bytes, the bound is {limit}")
        self.size = size
        self.limit = limit


def encode_frame(body: bytes) -> bytes:
    """Return `u32be length | body`. Raises: FrameTooLarge."""
    if len(body) > MAX_BODY:
        raise FrameTooLarge(len(body), MAX_BODY)
    return HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into bodies, the same ones however the stream was chunked.

    Holds at most one unfinished frame plus the last chunk fed. A length over the bound is refused
    as soon as its header is complete, before its body takes memory.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of unfinished or not yet taken frames held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk; iterating yields each body that is now complete.

        What the caller leaves in the iterator comes out of the next one.

        Raises: OversizedFrame while iterating, after the bodies before it, and on every later feed.
        """
        self._buffer += chunk
        return self._bodies()

    def _bodies(self) -> Iterator[bytes]:
        while len(self._buffer) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer)
            if size > MAX_BODY:
                del self._buffer[HEADER.size :]
                raise OversizedFrame(size, MAX_BODY)
            end = HEADER.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield body
