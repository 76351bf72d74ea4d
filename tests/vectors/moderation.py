"""Orders of moderation, one for each outcome, on a chain where a jury has a report before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from abci_chat.state.targets import Kind, Target
from abci_chat.txs import juror, report, verdict
from abci_chat.txs.juror import JoinJury, LeaveJury
from abci_chat.txs.verdict import GiveVerdict
from dchat.kernel.family import Family
from dchat.kernel.ids import Amount, Cost
from tests.fakes.court import BOND, HANDLE, JURORS, REPORT, seated
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, Person, signed

T = TypeVar("T")
COURT = seated()
"""Bob has reported carol."""


def start() -> MemoryState:
    """Return the state in which the first order is carried out."""
    return COURT.state


def orders() -> list[bytes]:
    """Return signed orders, some of which are refused."""
    first, second = COURT.jurors()[:2]
    outsider = next(who for who in JURORS if who not in COURT.jurors())
    handle = replace(REPORT, target=Target(Kind.HANDLE, HANDLE.encode()))
    return [
        _signed(CAROL, juror.JOIN, JoinJury(BOND), 0),
        _signed(CAROL, juror.JOIN, JoinJury(Amount(5)), 1),
        _signed(CAROL, juror.LEAVE, LeaveJury(), 2),
        _signed(CAROL, juror.LEAVE, LeaveJury(), 3),
        _signed(ALICE, juror.JOIN, JoinJury(Amount(5)), 0),
        _signed(BOB, report.REPORT, handle, 1),
        _signed(CAROL, report.REPORT, REPORT, 4),
        _signed(first, verdict.VERDICT, GiveVerdict(1, upholds=True), 0),
        _signed(first, verdict.VERDICT, GiveVerdict(1, upholds=False), 1),
        _signed(second, verdict.VERDICT, GiveVerdict(1, upholds=False), 0),
        _signed(outsider, verdict.VERDICT, GiveVerdict(1, upholds=True), 0),
        _signed(second, juror.LEAVE, LeaveJury(), 1),
    ]


def _signed(who: Person, family: Family[T], fields: T, nonce: int) -> bytes:
    return signed(who, family.body(fields), nonce, fee=Amount(3000), cost_limit=Cost(3000))
