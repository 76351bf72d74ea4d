"""A data directory belongs to one running process tree at a time.

The lock is the kernel's, so it goes with the process however that ends. Children carry the
directory's name in their environment; whoever holds the lock may end every process that still
carries it, because its parent is gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.node import log

MARK: Final = "DCHAT_TREE"
"""Environment variable naming the directory that a process works for."""
LOCK_NAME: Final = "lock"
GRACE_S: Final = 5.0
POLL_S: Final = 0.05
PROC: Final = Path("/proc")

logger = log.get(__name__)


class DirectoryInUse(OperatorError):
    """Another process runs on this data directory."""

    hint = "stop it first, or use another directory"


@contextmanager
def claim(directory: Path) -> Generator[None]:
    """Hold the directory; leftovers of a killed owner are ended first. Raises: DirectoryInUse."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / LOCK_NAME
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(20).strip() or "another process"
            raise DirectoryInUse(f"{directory} is in use by process {owner}") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        end_leftovers(directory)
        yield


def environment(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that works for the directory."""
    return {**env, MARK: str(directory.resolve())}


def end_leftovers(directory: Path) -> None:
    """Stop every process that still works for the directory: SIGTERM, then SIGKILL."""
    deadline = time.monotonic() + GRACE_S
    number = signal.SIGTERM
    while leftovers := list(find(directory)):
        logger.warning("leftover_processes_found", pids=leftovers, signal=number.name)
        for pid in leftovers:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while any(pid in leftovers for pid in find(directory)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        number, deadline = signal.SIGKILL, time.monotonic() + GRACE_S


def find(directory: Path) -> Iterator[int]:
    """Yield the living processes marked with the directory; none where there is no /proc."""
    mark = f"{MARK}={directory.resolve()}".encode()
    for entry in PROC.glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
