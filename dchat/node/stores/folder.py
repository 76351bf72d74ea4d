"""The directory that a store lives in: empty, a store of the wanted kind, or refused.

A store is told by its files, so nobody opens another backend's by a wrong setting:

    leveldb   CURRENT
    rocksdb   CURRENT and IDENTITY
    sqlite    state.sqlite
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from dchat.node.stores.backend import StoreUnusable

SQLITE_FILE: Final = "state.sqlite"
MARKERS: Final = {"leveldb": "CURRENT", "rocksdb": "CURRENT", "sqlite": SQLITE_FILE}
# What a process that died while it created a store leaves behind; holds no entry yet.
_BEGUN: Final = re.compile(
    r"LOCK|LOG(\.old.*)?|IDENTITY|MANIFEST-\d+|OPTIONS-\d+(\.dbtmp)?|\d+\.(log|dbtmp)"
    r"|rocksdict-config\.json"
)


def prepare(path: Path, kind: str) -> bool:
    """Make sure that path is a directory for this kind of store; return whether it is a new one.

    Raises: StoreUnusable if it holds something else, or cannot be made or listed.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = sorted(found.name for found in path.iterdir())
    except OSError as fault:
        raise StoreUnusable(f"cannot use {path}: {fault.strerror}") from fault
    held = _kind(names)
    if held == kind:
        return False
    if held:
        raise StoreUnusable(
            f"{path} holds a {held} store, not a {kind} one",
            f'set backend = "{held}", or name an empty directory and let the node sync again',
        )
    strange = [name for name in names if not _BEGUN.fullmatch(name)]
    if strange:
        raise StoreUnusable(
            f"{path} is no store of dchat: it holds {strange[0]} and no {MARKERS[kind]}",
            "name an empty directory, or the one this node used before",
        )
    return True


def _kind(names: list[str]) -> str | None:
    if SQLITE_FILE in names:
        return "sqlite"
    if "CURRENT" in names:
        return "rocksdb" if "IDENTITY" in names else "leveldb"
    return None
