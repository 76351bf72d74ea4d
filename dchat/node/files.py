"""Files that somebody else may have put there, read whole and within bounds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file, or of one that a link leads to.

    Raises: OSError, also where it is longer than limit or something other than a file: a pipe
    would keep us waiting, and a device might never end.
    """
    # O_NONBLOCK: opening a pipe waits for somebody to write to it
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", os.fspath(path))
    return content
