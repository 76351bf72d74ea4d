"""Transfers: the family that moves base units between accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import pools
from dchat.kernel import codec, holdings
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft

MAX_MEMO_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move base units to another account; what all accounts hold together stays the same."""

    to: AccountId
    amount: Amount
    """Base units, above zero."""
    memo: str = ""
    """Text for the recipient, public, at most 256 bytes."""


@dataclass(frozen=True, slots=True)
class Transferred(Event):
    """Base units went from one account to another."""

    sender: AccountId
    to: AccountId
    amount: Amount


def check(tx: Transfer) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount, HeldByRules."""
    if tx.amount == 0:
        raise ZeroAmount("a transfer moves at least one base unit")
    pools.check_payee(tx.to)


def apply(draft: Draft, tx: Transfer, ctx: TxContext) -> tuple[Event, ...]:
    """Debit the sender, credit `tx.to`. Raises: InsufficientFunds, AmountTooLarge."""
    holdings.move(draft, ctx.sender, tx.to, tx.amount)
    return (Transferred(ctx.sender, tx.to, tx.amount),)


FAMILY: Final = Family(
    type=1,
    name="transfer",
    shape=codec.Record(Transfer, to=ACCOUNT_ID, amount=codec.U64, memo=codec.Text(MAX_MEMO_BYTES)),
    cost=Cost(12),
    check=check,
    apply=apply,
    spends=lambda tx: tx.amount,
)
