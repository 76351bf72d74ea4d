"""Reports: the family by which somebody puts a post, account, channel or handle before a jury."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import params
from abci_chat.state import cases, targets
from abci_chat.state.cases import Case, Reason
from abci_chat.state.targets import Shown, Target
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Amount, Cost
from dchat.kernel.store import Draft


class BondTooLow(TxRejected):
    """The report allows less than its bond. Attributes: have, need -- credits."""

    code = 341

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"allows {have} credits, the bond is {need}")
        self.have = have
        self.need = need


class OwnTarget(TxRejected):
    """The sender answers for what is reported."""

    code = 342


@dataclass(frozen=True, slots=True)
class Report:
    """Say that something should not be there."""

    target: Target
    shown: tuple[Shown, ...]
    """Of a post, the proof of it; else nothing."""
    reason: Reason
    evidence: bytes
    """SHA-256 of what jurors are shown."""
    most_bond: Amount
    """No more than this is bonded, whatever the parameters say by then."""


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """A case was opened."""

    case: int
    reporter: AccountId
    kind: int
    target: bytes
    sequence: int
    bond: Amount


def check(tx: Report) -> None:
    """Apply the rules that need no state. Raises: UnknownTarget."""
    targets.check(tx.target, tx.shown)


def apply(draft: Draft, tx: Report, ctx: TxContext) -> tuple[Event, ...]:
    """Open a case.

    Raises: UnknownTarget, UnknownChannel, ChannelClosed, AlreadyMarked, OwnTarget, BondTooLow,
    TooManyReports, InsufficientFunds.
    """
    reported = targets.responsible(draft, tx.target, tx.shown)
    if reported == ctx.sender:
        raise OwnTarget("the sender answers for the target")
    bond = params.MODERATION.load(draft).report_bond
    if tx.most_bond < bond:
        raise BondTooLow(tx.most_bond, bond)
    case = Case(ctx.sender, tx.target, reported, tx.reason, tx.evidence, bond)
    number = cases.open_(draft, case, ctx)
    target = tx.target
    return (Reported(number, ctx.sender, target.kind, target.name, target.sequence, bond),)


REPORT: Final = Family(
    type=62,
    name="report",
    shape=codec.Record(
        Report,
        target=targets.TARGET,
        shown=targets.SHOWN,
        reason=codec.Choice(Reason),
        evidence=codec.Fixed(cases.EVIDENCE_BYTES),
        most_bond=codec.U64,
    ),
    cost=Cost(2000),  # nine tenths of it for drawing, deciding and settling, which blocks do later
    check=check,
    apply=apply,
    spends=lambda tx: tx.most_bond,
)

FAMILIES: Final = (REPORT,)
