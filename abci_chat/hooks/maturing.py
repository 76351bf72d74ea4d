"""What ends with time: votes, verdicts, bonds.

A block ends at most MOST_A_BLOCK entries of the due queue, the soonest first, before its own
transactions, and cases only as long as their juries together are no more than JURORS_A_BLOCK; the
rest waits for the next block. An entry is the state key of what is due, and its first word says
whose matter it is. Nothing is written where nothing is due.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from abci_chat.state import cases, execution, jury
from dchat.kernel import codec, due
from dchat.kernel.due import Due
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.family import Event
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft

MOST_A_BLOCK: Final = 100
JURORS_A_BLOCK: Final = 7 * 64
"""A case takes a block as much time as its jury is large: this many take a tenth of a second."""

End = Callable[[Draft, bytes, Due, BlockContext], tuple[Event, ...]]
"""Ends what is due, by its key; its place in the queue is gone already."""

ENDS: Final[Mapping[str, End]] = MappingProxyType(
    {
        "proposal": execution.end,
        "case": cases.end,
        "juror": jury.end,
    }
)
"""By the first word of the entry's key."""


def mature(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """End what is due, as far as a block's bounds go."""
    told: list[Event] = []
    left = JURORS_A_BLOCK
    for each in list(islice(due.pending(draft, context.block_time_ms), MOST_A_BLOCK)):
        word = codec.unpack_array(each.entry)[0]
        if not isinstance(word, str) or word not in ENDS:
            raise InvariantBroken(f"nobody ends {each.entry.hex()}")
        left -= cases.jurors_of(draft, each.entry) if word == "case" else 0
        if left < 0:
            break
        draft.delete(each.place)
        told += ENDS[word](draft, each.entry, each, context)
    return tuple(told)
