"""One stream of a connection, typed, its errors ours."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import cast

import trio
from libp2p.abc import INetStream
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.stream.net_stream import NetStream

from dchat.kernel.errors import RemoteProtocolError
from relay.net.address import PeerId
from relay.net.fence import PeerFailed, blamed_on_peer
from relay.net.muxer import FixedWindowStream


class StreamClosed(RemoteProtocolError):
    """The stream or its connection is gone."""


class Stream:
    """Bytes to and from one peer, in order. `peer_id` is proved by the Noise handshake."""

    def __init__(self, inner: INetStream, peer_id: PeerId) -> None:
        self._inner = inner
        self._muxed = cast("FixedWindowStream", cast("NetStream", inner).muxed_stream)
        self.peer_id = peer_id

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return 1 to `max_bytes` bytes, or none if the peer has finished; safe to cancel.

        Raises: StreamClosed.
        """
        with _closed_on_failure():
            try:
                return await self._inner.read(max_bytes)
            except StreamEOF:
                if self._muxed.reset_received:
                    raise  # upstream says "end" of a stream that was cut off as well
                return b""

    async def write(self, data: bytes) -> None:
        """Send all of it. Failing or cancelled, the stream is reset: part of it may have left.

        Raises: StreamClosed -- also when the peer does not read for `stall_timeout_s`.
        """
        try:
            with _closed_on_failure():
                await self._inner.write(data)
        except BaseException:
            await self.reset()
            raise

    async def close(self) -> None:
        """Say that nothing more will be written, and drop what may still come."""
        self._muxed.is_wanted = False
        with _uncancelled(), suppress(StreamClosed), _closed_on_failure():
            await self._inner.close()

    async def reset(self) -> None:
        """Drop the stream in both directions."""
        with _uncancelled(), suppress(StreamClosed), _closed_on_failure():
            await self._inner.reset()


def _uncancelled() -> trio.CancelScope:
    return trio.move_on_after(math.inf, shield=True)


@contextmanager
def _closed_on_failure() -> Generator[None, None, None]:
    try:
        with blamed_on_peer("stream"):
            yield
    except PeerFailed as error:
        raise StreamClosed(str(error)) from error.__cause__
