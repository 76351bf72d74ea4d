"""A wake-up call for a thread that waits in a selector."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import Self


class Bell:
    """Rung from a signal handler or another thread; a selector waits on it."""

    def __init__(self) -> None:
        self._hear, self._strike = socket.socketpair()
        self._hear.settimeout(0)
        self._strike.settimeout(0)
        self.rung = False

    def ring(self) -> None:
        """`fileno()` is readable from here on; any number of times is as good as once."""
        self.rung = True
        with suppress(BlockingIOError):  # full of rings nobody has heard yet
            self._strike.send(b"\0")

    def quiet(self) -> None:
        """Takes back every ring so far."""
        self.rung = False
        with suppress(BlockingIOError):
            self._hear.recv(4096)

    def fileno(self) -> int:
        """For selectors."""
        return self._hear.fileno()

    def on(self, *numbers: signal.Signals) -> Self:
        """Rings at each of these signals; to be called in the main thread."""
        for number in numbers:
            signal.signal(number, self._heard)
        return self

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.ring()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hear.close()
        self._strike.close()
