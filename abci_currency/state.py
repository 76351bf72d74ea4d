"""Typed reads and writes over a draft of the currency chain's state."""

from __future__ import annotations

from dchat.kernel import accounts
from dchat.kernel.accounts import credit, debit
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import State

__all__ = ["balance", "credit", "debit"]


def balance(state: State, account: AccountId) -> Amount:
    """Return what the account can spend, in base units; 0 for an account never seen."""
    return accounts.load(state, account).balance
