"""Fees: what becomes of what a block's senders paid. Nothing is asked where nobody paid."""

from __future__ import annotations

from abci_currency import params
from abci_currency.params import BASIS_POINTS
from abci_currency.state import pools, rewards
from dchat.kernel import supply
from dchat.kernel.accounts import credit
from dchat.kernel.ids import Amount
from dchat.kernel.machine import BlockContext, Paid
from dchat.kernel.store import Draft


def take(draft: Draft, paid: Paid, context: BlockContext) -> None:
    """Burn a share of fees, rounded up, give the treasury one, rounded down, and stakers the rest.

    Emission that is due comes first: whoever had stake until now shares it.
    """
    rewards.accrue(draft, context.block_time_ms)
    fees = sum(paid.values())
    rules = params.REWARDS.load(draft)
    burned = -(-fees * rules.fee_burn_bp // BASIS_POINTS)
    treasury = fees * rules.fee_treasury_bp // BASIS_POINTS
    supply.burn(draft, Amount(burned))
    if treasury:
        credit(draft, pools.TREASURY, Amount(treasury))
    rewards.share_out(draft, Amount(fees - burned - treasury))
