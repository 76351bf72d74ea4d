"""Anchors: every so often a block that carried something becomes what new work is bound to.

A block in which nothing was written leaves no anchor, or an idle chain would make another block for
every one.
"""

from __future__ import annotations

from abci_chat.state import work
from dchat.kernel.family import Event
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft


def take(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """Take the block as an anchor if it did anything and the last one is old enough."""
    if context.block_hash and draft.is_touched:
        work.take_anchor(draft, context.chain_id, context.block_hash, context.height)
    return ()
