"""Who was away too long loses a little stake and its place, until it says that it is back.

A block tells who signed the one before. On an idle chain nothing is written here, with a validator
down either: only when a streak of missed blocks begins, ends or was too long.
"""

from __future__ import annotations

from abci_currency import params
from abci_currency.state import presence, slashing
from abci_currency.state.liability import Fault
from abci_currency.state.presence import Streak
from abci_currency.state.slashing import Charge
from dchat.kernel.family import Event
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft


def count(draft: Draft, context: BlockContext) -> tuple[Event, ...]:
    """Take note of who did not sign the block before; slash and jail whom that makes too many."""
    powers = {vote.address: vote.power for vote in context.last_commit if not vote.present}
    height = Height(context.height - 1)
    late = presence.observe(draft, height, powers) if context.last_commit else ()
    return tuple(
        [told for each in late for told in _punish(draft, each, powers[each.address], context)]
    )


def _punish(draft: Draft, streak: Streak, power: int, context: BlockContext) -> tuple[Event, ...]:
    rules = params.SLASHING.load(draft)
    charge = Charge(
        Fault.DOWNTIME,
        Height(context.height - 1),
        slashing.stake_of(power),
        rules.downtime_slash_bp,
    )
    until = EpochMs(context.block_time_ms + rules.downtime_jail_ms)
    return (
        *slashing.slash(draft, streak.operator, charge, context),
        *slashing.jail(draft, streak.operator, until),
    )
