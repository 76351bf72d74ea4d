"""Cases: reports, the juries that judge them, and what follows.

    ("case_count",)          number of the last case
    ("case", number)         [reporter, target, reported, reason, evidence, bond, opened_at, …]
    ("verdict", number, id)  whether that juror upholds the report; gone once the case is settled
    ("reports", id)          how many reports of that account wait for a verdict

    DRAWING --seed--> JUDGING --verdict_ms--> DECIDED --appeal_ms--> SETTLED

The mark on the target stands from DECIDED on. Bonds and the reporter's deed wait until the case
can be overturned no more, so that there is nothing to take back. Bonds of reports that are not
settled add up to the pool REPORT_BONDS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import Final

from abci_chat import keys, params
from abci_chat.state import beacon, jury, pools, reputation, targets
from abci_chat.state.reputation import Deed
from abci_chat.state.targets import TARGET, Target
from dchat.kernel import accounts, codec, due, holdings
from dchat.kernel.accounts import ACCOUNT_ID, ACCOUNT_ID_BYTES
from dchat.kernel.due import Due
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.family import Event, TxContext
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft, State, read

EVIDENCE_BYTES: Final = 32
MAX_JURORS: Final = 63
_SEED_TAG: Final = b"dchat/jury/v1"
_UNSET: Final = EpochMs(0)
_FIRST: Final = Height(0)


class TooManyReports(TxRejected):
    """The account's reports wait for verdicts. Attributes: open, limit."""

    code = 334

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} wait for a verdict, allowed are {limit}")
        self.open = waiting
        self.limit = limit


class UnknownCase(TxRejected):
    """There is no case of this number."""

    code = 336


class NotOnJury(TxRejected):
    """The account was not drawn for this case."""

    code = 337


class VerdictGiven(TxRejected):
    """The juror has given a verdict already."""

    code = 338


class NotJudging(TxRejected):
    """No verdict is given in this case: its jury is not drawn yet, or the time is over."""

    code = 339


class NotAppealable(TxRejected):
    """The case is not decided, was overturned, or its time for an appeal is over."""

    code = 340


class Reason(IntEnum):
    """What a reporter says is wrong; the numbers are frozen."""

    SPAM = 1
    ABUSE = 2
    ILLEGAL = 3
    IMPERSONATION = 4
    MALWARE = 5
    OTHER = 6


class Phase(IntEnum):
    """How far a case is; the numbers are frozen."""

    DRAWING = 1
    JUDGING = 2
    DECIDED = 3
    """The target is marked where the report was upheld; an appeal can overturn it."""
    SETTLED = 4


class Ruling(IntEnum):
    """What became of a report; the numbers are frozen."""

    PENDING = 0
    UPHELD = 1
    DISMISSED = 2
    """The bond is burned."""
    UNDECIDED = 3
    """No verdict, or as many for as against: the bond returns, and nothing follows."""


@dataclass(frozen=True, slots=True)
class Case:
    """A report and what became of it."""

    reporter: AccountId
    target: Target
    reported: AccountId
    """Who answers for the target; empty where nobody can say."""
    reason: Reason
    evidence: bytes
    """SHA-256 of what jurors are shown."""
    bond: Amount
    opened_at: Height = _FIRST
    phase: Phase = Phase.DRAWING
    ends_at: EpochMs = _UNSET
    """When the phase is over; 0 while the jury is drawn, and once the case is settled."""
    appeal_until: EpochMs = _UNSET
    """Until when an appeal can be opened."""
    ruling: Ruling = Ruling.PENDING
    overturned: bool = False
    uphold: int = 0
    dismiss: int = 0
    jurors: tuple[AccountId, ...] = ()


@dataclass(frozen=True, slots=True)
class JurorDrawn(Event):
    """Somebody owes a verdict until then."""

    case: int
    juror: AccountId
    until: EpochMs


@dataclass(frozen=True, slots=True)
class CaseDecided(Event):
    """The time for verdicts is over."""

    case: int
    ruling: Ruling
    uphold: int
    dismiss: int


@dataclass(frozen=True, slots=True)
class CaseOverturned(Event):
    """A vote reversed what the jury decided."""

    case: int
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class CaseSettled(Event):
    """A case is over for good."""

    case: int
    ruling: Ruling
    returned: Amount
    burned: Amount


CASE: Final = codec.Record(
    Case,
    reporter=ACCOUNT_ID,
    target=TARGET,
    reported=codec.Blob(ACCOUNT_ID_BYTES),
    reason=codec.Choice(Reason),
    evidence=codec.Fixed(EVIDENCE_BYTES),
    bond=codec.U64,
    opened_at=codec.U64,
    phase=codec.Choice(Phase),
    ends_at=codec.U64,
    appeal_until=codec.U64,
    ruling=codec.Choice(Ruling),
    overturned=codec.Bool,
    uphold=codec.U64,
    dismiss=codec.U64,
    jurors=codec.ListOf(ACCOUNT_ID, MAX_JURORS),
)


def count(state: State) -> int:
    """Return how many cases there ever were, which is the number of the last."""
    return read(state, keys.CASE_COUNT, codec.U64) or 0


def load(state: State, number: int) -> Case:
    """Return the case of that number. Raises: UnknownCase."""
    found = read(state, keys.case(number), CASE)
    if found is None:
        raise UnknownCase(f"there is no case {number}")
    return found


def verdict(state: State, number: int, juror: AccountId) -> bool | None:
    """Return whether a juror upholds the report, None for no verdict or a case long over."""
    return read(state, keys.verdict(number, juror), codec.Bool)


def waiting(state: State, reporter: AccountId) -> int:
    """Return how many reports of somebody's wait for a verdict."""
    return read(state, keys.reports(reporter), codec.U64) or 0


def open_(draft: Draft, case: Case, ctx: TxContext) -> int:
    """Take the bond, ask for a jury, and return the number of the case.

    Raises: TooManyReports, InsufficientFunds.
    """
    before, limit = waiting(draft, case.reporter), _limit(draft, case.reporter, ctx.height)
    if before >= limit:
        raise TooManyReports(before, limit)
    holdings.move(draft, case.reporter, pools.REPORT_BONDS, case.bond)
    number = count(draft) + 1
    draft.put(keys.CASE_COUNT, codec.U64.encode(number))
    _save(draft, number, replace(case, opened_at=ctx.height))
    _let_wait(draft, case.reporter, before + 1)
    jury.ask(draft)
    beacon.request(draft, keys.case(number), ctx.height)
    return number


def draw_jury(draft: Draft, number: int, seed: bytes, context: BlockContext) -> tuple[Event, ...]:
    """Draw the case's jury by the seed that it asked for; it judges from now on."""
    case = load(draft, number)
    if case.phase is not Phase.DRAWING:
        return ()
    own = sha256(_SEED_TAG + seed + keys.case(number)).digest()
    jurors = jury.draw(draft, own, case.opened_at, (case.reporter, case.reported))
    until = EpochMs(context.block_time_ms + params.MODERATION.load(draft).verdict_ms)
    judging = replace(case, phase=Phase.JUDGING, ends_at=until, jurors=jurors)
    _save(draft, number, judging)
    due.put(draft, until, keys.case(number))
    return tuple([JurorDrawn(number, juror, until) for juror in jurors])


def judge(draft: Draft, number: int, juror: AccountId, upholds: bool, now: EpochMs) -> None:  # noqa: FBT001 -- it is the verdict
    """Count a juror's verdict. Raises: UnknownCase, NotJudging, NotOnJury, VerdictGiven."""
    case = load(draft, number)
    if case.phase is not Phase.JUDGING or now >= case.ends_at:
        raise NotJudging(f"case {number} waits for no verdict")
    if juror not in case.jurors:
        raise NotOnJury(f"the account is not on the jury of case {number}")
    if verdict(draft, number, juror) is not None:
        raise VerdictGiven(f"the account has judged case {number}")
    draft.put(keys.verdict(number, juror), codec.Bool.encode(upholds))
    more = (1, 0) if upholds else (0, 1)
    counted = replace(case, uphold=case.uphold + more[0], dismiss=case.dismiss + more[1])
    _save(draft, number, counted)


def jurors_of(state: State, key: bytes) -> int:
    """Return how many are on the jury of the case of that key. Raises: UnknownCase."""
    return len(load(state, codec.U64.lift(codec.unpack_array(key)[1])).jurors)


def end(draft: Draft, key: bytes, due: Due, context: BlockContext) -> tuple[Event, ...]:
    """Decide or settle the case whose time has come; one that was put off since waits on."""
    number = codec.U64.lift(codec.unpack_array(key)[1])
    case = load(draft, number)
    if case.ends_at != due.at:
        return ()
    if case.phase is Phase.JUDGING:
        return _decide(draft, number, case, context)
    return _settle(draft, number, case, context)


def appeal(draft: Draft, number: int, until: EpochMs, now: EpochMs) -> None:
    """Keep what the case's bonds depend on open until an appeal that is opened now is decided.

    Raises: UnknownCase, NotAppealable.
    """
    case = _appealable(draft, number)
    if now >= case.appeal_until:
        raise NotAppealable(f"case {number} could be appealed until {case.appeal_until} ms")
    due.drop(draft, case.ends_at, keys.case(number))
    ends_at = EpochMs(max(case.ends_at, until + 1))
    due.put(draft, ends_at, keys.case(number))
    _save(draft, number, replace(case, ends_at=ends_at))


def overturn(draft: Draft, number: int, context: BlockContext) -> tuple[Event, ...]:
    """Reverse the ruling of a case that is not settled: mark, bond and deed follow the new one.

    A report that was not upheld is; one that was is dismissed. Raises: UnknownCase, NotAppealable.
    """
    del context
    case = _appealable(draft, number)
    ruling = Ruling.DISMISSED if case.ruling is Ruling.UPHELD else Ruling.UPHELD
    change = targets.mark if ruling is Ruling.UPHELD else targets.unmark
    change(draft, case.target, number)
    _save(draft, number, replace(case, ruling=ruling, overturned=True))
    return (CaseOverturned(number, ruling),)


def check_invariant(state: State) -> None:
    """Return if the pool holds the bonds that are not settled. For audits.

    Raises: InvariantBroken.
    """
    found = [load(state, number) for number in range(1, count(state) + 1)]
    owed = sum([case.bond for case in found if case.phase is not Phase.SETTLED])
    held = accounts.load(state, pools.REPORT_BONDS).balance
    if held != owed:
        raise InvariantBroken(f"reports are bonded with {owed}, the pool holds {held}")


def _appealable(state: State, number: int) -> Case:
    case = load(state, number)
    if case.phase is not Phase.DECIDED or case.overturned:
        raise NotAppealable(f"case {number} is not decided, settled, or overturned already")
    return case


def _limit(state: State, reporter: AccountId, height: Height) -> int:
    limit = params.MODERATION.load(state).max_open_reports
    if not reputation.is_trusted(state, reporter, height):
        return limit
    return limit * params.REPUTATION.load(state).trusted_limit_factor


def _decide(draft: Draft, number: int, case: Case, context: BlockContext) -> tuple[Event, ...]:
    ruling = _majority(case)
    told = [each for juror in case.jurors for each in _let_go(draft, number, juror, context)]
    if ruling is Ruling.UPHELD:
        targets.mark(draft, case.target, number)
    _let_wait(draft, case.reporter, waiting(draft, case.reporter) - 1)
    until = EpochMs(context.block_time_ms + params.MODERATION.load(draft).appeal_ms)
    due.put(draft, until, keys.case(number))
    decided = replace(case, phase=Phase.DECIDED, ruling=ruling, ends_at=until, appeal_until=until)
    _save(draft, number, decided)
    return (CaseDecided(number, ruling, case.uphold, case.dismiss), *told)


def _majority(case: Case) -> Ruling:
    if case.uphold == case.dismiss:
        return Ruling.UNDECIDED
    return Ruling.UPHELD if case.uphold > case.dismiss else Ruling.DISMISSED


def _let_go(
    draft: Draft, number: int, juror: AccountId, context: BlockContext
) -> tuple[Event, ...]:
    """Count the deed of a juror who gave a verdict, or charge the one who did not."""
    charged: tuple[Event, ...] = ()
    if verdict(draft, number, juror) is None:
        charged = jury.charge(draft, juror, context.height)
    else:
        points = params.REPUTATION.load(draft).verdict_points
        reputation.add(draft, juror, Deed.VERDICT, points, context.height)
    return (*charged, *jury.release(draft, juror, context.block_time_ms))


def _settle(draft: Draft, number: int, case: Case, context: BlockContext) -> tuple[Event, ...]:
    for juror in case.jurors:
        draft.delete(keys.verdict(number, juror))
    _save(draft, number, replace(case, phase=Phase.SETTLED, ends_at=_UNSET))
    if case.ruling is Ruling.DISMISSED:
        holdings.burn(draft, pools.REPORT_BONDS, case.bond)
        return (CaseSettled(number, case.ruling, Amount(0), case.bond),)
    holdings.move(draft, pools.REPORT_BONDS, case.reporter, case.bond)
    if case.ruling is Ruling.UPHELD and targets.marks(draft, case.target)[:1] == (number,):
        points = params.REPUTATION.load(draft).report_points
        reputation.add(draft, case.reporter, Deed.REPORT_UPHELD, points, context.height)
    return (CaseSettled(number, case.ruling, case.bond, Amount(0)),)


def _save(draft: Draft, number: int, case: Case) -> None:
    draft.put(keys.case(number), CASE.encode(case))


def _let_wait(draft: Draft, reporter: AccountId, reports: int) -> None:
    if reports:
        draft.put(keys.reports(reporter), codec.U64.encode(reports))
    else:
        draft.delete(keys.reports(reporter))
