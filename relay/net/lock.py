"""A directory or database belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dchat.kernel.errors import OperatorError


class InUse(OperatorError):
    """Another process works on the path."""

    hint = "stop the other process, or give this one a directory of its own"


@contextmanager
def locked(what: Path, by: Path) -> Generator[None]:
    """Hold `what` while the block runs, by a lock on the file `by`, which stays behind empty.

    The kernel frees it when the process dies, however it dies. Raises: InUse.
    """
    descriptor = os.open(by, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"{what} is in use by another process") from None
        yield
    finally:
        os.close(descriptor)
