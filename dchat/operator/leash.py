"""A tiny process that outlives its parent just long enough to stop what the parent started.

The parent writes `+PID` and `-PID` lines to this process's standard input. When the input ends,
because the parent ended in whatever way, every process still on the list is asked to stop and,
after a grace period, killed. So is every process that carries this leash's mark in its environment:
a parent killed between starting a child and writing the line leaves one that nobody told us of.
Processes are held by pidfd where the system has them, so that a reused number is never signalled.
Nothing but the standard library is imported: it must start fast.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

MARK: Final = "DCHAT_LEASH"
"""Environment variable by which a child is known to belong to one leash."""
PROC: Final = Path("/proc")
SWEEPS: Final = 5
"""More than a child that was just starting, and its own children, can need."""
GRACE_S: Final = 10.0
POLL_S: Final = 0.05
GONE: Final = (ProcessLookupError, PermissionError)
HAS_PIDFD: Final = hasattr(os, "pidfd_open")


def watch(orders: BinaryIO, grace_s: float = GRACE_S, mark: str = "") -> None:
    """Keep the list until `orders` ends, then stop what is on it or carries the mark."""
    held: dict[int, int] = {}
    for line in orders:
        pid = int(line[1:])
        if line.startswith(b"+"):
            _hold(held, pid)
        else:
            _release(held, pid)
    stop(held, grace_s)
    for _ in range(SWEEPS if mark else 0):
        strays: dict[int, int] = {}
        for pid in find(mark):
            _hold(strays, pid)
        if not strays:
            return
        stop(strays, grace_s)


def find(mark: str) -> Iterator[int]:
    """Yield the living processes that carry the mark; none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def stop(held: dict[int, int], grace_s: float) -> None:
    """Send SIGTERM to all, wait, then SIGKILL to those still there."""
    for pid, handle in held.items():
        _signal(pid, handle, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(_is_alive(*each) for each in held.items()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid, handle in held.items():
        if _is_alive(pid, handle):
            _signal(pid, handle, signal.SIGKILL)


def _hold(held: dict[int, int], pid: int) -> None:
    try:
        held[pid] = os.pidfd_open(pid) if HAS_PIDFD else -1
    except ProcessLookupError:
        return


def _release(held: dict[int, int], pid: int) -> None:
    handle = held.pop(pid, -1)
    if handle >= 0:
        os.close(handle)


def _signal(pid: int, handle: int, number: signal.Signals) -> None:
    try:
        if handle >= 0:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(pid, number)
    except GONE:
        return


def _is_alive(pid: int, handle: int) -> bool:
    if handle >= 0:
        return not select.select([handle], [], [], 0)[0]
    try:
        os.kill(pid, 0)
    except GONE:
        return False
    return True


def main() -> None:
    """Serve standard input; signals meant for the whole group do not end this process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.stdin.buffer, mark=sys.argv[1] if len(sys.argv) > 1 else "")


if __name__ == "__main__":
    main()
