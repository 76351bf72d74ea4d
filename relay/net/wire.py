"""One TCP connection under Noise: no cancelled, stalled or silent write can desynchronise it.

Noise counts its messages, and the counter has moved before the bytes reach the socket. A write
that is cancelled half-way therefore kills the whole connection at some later, unrelated moment.
Here a write runs to its end whatever happens to its caller, or the socket is closed.
"""

from __future__ import annotations

from typing import Final

import trio
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError

READ_AHEAD: Final = 64 * 1024
MAX_UNTRUSTED: Final = 256 * 1024
"""Bytes taken from a peer before `trust()`: more than any handshake and what follows at once."""


class Wire(ReadWriteCloser):
    """A socket that libp2p reads and writes. `heard_at` is trio time of the last byte read."""

    def __init__(self, stream: trio.SocketStream, write_timeout_s: float) -> None:
        self._stream = stream
        self._write_timeout_s = write_timeout_s
        self._lock = trio.Lock()
        self._ahead = memoryview(b"")
        self._allowed: int | None = MAX_UNTRUSTED
        self.heard_at = trio.current_time()

    async def write(self, data: bytes) -> None:
        """Send all of it, even if the caller is cancelled; a stall closes the socket.

        Raises: ConnectionClosedError.
        """
        with trio.move_on_after(self._write_timeout_s, shield=True) as scope:
            async with self._lock:
                await self._send(data)
        if scope.cancelled_caught:
            self.abort()
            raise ConnectionClosedError("the peer stopped reading", transport="tcp")

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("connection closed", transport="tcp") from error

    def trust(self) -> None:
        """Take any number of bytes from now on: the handshake is over, the muxer bounds them."""
        self._allowed = None

    async def read(self, n: int | None = None) -> bytes:
        """Return 1 to `n` bytes, none at the end. Reads ahead: a system call per frame is dear.

        Raises: ConnectionClosedError.
        """
        if n == 0:
            return b""
        if not self._ahead:
            self._ahead = memoryview(await self._receive())
        piece = bytes(self._ahead[:n])
        self._ahead = self._ahead[len(piece) :]
        return piece

    async def _receive(self) -> bytes:
        try:
            received = bytes(await self._stream.receive_some(READ_AHEAD))
        except trio.BrokenResourceError as error:
            raise ConnectionClosedError("connection reset", transport="tcp") from error
        except trio.ClosedResourceError:
            return b""
        self.heard_at = trio.current_time()
        self._count(len(received))
        return received

    def _count(self, size: int) -> None:
        # Multistream reads a message of whatever length the peer announces
        if self._allowed is None:
            return
        self._allowed -= size
        if self._allowed < 0:
            self.abort()
            raise ConnectionClosedError("too many bytes for a handshake", transport="tcp")

    async def close(self) -> None:
        """Close the socket."""
        await self._stream.aclose()

    def abort(self) -> None:
        """Close the socket now; whoever reads or writes it wakes with an error."""
        self._stream.socket.close()

    def get_remote_address(self) -> None:
        """Nothing: libp2p would log it, and a user's address is never logged."""
