"""Amounts that go from one account to another, or to nobody; every unit is in some account."""

from __future__ import annotations

from dchat.kernel import supply
from dchat.kernel.accounts import credit, debit
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft


def move(draft: Draft, source: AccountId, target: AccountId, amount: Amount) -> None:
    """Take amount from one account and give it to another. Raises: InsufficientFunds."""
    debit(draft, source, amount)
    credit(draft, target, amount)


def burn(draft: Draft, source: AccountId, amount: Amount) -> None:
    """Take amount from an account, and let it be nowhere. Raises: InsufficientFunds."""
    if amount:
        debit(draft, source, amount)
        supply.burn(draft, amount)
