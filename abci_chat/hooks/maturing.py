"""What ends with time: votes, verdicts, bonds.

A block ends at most MOST_A_BLOCK entries of the due queue, the soonest first, before its own
transactions; the rest waits for the next block. An entry is the state key of what is due, and its
first word says whose matter it is. Nothing is written where nothing is due.
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
from dchat.kernel.machine import BlockContext, Event
from dchat.kernel.store import Draft

MOST_A_BLOCK: Final = 100

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
    """End what is due, as far as a block's bound goes."""
    ended = list(islice(due.pending(draft, context.block_time_ms), MOST_A_BLOCK))
    return tuple([told for each in ended for told in _end(draft, each, context)])


def _end(draft: Draft, each: Due, context: BlockContext) -> tuple[Event, ...]:
    draft.delete(each.place)
    word = codec.unpack_array(each.entry)[0]
    if not isinstance(word, str) or word not in ENDS:
        raise InvariantBroken(f"nobody ends {each.entry.hex()}")
    return ENDS[word](draft, each.entry, each, context)
