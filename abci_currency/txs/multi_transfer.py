"""Multi-transfers: the family that pays up to 256 accounts at once, all of them or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_currency.state import pools
from abci_currency.txs.transfer import MAX_MEMO_BYTES, Transferred
from dchat.kernel import accounts, amounts, codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft

MAX_OUTPUTS: Final = 256


class NoOutputs(TxRejected):
    """A multi-transfer pays somebody."""

    code = 100


@dataclass(frozen=True, slots=True)
class Output:
    """What one account gets."""

    to: AccountId
    amount: Amount
    """Base units, above zero."""


@dataclass(frozen=True, slots=True)
class MultiTransfer:
    """Pay every output from the sender's account; who stands there twice is paid twice."""

    outputs: tuple[Output, ...]
    memo: str = ""
    """Text for all recipients, public, at most 256 bytes."""


def total(tx: MultiTransfer) -> Amount:
    """Return what all outputs get together. Raises: AmountTooLarge."""
    return amounts.add(Amount(0), Amount(sum([output.amount for output in tx.outputs])))


def check(tx: MultiTransfer) -> None:
    """Apply the rules that need no state.

    Raises: NoOutputs, ZeroAmount, HeldByRules, AmountTooLarge.
    """
    if not tx.outputs:
        raise NoOutputs("a multi-transfer has 1 to 256 outputs")
    for output in tx.outputs:
        if output.amount == 0:
            raise ZeroAmount("every output gets at least one base unit")
        pools.check_payee(output.to)
    total(tx)


def apply(draft: Draft, tx: MultiTransfer, ctx: TxContext) -> tuple[Event, ...]:
    """Debit the sender once, credit every output. Raises: InsufficientFunds, AmountTooLarge."""
    accounts.debit(draft, ctx.sender, total(tx))
    for output in tx.outputs:
        accounts.credit(draft, output.to, output.amount)
    return tuple([Transferred(ctx.sender, each.to, each.amount) for each in tx.outputs])


_OUTPUT: Final = codec.Record(Output, to=ACCOUNT_ID, amount=codec.U64)

FAMILY: Final = Family(
    type=2,
    name="multi_transfer",
    shape=codec.Record(
        MultiTransfer,
        outputs=codec.ListOf(_OUTPUT, MAX_OUTPUTS),
        memo=codec.Text(MAX_MEMO_BYTES),
    ),
    cost=Cost(12),
    check=check,
    apply=apply,
    spends=total,
    cost_per_entry=Cost(35),
)
