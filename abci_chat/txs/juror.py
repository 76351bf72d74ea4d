"""Jurors: families that bond credits for a place on the roll, and give it up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import params
from abci_chat.state import jury
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected, ZeroAmount
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs
from dchat.kernel.store import Draft


class JurorBondTooSmall(TxRejected):
    """A juror bonds more than that. Attributes: have, need -- credits."""

    code = 330

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"bonds {have} credits, needs {need}")
        self.have = have
        self.need = need


@dataclass(frozen=True, slots=True)
class JoinJury:
    """Bond credits, or more of them: jurors are drawn in proportion."""

    amount: Amount


@dataclass(frozen=True, slots=True)
class LeaveJury:
    """Be drawn no more; the bond returns after a while."""


@dataclass(frozen=True, slots=True)
class JurorBonded(Event):
    """A juror bonds this much from now on."""

    juror: AccountId
    bond: Amount


@dataclass(frozen=True, slots=True)
class JurorLeaves(Event):
    """A juror is drawn no more, and has the bond back then, or when the last case is judged."""

    juror: AccountId
    leaves_at: EpochMs


def check_join(tx: JoinJury) -> None:
    """Apply the rules that need no state. Raises: ZeroAmount."""
    if tx.amount == 0:
        raise ZeroAmount("a bond is at least one credit")


def check_leave(_: LeaveJury) -> None:
    """Accept: only the state knows who is a juror."""


def join(draft: Draft, tx: JoinJury, ctx: TxContext) -> tuple[Event, ...]:
    """Bond the amount. Raises: JurorLeaving, JurorBondTooSmall, InsufficientFunds."""
    record = jury.bond(draft, ctx.sender, tx.amount, ctx.height)
    least = params.MODERATION.load(draft).juror_bond
    if record.bond < least:
        raise JurorBondTooSmall(record.bond, least)
    return (JurorBonded(ctx.sender, record.bond),)


def leave(draft: Draft, _: LeaveJury, ctx: TxContext) -> tuple[Event, ...]:
    """Take the sender off the roll. Raises: NotJuror, JurorLeaving."""
    leaves_at = jury.leave(draft, ctx.sender, ctx.height, ctx.block_time_ms)
    return (JurorLeaves(ctx.sender, leaves_at),)


JOIN: Final = Family(
    type=60,
    name="join_jury",
    shape=codec.Record(JoinJury, amount=codec.U64),
    cost=Cost(300),
    check=check_join,
    apply=join,
    spends=lambda tx: tx.amount,
)

LEAVE: Final = Family(
    type=61,
    name="leave_jury",
    shape=codec.Record(LeaveJury),
    cost=Cost(450),
    check=check_leave,
    apply=leave,
)

FAMILIES: Final = (JOIN, LEAVE)
