"""A data directory belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dchat.kernel.errors import OperatorError

LOCK_FILE: Final = "lock"


class DirectoryInUse(OperatorError):
    """Another process works on the data directory."""

    hint = "stop the other process, or give this one a data directory of its own"


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Hold the directory while the block runs; the kernel frees it when the process dies.

    Raises: DirectoryInUse.
    """
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(f"{directory} is in use by another process") from None
        yield
    finally:
        os.close(descriptor)
