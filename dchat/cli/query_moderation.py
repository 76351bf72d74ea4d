"""`dchat query` of moderation: cases, what their juries say, and who may be drawn."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from abci_chat import keys
from abci_chat.state import cases, jury, pools, targets
from abci_chat.state.cases import Case
from abci_chat.state.jury import Juror
from abci_chat.state.targets import Kind, Target
from dchat.cli import digits, records
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.records import DEFAULT_LISTED, After, Limit, Paging, account_at, add_up
from dchat.cli.show import moment
from dchat.kernel import accounts, codec
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import AccountId

CASES: Final = records.Kind("cases", keys.CASES, cases.CASE)
JURORS: Final = records.Kind("jurors", keys.JURORS, jury.JUROR)
UNKNOWN: Final = "unknown"


class BadTarget(OperatorError):
    """The options do not name one thing that can be reported."""

    exit_code = 2
    hint = "give one of --account, --handle, --channel; for a post --channel and which one"


Number = Annotated[int, typer.Argument(metavar="CASE", min=1, help="The case's number.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("cases")(show_cases)
    group.command("case")(show_case)
    group.command("jurors")(show_jurors)
    group.command("mark")(show_mark)


@asking
def show_cases(asked: Asked, *, after: After = "", limit: Limit = DEFAULT_LISTED) -> None:
    """List reports: what they are about, how far they are, and what became of them."""

    async def ask(source: Source) -> Fields:
        found = await records.list_records(source, CASES, Paging(after, limit))
        return found.shown(_case_row)

    answer(asked, "chat", ask)


def _case_row(key: bytes, case: Case) -> Fields:
    return {
        "case": codec.U64.lift(codec.unpack_array(key)[1]),
        "target": target_text(case.target),
        "reason": case.reason.name.lower(),
        "phase": case.phase.name.lower(),
        "ends_at": moment(case.ends_at),
        "ruling": case.ruling.name.lower(),
    }


def target_text(target: Target) -> str:
    """Return what a report is about, as people read it."""
    match target.kind:
        case Kind.ACCOUNT:
            return f"account {accounts.show_account(AccountId(target.name))}"
        case Kind.HANDLE:
            return f"handle {target.name.decode('ascii', 'replace')}"
        case Kind.CHANNEL:
            return f"channel {target.name.hex()}"
        case Kind.POST:
            return f"post {target.sequence} in {target.name.hex()}"


@asking
def show_case(asked: Asked, number: Number) -> None:
    """Show a report, its jury and their verdicts, and until when it can be appealed."""
    answer(asked, "chat", lambda source: case_fields(source, number))


async def case_fields(source: Source, number: int) -> Fields:
    """Return all that the chain knows of a case. Raises: NotThere."""
    record = await source.value(keys.case(number))
    if record is None:
        raise NotThere(f"there is no case {number}")
    case = cases.CASE.decode(record)
    return {
        "case": number,
        "target": target_text(case.target),
        "reported": accounts.show_account(case.reported) if case.reported else UNKNOWN,
        "reporter": accounts.show_account(case.reporter),
        "reason": case.reason.name.lower(),
        "evidence": case.evidence,
        "bond": case.bond,
        "opened_at": case.opened_at,
        "phase": case.phase.name.lower(),
        "ends_at": moment(case.ends_at),
        "appeal_until": moment(case.appeal_until),
        "ruling": case.ruling.name.lower(),
        "overturned": case.overturned,
        "uphold": case.uphold,
        "dismiss": case.dismiss,
        "marked_in": await _marks(source, case.target),
        "jurors": [await _verdict(source, number, juror) for juror in case.jurors],
    }


@asking
def show_mark(
    asked: Asked,
    *,
    account: Annotated[str | None, typer.Option(help="Whether this account is, dchat1….")] = None,
    handle: Annotated[str | None, typer.Option(help="Whether this handle is.")] = None,
    channel: Annotated[str | None, typer.Option(help="Whether this channel is, or a post.")] = None,
    post: Annotated[int, typer.Option(min=0, help="Number of the post in the channel.")] = 0,
) -> None:
    """Show whether reports of something were upheld, and in which cases; or that none was."""
    target = named_target(account, handle, channel, post)

    async def ask(source: Source) -> Fields:
        found = await _marks(source, target)
        if not found:
            raise NotThere(f"no report of {target_text(target)} is upheld")
        return {"target": target_text(target), "cases": found}

    answer(asked, "chat", ask)


def named_target(
    account: str | None, handle: str | None, channel: str | None, post: int = 0
) -> Target:
    """Return what options name, a post where it has a number. Raises: BadTarget, BadAccount."""
    match (account, handle, channel, post):
        case (str(), None, None, 0):
            return Target(Kind.ACCOUNT, accounts.parse_account(account))
        case (None, str(), None, 0):
            return Target(Kind.HANDLE, handle.encode())
        case (None, None, str(), _):
            kind = Kind.POST if post else Kind.CHANNEL
            return Target(kind, digits.parse(channel, "a channel id"), post)
        case _:
            raise BadTarget("name one account, handle, channel or post")


async def _marks(source: Source, target: Target) -> list[int]:
    found = await source.value(keys.mark(target.kind, target.name, target.sequence))
    return list(targets.MARK.decode(found)) if found else []


async def _verdict(source: Source, number: int, juror: AccountId) -> Fields:
    found = await source.value(keys.verdict(number, juror))
    said = {None: "none", True: "uphold", False: "dismiss"}
    verdict = codec.Bool.decode(found) if found else None
    return {"juror": accounts.show_account(juror), "verdict": said[verdict]}


@asking
def show_jurors(asked: Asked, *, after: After = "", limit: Limit = DEFAULT_LISTED) -> None:
    """List jurors: what they bonded, and how many verdicts they owe."""

    async def ask(source: Source) -> Fields:
        found = await records.list_records(source, JURORS, Paging(after, limit))
        await add_up(source, found, pools.JUROR_BONDS, lambda record: record.bond)
        return found.shown(lambda key, record: {"juror": account_at(key, 1), **_juror(record)})

    answer(asked, "chat", ask)


async def juror_fields(source: Source, who: AccountId) -> Fields:
    """Return what somebody bonded as a juror."""
    record = await source.value(keys.juror(who))
    if record is None:
        return {"bond": 0}
    return _juror(jury.JUROR.decode(record))


def _juror(record: Juror) -> Fields:
    return {
        "bond": record.bond,
        "verdicts_owed": record.cases,
        "leaves_at": moment(record.leaves_at),
    }
