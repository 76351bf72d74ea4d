"""Yamux with the bounds that py-libp2p leaves out: memory, streams, liveness, cancellation.

Source: hashicorp/yamux spec.md for the frames; ADR 0005 for each gap.
"""

from __future__ import annotations

import math
import struct
from typing import Final, cast

import libp2p.stream_muxer.yamux.yamux as upstream
import trio
from libp2p.abc import IMuxedStream, ISecureConn
from libp2p.stream_muxer.exceptions import MuxedStreamError

from relay.net.address import PeerId
from relay.net.fence import contained
from relay.net.limits import HostLimits
from relay.net.wire import Wire

MAX_PIECE: Final = 65519 - upstream.HEADER_SIZE
"""Payload bytes of one yamux frame, so that frame and header fill one Noise message exactly."""
MAX_READ: Final = 64 * 1024
"""Bytes asked for at once, by Stream and by whatever upstream still parses."""
_CLOSED_CHECK_S: Final = 0.5


class ReceiveBufferFull(trio.TooSlowError):
    """The peer ignored the window and sent more than we hold.

    A TooSlowError, because that is what the read loop above it takes as "close the connection".
    """


class FixedWindowStream(upstream.YamuxStream):
    """A stream whose window stays at 256 KiB and whose reads and writes survive cancellation.

    Credit goes back in halves of the window: one update per 128 KiB instead of one per read, and
    no growth to 16 MiB that a peer could fill. A cancelled read loses nothing; a cancelled write
    has sent whole pieces or none. `is_wanted` is False once nobody will read it: what arrives then
    is dropped.
    """

    conn: Muxer
    _credit: trio.lowlevel.ParkingLot
    _window: int
    is_wanted: bool

    @classmethod
    def adopt(cls, stream: upstream.YamuxStream) -> FixedWindowStream:
        """Make a stream that upstream has just created one of these; it is the same object."""
        stream.__class__ = cls
        ours = cast("FixedWindowStream", stream)
        ours._credit = trio.lowlevel.ParkingLot()
        ours.is_wanted = True
        ours._window = vars(stream).pop("send_window")
        return ours

    @property
    def send_window(self) -> int:
        """Bytes the peer still allows; assigning wakes the writers."""
        return self._window

    @send_window.setter
    def send_window(self, size: int) -> None:
        self._window = size
        if size > 0:
            self._credit.unpark_all()

    async def read(self, n: int | None = -1) -> bytes:
        """Return up to `n` bytes, as upstream does.

        Upstream asks for a whole message of the length that the peer announced, and gathers it:
        more than MAX_READ at once is nobody's. Raises: MuxedStreamError.
        """
        if n is None or not 0 <= n <= MAX_READ:
            raise MuxedStreamError(f"the peer announced a message of {n} bytes")
        return await super().read(n)

    async def write(self, data: bytes) -> None:
        """Send all of `data` as the window allows.

        Raises: MuxedStreamError if the stream is closed or the peer stops reading.
        """
        rest = memoryview(data)
        while rest:
            size = await self._take_credit(min(len(rest), MAX_PIECE))
            header = struct.pack(
                upstream.YAMUX_HEADER_FORMAT, 0, upstream.TYPE_DATA, 0, self.stream_id, size
            )
            with trio.move_on_after(math.inf, shield=True):
                await self.conn._write_frame(header + rest[:size])  # pyright: ignore[reportPrivateUsage] -- the only frame writer there is
            rest = rest[size:]

    async def _take_credit(self, wanted: int) -> int:
        deadline = trio.current_time() + self.conn.limits.stall_timeout_s
        while self._window <= 0 and not self._is_over():
            if trio.current_time() >= deadline:
                raise MuxedStreamError("the peer stopped reading")
            with trio.move_on_after(_CLOSED_CHECK_S):
                await self._credit.park()
        if self._is_over():
            raise MuxedStreamError("stream is closed")
        size = min(wanted, self._window)
        self._window -= size
        return size

    def _is_over(self) -> bool:
        return self.send_closed or self.closed

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self._pending_recv_release < upstream.DEFAULT_WINDOW_SIZE // 2:
            return
        credit, self._pending_recv_release = self._pending_recv_release, 0
        self.recv_window += credit
        with trio.move_on_after(math.inf, shield=True):
            await self.send_window_update(credit)


class _Streams(dict[int, upstream.YamuxStream]):
    """The muxer's table of streams. Upstream offers no other place to bring in our class."""

    def __setitem__(self, stream_id: int, stream: upstream.YamuxStream) -> None:
        super().__setitem__(stream_id, FixedWindowStream.adopt(stream))


class Muxer(upstream.Yamux):
    """One connection's streams. Closes itself when the peer floods, stalls or falls silent."""

    def __init__(self, secured: ISecureConn, wire: Wire, limits: HostLimits) -> None:
        super().__init__(secured, secured.get_remote_peer(), secured.is_initiator)
        self.streams = _Streams()
        self.wire = wire
        self.limits = limits
        self.remote = PeerId(str(self.peer_id))

    def buffered(self) -> int:
        """Bytes received on all streams that nobody has read."""
        return sum(len(buffer) for buffer in self.stream_buffers.values())

    async def start(self) -> None:
        """Run until the connection ends; nothing escapes to the task tree of the other peers."""
        with contained("muxer"):
            await super().start()
        self.event_started.set()
        if not self.is_closed:
            await self.hang_up()

    async def answers(self) -> bool:
        """Ask the peer's muxer for a pong: True once it came, False if the connection ended."""
        self._ping_event = trio.Event()
        await self._ping()
        await self._ping_event.wait()
        return not self.event_shutting_down.is_set()

    async def accept_stream(self) -> IMuxedStream:
        """Return the next stream the peer opens; those over the bound are reset."""
        while True:
            stream = await super().accept_stream()
            theirs = sum(not each.is_initiator for each in self.streams.values())
            if theirs <= self.limits.max_streams_per_connection:
                return stream
            await stream.reset()

    def abort(self) -> None:
        """Close the socket; the connection counts as gone from here on."""
        self.event_shutting_down.set()
        self.wire.abort()

    async def hang_up(self) -> None:
        """Close the socket and wake everyone who waits on this connection."""
        self.abort()
        await self._cleanup_on_error()

    async def _cleanup_on_error(self) -> None:
        await super()._cleanup_on_error()
        self._ping_event.set()

    async def _ping(self) -> None:
        self._ping_id += 1
        self._ping_sent_time = trio.current_time()
        ping = (0, upstream.TYPE_PING, upstream.FLAG_SYN, 0, self._ping_id)
        await self._write_frame(struct.pack(upstream.YAMUX_HEADER_FORMAT, *ping))

    async def _measure_rtt_loop(self) -> None:
        # Upstream measures and never acts: a peer that vanished would stay for ever.
        while not self.event_shutting_down.is_set():
            await trio.sleep(self.limits.ping_every_s)
            silent_s = trio.current_time() - self.wire.heard_at
            if silent_s >= self.limits.dead_after_s:
                await self.hang_up()
                return
            self._forget_gone_streams()
            await self._ping()

    async def _read_data_body(self, length: int) -> bytes:
        for stream_id, stream in self.streams.items():
            if not cast("FixedWindowStream", stream).is_wanted:
                self.stream_buffers[stream_id].clear()
        if self.buffered() + length > self.limits.max_buffered:
            raise ReceiveBufferFull
        return await super()._read_data_body(length)

    def _finalize_stream_locked(self, stream: upstream.YamuxStream, *, fully_closed: bool) -> None:
        # Upstream keeps what nobody can read any more, and its stream's place, for a minute.
        if stream.reset_received or not cast("FixedWindowStream", stream).is_wanted:
            self.stream_buffers.get(stream.stream_id, bytearray()).clear()
        super()._finalize_stream_locked(stream, fully_closed=fully_closed)

    def _forget_gone_streams(self) -> None:
        # A reader that a reset woke puts its event back after the stream has left the table.
        for stream_id in self.stream_events.keys() - self.streams.keys():
            del self.stream_events[stream_id]
