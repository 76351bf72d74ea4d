"""Fees: all of them are burned, and count as deeds of whoever paid them and has an identity.

`fee_points` for a thousand credits are as many thousandths of a point for each credit, and that is
how they are counted: nothing is lost where somebody pays in small parts, and nothing is won by
paying in large ones. Burned credits come back to nobody, so a point is never had for less, neither
by paying oneself nor by paying others. What was worked in place of a fee counts nothing.
"""

from __future__ import annotations

from abci_chat import keys, params
from abci_chat.params import BASIS_POINTS
from abci_chat.state import reputation
from abci_chat.state.reputation import Deed
from dchat.kernel import supply
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.machine import BlockContext, Paid
from dchat.kernel.store import Draft, State


def take(draft: Draft, paid: Paid, context: BlockContext) -> None:
    """Burn the fees of a block, and count them for its payers: one write for each, and one more."""
    supply.burn(draft, Amount(sum(paid.values())))
    rate = params.REPUTATION.load(draft).fee_points
    for payer, fees in paid.items():
        if draft.peek(keys.identity(payer)) is not None:
            reputation.count(draft, payer, Deed.FEES_PAID, fees * rate, context.height)


def least(state: State, sender: AccountId, fee: Amount, context: BlockContext) -> Amount:
    """Return what a sender owes where others owe this fee: trusted ones less, rounded up.

    Asked only where less is offered, so whoever pays in full has nothing looked up.
    """
    if not reputation.is_trusted(state, sender, context.height):
        return fee
    owed = fee * params.REPUTATION.load(state).trusted_fee_bp
    return Amount(-(-owed // BASIS_POINTS))
