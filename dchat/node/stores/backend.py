"""What storage asks of a database: ordered keys, consistent reads, one synced batch.

Every backend passes `tests/dchat/node/stores/test_backends.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from dchat.kernel.errors import OperatorError

# A write: the key, and its new value or None to remove it.
Write = tuple[bytes, bytes | None]


class StoreUnusable(OperatorError):
    """The directory holds no store that this process can open."""

    exit_code: ClassVar[int] = 1


class StoreDamaged(StoreUnusable):
    """The database contradicts itself or its checksums."""

    hint = "move the directory away and start again: CometBFT's blocks build the state anew"


class StoreLocked(StoreUnusable):
    """Another process has the store open."""

    hint = "stop the process that uses this data directory first"


class StoreFull(StoreUnusable):
    """The disk has no space for the write; what was committed before is whole."""

    hint = "free some space and start again"


@dataclass(frozen=True, slots=True)
class Tuning:
    """How much a store may use. Bytes; files; threads. None where the backend has its own way."""

    cache_bytes: int = 8 << 20
    write_buffer_bytes: int = 16 << 20
    max_open_files: int | None = None
    compaction_threads: int | None = None


def refuse(backend: str, **given: int | None) -> None:
    """Raise StoreUnusable for the first of the settings that is given: this backend has no such."""
    for name, value in given.items():
        if value is not None:
            raise StoreUnusable(
                f"the {backend} backend has no {name}", f"leave {name} out, or take another backend"
            )


class Reader(Protocol):
    """Reads that see one version of the store."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key, None where there is none. Raises: StoreDamaged."""
        ...

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop, ascending unless reverse.

        Raises: StoreDamaged.
        """
        ...


class Backend(Reader, Protocol):
    """An open database, safe to use from any thread until it is closed.

    `where` names it to a person: its directory or file.
    """

    where: str

    def write(self, writes: Iterable[Write]) -> None:
        """Make the writes, all or none; they are on disk on return.

        Raises: StoreUnusable. What was there before can still be read then, and is found whole
        when the store is opened again.
        """
        ...

    def snapshot(self) -> Reader:
        """Return the store as it is now; later writes do not show until it is dropped."""
        ...

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give the space of what was removed in this range back to the disk."""
        ...

    def close(self) -> None:
        """Release files and lock. Closing again does nothing."""
        ...


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all that begin with prefix; a prefix of 0xff bytes has none.

    Raises: ValueError if prefix has no end.
    """
    head = prefix.rstrip(b"\xff")
    if not head:
        raise ValueError("a prefix of 0xff bytes has no end")
    return head[:-1] + bytes([head[-1] + 1])
