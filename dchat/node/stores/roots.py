"""The modules' fingerprints beside the state, for more heights than the state itself.

    "r"                  [since, [app hash, [root, …]]]    of the latest state
    "r" | u64be height   [app hash, [root, …]]             what the block at height replaced

A root is `[module, entries, fingerprint]`. A block that changes nothing writes nothing here, so
the roots at a height are those that the first later record replaced, the latest where there is
none. `since` is the height from which on the records have no gap. They follow from the state: ones
that are missing, damaged or of another state are made anew from it. Source: ADR 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dchat.kernel import codec, roots
from dchat.kernel.merkle.hashing import HASH_SIZE
from dchat.kernel.roots import Root
from dchat.node.stores.backend import Backend, Reader, Write, prefix_end

KEEP: Final = 10_000
"""Heights whose roots can be asked for: fourteen hours of a block every five seconds."""

_PREFIX: Final = b"r"


@dataclass(frozen=True, slots=True)
class Roots:
    """The fingerprints of one state, and the app hash that it had."""

    app_hash: bytes
    modules: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The latest roots, and the height from which on none are missing."""

    since: int
    latest: Roots

    def oldest(self, height: int) -> int:
        """Return the least height that can be asked for while height is the latest."""
        return max(self.since, height - KEEP + 1)


ROOTS: Final = codec.Record(Roots, app_hash=codec.Fixed(HASH_SIZE), modules=roots.ROOTS)
_RECORDED: Final = codec.Record(Recorded, since=codec.U64, latest=ROOTS)


def load(reader: Reader, height: int, app_hash: bytes) -> Recorded | None:
    """Return what is recorded of the state after block height; None if that must be made anew."""
    found = reader.get(_PREFIX)
    try:
        recorded = None if found is None else _RECORDED.decode(found)
    except codec.CodecError:
        return None
    usable = recorded and recorded.latest.app_hash == app_hash and recorded.since <= height
    return recorded if usable else None


def renew(backend: Backend, recorded: Recorded) -> None:
    """Put one record in place of all. Raises: StoreUnusable."""
    stale = [key for key, _ in backend.entries(_PREFIX, prefix_end(_PREFIX))]
    backend.write([*((key, None) for key in stale), (_PREFIX, _RECORDED.encode(recorded))])


def writes(reader: Reader, height: int, before: Recorded, after: Recorded) -> Iterator[Write]:
    """Yield what the block at height records, and the removal of what nobody may ask for now."""
    if height >= KEEP and reader.get(_key(height - KEEP + 1)) is not None:
        yield _key(height - KEEP + 1), None
    if after != before:
        yield _PREFIX, _RECORDED.encode(after)
        if after.since == before.since:
            yield _key(height), ROOTS.encode(before.latest)


def find(reader: Reader, recorded: Recorded, height: int) -> Roots:
    """Return the roots of the state after block height, which must lie within what is kept.

    Raises: CodecError if a record is damaged.
    """
    for _, record in reader.entries(_key(height + 1), prefix_end(_PREFIX)):
        return ROOTS.decode(record)
    return recorded.latest


def _key(height: int) -> bytes:
    return _PREFIX + height.to_bytes(8, "big")
