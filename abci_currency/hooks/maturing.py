"""What ends with time: unbondings are paid out, redelegated shares are free.

A block ends at most MOST_A_BLOCK of them, the soonest first; the rest waits for the next. Who finds
the queue filled by others' dust need not wait: `settle_unbonding` pays out what is due. Nothing is
written where none is due. The hook belongs behind those that slash, so that what a block's
evidence takes is taken off what is due in the same block.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, cast

from abci_currency.state import leaving, rewards
from abci_currency.state.stake import REDELEGATION, UNBONDING
from dchat.kernel import codec, due
from dchat.kernel.due import Due
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft

MOST_A_BLOCK: Final = 100


def mature(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """End what is due, as far as a block's bound goes."""
    ended = list(islice(due.pending(draft, context.block_time_ms), MOST_A_BLOCK))
    if ended:
        rewards.accrue(draft, context.block_time_ms)
    return tuple([told for each in ended for told in _end(draft, each, context)])


def _parts(key: bytes) -> tuple[str, bytes, bytes]:
    return cast("tuple[str, bytes, bytes]", tuple(codec.unpack_array(key))[:3])


def _end(draft: Draft, each: Due, context: BlockContext) -> tuple[Event, ...]:
    """Take a place off the queue, and end its entry if that is still there."""
    draft.delete(each.place)
    key = each.entry
    found = draft.get(key)
    if found is None:
        return ()
    kind, owner, operator = _parts(key)
    if kind == "unbonding":
        draft.delete(key)
        left = UNBONDING.decode_own(found)
        ended = leaving.end_unbonding(
            draft, AccountId(owner), AccountId(operator), left, context.height
        )
        return (ended,)
    entry = REDELEGATION.decode_own(found)
    if entry.due != each.at:  # begun anew under the same number
        return ()
    draft.delete(key)
    moved = leaving.end_redelegation(draft, AccountId(owner), AccountId(operator), entry, context)
    return (moved,)
