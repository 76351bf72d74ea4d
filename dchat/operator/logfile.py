"""A child's output on disk: appended as it comes, never more than a bounded number of bytes.

What a full disk does not take is left out: the log must not end what it tells about.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

MAX_BYTES: Final = 8 << 20
KEPT: Final = 3


class LogFile:
    """`name.log`, with older parts in `name.log.1` (newest) to `name.log.3`."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file: BinaryIO = _append(path)
        self._size = self._file.tell()

    def write(self, line: bytes) -> None:
        """Append one line, given without its end, or what of it the disk takes."""
        with suppress(OSError):
            if self._size + len(line) + 1 > self._max_bytes:
                self._turn_over()
            self._size += self._file.write(line + b"\n")

    def close(self) -> None:
        """Release the file; write nothing after."""
        self._file.close()

    def _turn_over(self) -> None:
        for number in range(self._kept, 0, -1):
            older = _numbered(self._path, number - 1)
            if older.exists():
                older.replace(_numbered(self._path, number))
        fresh = _append(self._path)
        self._file.close()
        self._file, self._size = fresh, 0


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _append(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(handle, "ab", buffering=0)
