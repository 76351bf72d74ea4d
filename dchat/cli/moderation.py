"""`dchat moderation`: judging reports for a bond, and making them."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_chat import keys, params
from abci_chat.state import cases, targets
from abci_chat.state.cases import Reason
from abci_chat.state.targets import Shown, Target
from abci_chat.txs import juror, verdict
from abci_chat.txs import report as reports
from abci_chat.txs.juror import JoinJury, LeaveJury
from abci_chat.txs.report import Report
from abci_chat.txs.verdict import GiveVerdict
from dchat.cli.asking import Fields, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import (
    After,
    Plan,
    Sending,
    Told,
    carry_out,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_moderation import BadTarget, case_fields, juror_fields, named_target
from dchat.kernel import codec
from dchat.kernel.ids import AccountId, Amount
from dchat.node.identity import Identity

HELP: Final = "Report what should not be there, and judge reports for a bond."
MAX_PROOF_BYTES: Final = 4096
LOOK_BACK: Final = 100
"""Cases among which the one that was just opened is looked for, the newest first."""


class Why(StrEnum):
    """The reasons as people type them."""

    SPAM = "spam"
    ABUSE = "abuse"
    ILLEGAL = "illegal"
    IMPERSONATION = "impersonation"
    MALWARE = "malware"
    OTHER = "other"


def register(app: typer.Typer) -> None:
    """Add the `moderation` group to `app`."""
    group = typer.Typer(help=HELP)
    group.callback()(_group)
    group.command("join")(join)
    group.command("leave")(leave)
    group.command("report")(report)
    group.command("verdict")(give_verdict)
    app.add_typer(group, name="moderation")


def _group() -> None:
    """Report what should not be there, and judge reports for a bond."""


@ordering
def join(
    sending: Sending,
    *,
    bond: Annotated[int, typer.Option(min=1, help="Credits to bond, on top of those there are.")],
) -> None:
    """Bond credits for a place on the roll: jurors are drawn in proportion to their bonds."""
    told = Told({"added": bond}, juror_fields, "chat")
    carry_out(sending, juror.JOIN, JoinJury(Amount(bond)), told)


@ordering
def leave(sending: Sending) -> None:
    """Leave the roll; the bond returns after a delay, and not before your last verdict."""
    carry_out(sending, juror.LEAVE, LeaveJury(), Told({}, juror_fields, "chat"))


@ordering
def give_verdict(
    sending: Sending,
    *,
    case: Annotated[int, typer.Option(min=1, help="The case's number.")],
    uphold: Annotated[
        bool, typer.Option("--uphold/--dismiss", help="Whether the report is right.")
    ],
) -> None:
    """Say, as a juror of a case, whether its report is right; once, and everybody sees it."""

    async def after(source: Source, _sender: AccountId) -> Fields:
        return await case_fields(source, case)

    carry_out(sending, verdict.VERDICT, GiveVerdict(case, uphold), Told({}, after, "chat"))


@ordering
def report(  # noqa: PLR0913 -- Typer: one parameter per option
    sending: Sending,
    *,
    reason: Annotated[Why, typer.Option(help="What is wrong with it.")],
    evidence: Annotated[
        Path, typer.Option(help="File to be shown to jurors; its SHA-256 goes on the chain.")
    ],
    account: Annotated[str | None, typer.Option(help="Report this account, dchat1….")] = None,
    handle: Annotated[str | None, typer.Option(help="Report this handle.")] = None,
    channel: Annotated[
        str | None, typer.Option(help="Report this channel, 64 hex digits, or a post in it.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="File with the proof of the post that is reported.")
    ] = None,
    most_bond: Annotated[
        int | None, typer.Option(min=0, help="Credits to bond at most; as voted when absent.")
    ] = None,
) -> None:
    """Put an account, handle, channel or post before a jury; the bond is lost if it dismisses."""
    target, shown = _target((account, handle, channel), proof)
    digest = _digest(evidence)

    async def make(source: Source, _sender: Identity) -> Plan[Report]:
        rules = await foresee(source, params.MODERATION.load)
        most = rules.report_bond if most_bond is None else Amount(most_bond)
        body = Report(target, shown, Reason[reason.name], digest, most)
        return Plan(body, Told({"evidence": digest}, _opened(target), "chat"))

    plan_and_carry_out(sending, reports.REPORT, make, "chat")


def _target(
    named: tuple[str | None, str | None, str | None], proof: Path | None
) -> tuple[Target, tuple[Shown, ...]]:
    """Return what the options name. Raises: BadTarget, BadAccount, OSError."""
    if proof is None:
        return named_target(*named), ()
    shown = _read_proof(proof)
    path = shown.proof
    return named_target(*named, shown.first + path.offset + path.in_part.index), (shown,)


def _read_proof(path: Path) -> Shown:
    with path.open("rb") as file:
        found = file.read(MAX_PROOF_BYTES + 1)
    try:
        return targets.PROOF_OF_POST.decode(found, MAX_PROOF_BYTES)
    except codec.CodecError as fault:
        raise BadTarget(f"{path} is no proof of a post: {fault}") from None


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _opened(target: Target) -> After:
    async def after(source: Source, sender: AccountId) -> Fields:
        newest = await foresee(source, cases.count)
        for number in range(newest, max(0, newest - LOOK_BACK), -1):
            record = await source.value(keys.case(number))
            case = cases.CASE.decode(record) if record else None
            if case and (case.reporter, case.target) == (sender, target):
                return await case_fields(source, number)
        return {"case": None}

    return after
