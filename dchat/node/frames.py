"""ABCI frames cut out of a byte stream: `uvarint size | body`, each bounded before it is kept.

Source: CometBFT spec/abci/abci++_client_server.md, libs/protoio.
"""

from __future__ import annotations

from typing import Final

from dchat.kernel.errors import RemoteProtocolError

MAX_FRAME_BYTES: Final = 100 * 1024 * 1024
"""Above any block, and a genesis of a million accounts and 100,000 delegations: 66 MiB."""

MORE: Final = 0x80
"""Set in every byte of a varint but its last."""

MAX_SIZE_BYTES: Final = 5
"""Bytes of a size prefix: 35 bits hold every size below the bound, and more is an attack."""


_SMALL: Final = tuple(bytes((size,)) for size in range(MORE))


class BadFrame(RemoteProtocolError):
    """The peer sent a size or a message that ABCI does not have; nothing after it can be read."""


def encode_size(size: int) -> bytes:
    """`size` as an unsigned varint, seven bits a byte, lowest first."""
    if size < MORE:
        return _SMALL[size]
    out = bytearray()
    while size >= MORE:
        out.append(size & 0x7F | MORE)
        size >>= 7
    out.append(size)
    return bytes(out)


class FrameReader:
    """Whole frames of one stream, in order; holds at most one unfinished frame."""

    __slots__ = ("_max_bytes", "_needed", "_pending")

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._needed = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The bodies that `chunk` completes. Raises: BadFrame, after which the stream is lost."""
        self._pending += chunk
        if len(self._pending) < self._needed:
            return []
        stream = bytes(self._pending)
        frames: list[bytes] = []
        at, self._needed = 0, 0
        while (bounds := self._bounds(stream, at)) is not None:
            start, end = bounds
            if end > len(stream):
                self._needed = end - at
                break
            frames.append(stream[start:end])
            at = end
        del self._pending[:at]
        return frames

    def unfinished_bytes(self) -> int:
        """Bytes of a frame whose rest has not arrived; 0 between frames."""
        return len(self._pending)

    def _bounds(self, stream: bytes, at: int) -> tuple[int, int] | None:
        """Where the body that begins after the size at `at` starts and ends; None if cut off."""
        size = shift = 0
        for position in range(at, min(at + MAX_SIZE_BYTES, len(stream))):
            byte = stream[position]
            size |= (byte & 0x7F) << shift
            if byte < MORE:
                if size > self._max_bytes:
                    raise BadFrame(f"frame of {size} bytes; the bound is {self._max_bytes}")
                return position + 1, position + 1 + size
            shift += 7
        if len(stream) - at >= MAX_SIZE_BYTES:
            raise BadFrame(f"size prefix longer than {MAX_SIZE_BYTES} bytes")
        return None
