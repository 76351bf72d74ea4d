"""A chain on which work stands in for fees: a transfer's amount says how much was worked."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from abci_currency.machine import MACHINE
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import codec
from dchat.kernel.errors import ZeroAmount
from dchat.kernel.family import Event, TxContext
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft, State
from tests.fakes.memory import BOB

ENOUGH = 100
"""What the first one takes; each that runs makes the next one dearer by 1."""


def _needed(state: State) -> int:
    return ENOUGH + len(state.get(b"efforts") or b"")


def _waive(state: State, tx: Transfer, _: TxContext) -> int:
    if tx.amount < _needed(state):
        raise ZeroAmount
    return tx.amount


def _apply(draft: Draft, tx: Transfer, ctx: TxContext) -> tuple[Event, ...]:
    draft.put(b"efforts", (draft.get(b"efforts") or b"") + b"1")
    draft.put(b"nonce", bytes([ctx.nonce]))
    return () if tx.memo else transfer.FAMILY.apply(draft, tx, ctx)


FAMILY = replace(transfer.FAMILY, waive=_waive, apply=_apply)
WORKED = replace(MACHINE, families=MappingProxyType({FAMILY.type: FAMILY}))


def effort(amount: int, *, spend: bool = True) -> tuple[codec.Raw, ...]:
    """Return the body of a transfer to BOB, or of one that takes nothing, for so much work."""
    return FAMILY.body(Transfer(BOB.id, Amount(amount), "" if spend else "none"))
