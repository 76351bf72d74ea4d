"""Postage credits: the balances of the chat chain, which nobody can pass on.

Credits come from genesis and from the bridge, and go with fees, forfeited bonds and the way back
over the bridge. Deposits and bonds are credits in a pool (`state/pools.py`) that return to who paid
them.
"""

from __future__ import annotations

from dchat.kernel import accounts, holdings, supply
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft


def mint(draft: Draft, owner: AccountId, amount: Amount) -> None:
    """Give an account credits that were paid for on the currency chain. Raises: AmountTooLarge."""
    accounts.credit(draft, owner, amount)
    supply.issue(draft, amount)


def redeem(draft: Draft, owner: AccountId, amount: Amount) -> None:
    """Take credits that go back over the bridge. Raises: InsufficientFunds."""
    holdings.burn(draft, owner, amount)
