"""What is due at a time: a queue in the state, the soonest first.

`("maturing", due, entry)` holds an empty array; due is eight bytes of milliseconds of block time,
the most significant first, and entry says what is due, for instance by its key. A block ends as
many as its hook says. Nothing is written where none is due, so an idle chain stays idle; what is
due then waits for the next block that comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from dchat.kernel import codec
from dchat.kernel.ids import EpochMs
from dchat.kernel.store import Draft, State

SPACE: Final = codec.pack(("maturing", b"", b""))[:-4]
"""What every key of the queue begins with."""
_DUE_BYTES: Final = 8
_PRESENT: Final = codec.pack(())


@dataclass(frozen=True, slots=True)
class Due:
    """One place in the queue."""

    place: bytes
    """Its key."""
    at: EpochMs
    entry: bytes


def key(at: EpochMs, entry: bytes) -> bytes:
    """Return the key of an entry's place."""
    return codec.pack(("maturing", at.to_bytes(_DUE_BYTES, "big"), entry))


def put(draft: Draft, at: EpochMs, entry: bytes) -> None:
    """Put the entry into the queue; the same one at the same time is there once."""
    draft.put(key(at, entry), _PRESENT)


def drop(draft: Draft, at: EpochMs, entry: bytes) -> None:
    """Take the entry out of the queue, if it is in there."""
    draft.delete(key(at, entry))


def pending(state: State, now: EpochMs) -> Iterator[Due]:
    """Yield what is due now, the soonest first; it stays in the queue."""
    for place, _ in state.scan(SPACE):
        _, due, entry = cast("tuple[str, bytes, bytes]", tuple(codec.unpack_array(place)))
        at = EpochMs(int.from_bytes(due, "big"))
        if at > now:
            return
        yield Due(place, at, entry)
