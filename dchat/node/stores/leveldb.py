"""LevelDB as a store, by plyvel. Batches are written with fsync; every block read is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol, cast

import plyvel  # pyright: ignore[reportMissingTypeStubs] - typed by the protocols below

from dchat.node.stores.backend import (
    Reader,
    StoreDamaged,
    StoreLocked,
    StoreUnusable,
    Tuning,
    Write,
)

BLOOM_BITS: Final = 10
MARKER: Final = "CURRENT"


class _Batch(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def write(self) -> None: ...


class _Reads(Protocol):
    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None: ...
    def iterator(
        self, *, start: bytes, stop: bytes, reverse: bool, verify_checksums: bool
    ) -> Iterator[tuple[bytes, bytes]]: ...


class _Database(_Reads, Protocol):
    def snapshot(self) -> _Reads: ...
    def write_batch(self, *, sync: bool) -> _Batch: ...
    def compact_range(self, *, start: bytes, stop: bytes) -> None: ...
    def close(self) -> None: ...


_Error: Final = cast("type[Exception]", plyvel.Error)


class _LevelReader:
    __slots__ = ("_path", "_reads")

    def __init__(self, reads: _Reads, path: Path) -> None:
        self._reads = reads
        self._path = path

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key. Raises: StoreDamaged."""
        try:
            return self._reads.get(key, verify_checksums=True)
        except _Error as fault:
            raise _damaged(self._path, fault) from fault

    def entries(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies in start <= key < stop. Raises: StoreDamaged."""
        if start >= stop:
            return
        try:
            yield from self._reads.iterator(
                start=start, stop=stop, reverse=reverse, verify_checksums=True
            )
        except _Error as fault:
            raise _damaged(self._path, fault) from fault


class LevelStore(_LevelReader):
    """One open LevelDB directory; see `backend.Backend`."""

    __slots__ = ("_database", "where")

    def __init__(self, database: _Database, path: Path) -> None:
        super().__init__(database, path)
        self._database = database
        self.where = str(path)

    def write(self, writes: Iterable[Write]) -> None:
        """Make the writes in one synced batch. Raises: StoreDamaged."""
        batch = self._database.write_batch(sync=True)
        put, delete = batch.put, batch.delete
        for key, value in writes:
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            batch.write()
        except _Error as fault:
            raise StoreUnusable(
                f"cannot write to {self._path}: {_reason(fault)}", "check the disk and its space"
            ) from fault

    def snapshot(self) -> Reader:
        """Return the store as it is now."""
        return _LevelReader(self._database.snapshot(), self._path)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was removed between start and stop."""
        self._database.compact_range(start=start, stop=stop)

    def close(self) -> None:
        """Release files and lock."""
        self._database.close()


def open_store(path: Path, tuning: Tuning) -> LevelStore:
    """Return the store in directory path, which is created if it is empty or not there.

    Raises: StoreUnusable, StoreLocked, StoreDamaged.
    """
    try:
        fresh = _prepare(path)
        database = cast("_Database", _open(path, tuning, fresh=fresh))
    except _Error as fault:
        raise _unopened(path, fault) from fault
    except OSError as fault:
        raise StoreUnusable(f"cannot use {path}: {fault.strerror}") from fault
    return LevelStore(database, path)


def _prepare(path: Path) -> bool:
    """Make sure that path is a directory of ours; return whether it is a new one."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (path / MARKER).exists():
        return False
    strange = sorted(found.name for found in path.iterdir())
    if strange:
        raise StoreUnusable(
            f"{path} is no store of dchat: it holds {strange[0]} and no {MARKER}",
            "name an empty directory, or the one this node used before",
        )
    return True


def _open(path: Path, tuning: Tuning, *, fresh: bool) -> object:
    return cast(
        "object",
        plyvel.DB(  # pyright: ignore[reportUnknownMemberType] - plyvel has no types
            str(path),
            create_if_missing=fresh,
            paranoid_checks=True,
            bloom_filter_bits=BLOOM_BITS,
            lru_cache_size=tuning.cache_bytes,
            write_buffer_size=tuning.write_buffer_bytes,
            max_open_files=tuning.max_open_files,
            compression=None,
        ),
    )


def _unopened(path: Path, fault: Exception) -> StoreUnusable:
    if "lock" in _reason(fault).lower():
        return StoreLocked(f"{path} is in use by another process")
    return _damaged(path, fault)


def _damaged(path: Path, fault: Exception) -> StoreDamaged:
    return StoreDamaged(f"the store in {path} is damaged: {_reason(fault)}")


def _reason(fault: Exception) -> str:
    """Return LevelDB's own words, which plyvel hands over as bytes."""
    first = cast("object", fault.args[0]) if fault.args else b""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(fault)
