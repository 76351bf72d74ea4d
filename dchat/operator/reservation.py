"""Ports that the networks of this user keep for themselves while they run.

Byte n of one file stands for port n; who holds the record lock on that byte has the port. Between
choosing ports and listening on them lies the start of a dozen processes, and a second network that
starts in the same moment must not choose the same. The kernel lets go when the owner ends, however
that happens. Networks of another user are not seen: the later one then finds the port in use.
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from dchat.operator import ports

FILE: Final = "ports.lock"


class Reservation:
    """What this process holds; a process can reserve a port that it holds already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held: set[int] = set()

    def take(self, port: int) -> bool:
        """Reserve the port if nobody else has it and nobody listens there; whether it is ours."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self._held.add(port)
        if not ports.is_free(port):
            self._release(port)
            return False
        return True

    def keep_only(self, wanted: Collection[int]) -> None:
        """Give back what was tried and is not needed."""
        for port in self._held.difference(wanted):
            self._release(port)

    def _release(self, port: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)
        self._held.discard(port)


@contextmanager
def book(folder: Path) -> Generator[Reservation]:
    """Give the way to reserve ports, kept in a folder that all networks of this user share."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / FILE).open("ab") as file:
        yield Reservation(file)
