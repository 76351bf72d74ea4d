"""What a peer has sent and nobody has answered yet: whole frames, in order, up to a bound.

It is taken in while earlier requests are worked on, because CometBFT must not wait for us to read:
its socket client spends a whole processor on a flush timer of 20 ns for as long as a write of its
blocks (libs/timer/throttle_timer.go and flushThrottleMS in abci/client/socket_client.go, v0.40.0).
The bound is about a tenth of a second of CheckTx: every Commit waits until what was sent before
it is answered; beyond that a peer has to wait after all.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Final

from dchat.node.frames import FrameReader

RECEIVE_BYTES: Final = 256 * 1024
AHEAD_FRAMES: Final = 1_024
AHEAD_BYTES: Final = 256 * 1024
"""Beyond either of these nothing more is taken in; one read may pass them."""


class HungUp(Exception):
    """The peer closed or reset its end; ordinary, CometBFT does so when it stops."""


class Inbox:
    """The unanswered frames of one connection."""

    __slots__ = ("_bytes", "_over", "_peer", "_reader", "_waiting")

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._reader = FrameReader()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._over = False

    def __len__(self) -> int:
        return len(self._waiting)

    def first_byte(self) -> bytes:
        """Of the frame that `take` would give; empty for an empty frame, or where none waits."""
        return self._waiting[0][:1] if self._waiting else b""

    def take(self) -> bytes:
        """The oldest frame, which no longer waits."""
        frame = self._waiting.popleft()
        self._bytes -= len(frame)
        return frame

    def wait(self) -> None:
        """At least one frame waits. Raises: HungUp, BadFrame."""
        while not self._waiting:
            if self._over:
                raise HungUp
            self._take_in(0)

    def top_up(self) -> None:
        """Whatever has arrived by now waits, as far as there is room. Raises: HungUp, BadFrame."""
        if not self._over and len(self._waiting) < AHEAD_FRAMES and self._bytes < AHEAD_BYTES:
            self._take_in(socket.MSG_DONTWAIT)

    def discard(self) -> None:
        """Reads until the peer is gone, and keeps nothing.

        Closing with something unread would take the last answer back. Raises: HungUp, always.
        """
        while self._receive(0):
            pass
        raise HungUp

    def unfinished_bytes(self) -> int:
        """Bytes of a frame whose rest has not arrived; 0 between frames."""
        return self._reader.unfinished_bytes()

    def _take_in(self, flags: int) -> None:
        try:
            chunk = self._receive(flags)
        except BlockingIOError:
            return
        self._over = not chunk
        for frame in self._reader.feed(chunk):
            self._waiting.append(frame)
            self._bytes += len(frame)

    def _receive(self, flags: int) -> bytes:
        try:
            return self._peer.recv(RECEIVE_BYTES, flags)
        except ConnectionError as fault:
            raise HungUp from fault
