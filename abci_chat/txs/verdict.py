"""Verdicts: the family by which jurors uphold or dismiss a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.state import cases
from dchat.kernel import codec
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.store import Draft


@dataclass(frozen=True, slots=True)
class GiveVerdict:
    """Uphold the report of a case, or dismiss it; once, and for everybody to see."""

    case: int
    upholds: bool


@dataclass(frozen=True, slots=True)
class Judged(Event):
    """A juror has given a verdict."""

    case: int
    juror: AccountId
    upholds: bool


def check(_: GiveVerdict) -> None:
    """Accept: only the state knows the case."""


def apply(draft: Draft, tx: GiveVerdict, ctx: TxContext) -> tuple[Event, ...]:
    """Count the sender's verdict. Raises: UnknownCase, NotJudging, NotOnJury, VerdictGiven."""
    cases.judge(draft, tx.case, ctx.sender, tx.upholds, ctx.block_time_ms)
    return (Judged(tx.case, ctx.sender, tx.upholds),)


VERDICT: Final = Family(
    type=63,
    name="give_verdict",
    shape=codec.Record(GiveVerdict, case=codec.U64, upholds=codec.Bool),
    cost=Cost(150),
    check=check,
    apply=apply,
)

FAMILIES: Final = (VERDICT,)
