"""What a crash or a bad disk does to a file: cut it short, bend it, empty it, hide it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

TAIL_BYTES = 61

Damage = Callable[[Path], None]


def cut(file: Path) -> None:
    """The end of the last write is missing."""
    os.truncate(file, file.stat().st_size - min(TAIL_BYTES, file.stat().st_size // 2))


def bend_tail(file: Path) -> None:
    """The end of the last write is something else."""
    _bend(file, file.stat().st_size - min(TAIL_BYTES, file.stat().st_size), TAIL_BYTES)


def bend_middle(file: Path) -> None:
    """One byte amid the file is another one."""
    _bend(file, file.stat().st_size // 2, 1)


def pad(file: Path) -> None:
    """Space was taken for the last write, and nothing is in it."""
    os.truncate(file, file.stat().st_size + 4096)


def empty(file: Path) -> None:
    """Nothing of it reached the disk but its name."""
    os.truncate(file, 0)


KINDS: Mapping[str, Damage] = {
    each.__name__: each for each in (cut, bend_tail, bend_middle, pad, empty)
}


def last_written(folder: Path, pattern: str) -> Path:
    """The file of a database that took its last write."""
    files = [file for file in folder.glob(pattern) if file.stat().st_size]
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def _bend(file: Path, at: int, size: int) -> None:
    content = bytearray(file.read_bytes())
    content[at : at + size] = bytes(byte ^ 0xFF for byte in content[at : at + size])
    file.write_bytes(content)
