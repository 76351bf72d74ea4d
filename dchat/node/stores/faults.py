"""A database's own words turned into what the operator can do about them."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from typing import Final

from dchat.node.stores.backend import StoreDamaged, StoreFull, StoreLocked, StoreUnusable

# What SQLite needs for its shared index.
SPARE_BYTES: Final = 64 << 10
_FULL: Final = ("no space left", "disk is full", "quota exceeded")
_LOCKED: Final = ("/lock: ", "lock hold by", "already held by process", "database is locked")
_MACHINE: Final = ("too many open files", "permission denied", "read-only file system")


def unopened(path: Path, words: str) -> StoreUnusable:
    """Return why a store could not be opened or read."""
    said = words.lower()
    if _is_full(path, said):
        return StoreFull(f"no space is left on the disk of {path}", _space(path))
    if any(sign in said for sign in _MACHINE):
        return StoreUnusable(f"cannot use {path}: {words}", "check rights and limits of the disk")
    if any(sign in said for sign in _LOCKED):
        return StoreLocked(f"{path} is in use by another process")
    return StoreDamaged(
        f"the store in {path} is damaged: {words}",
        f"mv {path} {path}.damaged, then start again: CometBFT's blocks build the state anew",
    )


def unwritten(path: Path, words: str) -> StoreUnusable:
    """Return why a batch was not written."""
    if _is_full(path, words.lower()):
        return StoreFull(f"cannot write to {path}: no space is left on the disk", _space(path))
    return StoreUnusable(f"cannot write to {path}: {words}", "check the disk and its space")


def broken_off(first: StoreUnusable) -> StoreUnusable:
    """Return what is said to a write after one that failed half way: the same, and that it did."""
    return type(first)(f"a write before this one failed: {first}", first.hint)


def _space(path: Path) -> str:
    """Return how to see what takes the space, and what then."""
    return f"df -h {path} shows the disk; free some space there and start again"


def _is_full(path: Path, said: str) -> bool:
    """Return whether the disk is full; SQLite calls some of that an I/O error and no more."""
    if any(sign in said for sign in _FULL):
        return True
    return "i/o error" in said and path.exists() and disk_usage(path).free < SPARE_BYTES
