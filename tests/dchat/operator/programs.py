"""Tiny programs that tests start as children."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio

PATIENCE_S = 20.0

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(600)"
)


def python(program: str) -> tuple[str, ...]:
    """A command that runs a Python program."""
    return (sys.executable, "-c", program)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_dead(*pids: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while alive := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            raise AssertionError(f"still there: {alive}")
        time.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    """Return once it holds; what it waits for is another process, so it can only be asked again."""
    with trio.fail_after(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - see above
            await trio.sleep(0.01)


def wait_for_file(path: Path) -> str:
    """The content of a file once it is there and not empty."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists() or not path.read_text():
        if time.monotonic() > deadline:
            raise AssertionError(f"{path} was not written")
        time.sleep(0.02)
    return path.read_text()


def wait_until_ignored(pid: int, number: int) -> None:
    """Return once the process ignores the signal."""
    deadline = time.monotonic() + PATIENCE_S
    while not _ignored(pid) >> (number - 1) & 1:
        if time.monotonic() > deadline:
            raise AssertionError(f"process {pid} does not ignore signal {number}")
        time.sleep(0.02)


def _ignored(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)


def kill(pid: int) -> None:
    if is_alive(pid):
        os.kill(pid, 9)
