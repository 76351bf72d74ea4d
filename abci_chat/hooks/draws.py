"""What a draw comes to: seeds, each to whatever waits for it, before the block's transactions.

Whoever proposes the last block of a window knows the seed when it chooses transactions, so nothing
in that block may come before what the seed decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

from abci_chat.state import beacon, cases
from abci_chat.state.beacon import Phase
from dchat.kernel import codec
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.family import Event
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft

Owner = Callable[[Draft, int, bytes, BlockContext], tuple[Event, ...]]
"""Uses a seed for the entry of that number."""


@dataclass(frozen=True, slots=True)
class SeedDrawn(Event):
    """A window is over, and one that waited got its seed."""

    window: int
    entry: bytes
    seed: bytes


OWNERS: Final[Mapping[str, Owner]] = MappingProxyType({"case": cases.draw_jury})
"""Whose entries they are, by the first word of the key."""


def hand_over(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """Count a block of a window that is open, or hand out the seeds of one that is over."""
    draw = beacon.load_draw(draft)
    if draw.phase is not Phase.OPEN:
        return ()
    if draw.left:
        return beacon.wait(draft, draw)
    told: list[Event] = []
    for entry, seed in beacon.close(draft, draw, context.height):
        told.append(SeedDrawn(draw.window, entry, seed))
        told += _use(draft, entry, seed, context)
    return tuple(told)


def _use(draft: Draft, entry: bytes, seed: bytes, context: BlockContext) -> tuple[Event, ...]:
    word, number = cast("tuple[str, int]", tuple(codec.unpack_array(entry)))
    owner = OWNERS.get(word)
    if owner is None:
        raise InvariantBroken(f"a seed for {word}, whose entries wait for none")
    return owner(draft, number, seed, context)
