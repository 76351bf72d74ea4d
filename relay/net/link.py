"""Whole messages to and from one peer over one long-lived stream.

Layout on the stream: relay/core/frames.py. Frames wait in a bounded queue; one writer sends what
has gathered in one piece, because a write per frame costs ten times the cipher. Delivery is not
promised: what was queued when the link broke is lost, and the protocol above resends it.

    async with open_link(stream) as link:
        await link.send(body)
        body = await link.receive()
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from dchat.kernel.errors import RemoteProtocolError
from relay.core.frames import FrameReader, OversizedFrame, encode_frame
from relay.net.address import PeerId
from relay.net.fence import lone_error
from relay.net.muxer import MAX_PIECE
from relay.net.stream import StreamClosed


class LinkClosed(RemoteProtocolError):
    """The link is closed, by either side or because the peer vanished."""


class LinkStalled(LinkClosed):
    """The peer read nothing for too long while the queue was full; the link is closed."""


class ByteStream(Protocol):
    """What a link needs below it; see Stream."""

    peer_id: PeerId

    async def read(self) -> bytes:
        """Return some bytes, none at the end. Raises: StreamClosed."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of it. Raises: StreamClosed."""
        ...

    async def close(self) -> None:
        """Finish writing; never raises."""
        ...

    async def reset(self) -> None:
        """Drop the stream at once; never raises."""
        ...


class Link(Protocol):
    """An ordered, bounded channel of messages with one authenticated peer."""

    @property
    def peer_id(self) -> PeerId:
        """The peer, proved by the handshake below."""
        ...

    async def send(self, body: bytes) -> None:
        """Queue a message of at most MAX_BODY bytes, waiting while the queue is full.

        Safe to cancel: the message is queued whole or not at all.
        Raises: FrameTooLarge, LinkClosed, LinkStalled.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next message; for one caller at a time, safe to cancel.

        Raises: LinkClosed, OversizedFrame (the link is then closed).
        """
        ...

    async def aclose(self) -> None:
        """Send what is queued if the peer reads it within `flush_timeout_s`, then close."""
        ...


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of one link's outgoing queue, in frames, bytes and seconds."""

    max_frames: int = 1024
    max_bytes: int = 1024 * 1024
    send_timeout_s: float = 20.0
    flush_timeout_s: float = 5.0


@asynccontextmanager
async def open_link(
    stream: ByteStream, limits: LinkLimits | None = None
) -> AsyncGenerator[Link, None]:
    """Run a link over the stream while the block runs.

    Leaving the block closes it: flushing at its end, at once on an exception.
    """
    link = StreamLink(stream, limits or LinkLimits())
    with lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.write_queued)
            try:
                yield link
            except BaseException:
                await link.break_off()
                raise
            await link.aclose()
            nursery.cancel_scope.cancel()


class StreamLink:
    """The Link over a libp2p stream. Made by `open_link`."""

    def __init__(self, stream: ByteStream, limits: LinkLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._filled = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._reader = FrameReader()
        self._bodies: Iterator[bytes] = iter(())
        self._closing = False
        self._written = trio.Event()

    @property
    def peer_id(self) -> PeerId:
        """The peer, proved by the Noise handshake."""
        return self._stream.peer_id

    async def send(self, body: bytes) -> None:
        """Queue a message; see Link."""
        frame = encode_frame(body)
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._has_room(len(frame)):
            await self._wait_for_room(len(frame))
        if self._closing:
            raise LinkClosed("link is closed")
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._filled.set()

    async def receive(self) -> bytes:
        """Return the next message; see Link."""
        while (body := await self._next_body()) is None:
            self._bodies = self._reader.feed(await self._read())
        return body

    async def aclose(self) -> None:
        """Flush within the deadline, then close; see Link."""
        self._closing = True
        self._wake_all()
        with trio.move_on_after(self._limits.flush_timeout_s):
            await self._written.wait()
            await self._stream.close()
            return
        await self.break_off()

    async def break_off(self) -> None:
        """Close at once, dropping what is queued."""
        self._closing = True
        self._queue.clear()
        self._wake_all()
        await self._stream.reset()

    async def write_queued(self) -> None:
        """Send the queue as it fills, until the link closes and it is empty."""
        try:
            while batch := await self._next_batch():
                await self._stream.write(batch)
        except StreamClosed:
            await self.break_off()
        finally:
            self._closing = True
            self._written.set()
            self._wake_all()

    async def _next_body(self) -> bytes | None:
        try:
            return next(self._bodies, None)
        except OversizedFrame:
            await self.break_off()
            raise

    async def _read(self) -> bytes:
        try:
            chunk = await self._stream.read()
        except StreamClosed as error:
            await self.break_off()
            raise LinkClosed(str(error)) from error
        if not chunk:
            raise LinkClosed("the peer closed the link")
        return chunk

    def _has_room(self, size: int) -> bool:
        return self._closing or (
            len(self._queue) < self._limits.max_frames
            and self._queued_bytes + size <= self._limits.max_bytes
        )

    async def _wait_for_room(self, size: int) -> None:
        with trio.move_on_after(self._limits.send_timeout_s) as scope:
            while not self._has_room(size):
                await self._room.park()
        if scope.cancelled_caught:
            await self.break_off()
            raise LinkStalled(f"nothing was read for {self._limits.send_timeout_s} s")

    async def _next_batch(self) -> bytes:
        while not self._queue:
            if self._closing:
                return b""
            self._filled = trio.Event()
            await self._filled.wait()
        batch = [self._queue.popleft()]
        size = len(batch[0])
        while self._queue and size + len(self._queue[0]) <= MAX_PIECE:
            size += len(self._queue[0])
            batch.append(self._queue.popleft())
        self._queued_bytes -= size
        self._room.unpark_all()
        return b"".join(batch)

    def _wake_all(self) -> None:
        self._filled.set()
        self._room.unpark_all()
