"""`dchat tx`, payments: `send` and what else moves tokens from one owner to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_currency.txs import multi_transfer, transfer, vesting
from abci_currency.txs.multi_transfer import MultiTransfer, Output
from abci_currency.txs.transfer import Transfer
from abci_currency.txs.vesting import ClaimVested, DelegateVested
from dchat.cli.ordering import AmountText, Sending, Told, carry_out, ordering
from dchat.cli.query_vesting import lock_fields
from dchat.cli.show import tokens
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.node.files import read_bounded

MAX_FILE_BYTES: Final = 64 * 1024

Memo = Annotated[str, typer.Option(help="Public text for the recipient, to 256 bytes.")]


class BadOutput(OperatorError):
    """The text does not say whom to pay how much."""

    exit_code = 2
    hint = "write --to ACCOUNT=AMOUNT, or lines of ACCOUNT,AMOUNT into the file; not both"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("send")(send)
    group.command("multi-send")(multi_send)
    group.command("claim-vested")(claim_vested)
    group.command("delegate-vested")(delegate_vested)


@ordering
def send(
    sending: Sending,
    *,
    to: Annotated[str, typer.Option(help="Recipient's account, dchat1….")],
    amount: AmountText,
    memo: Memo = "",
) -> None:
    """Pay somebody and wait until a block has done it."""
    body = Transfer(accounts.parse_account(to), parse_amount(amount), memo)
    done = {"to": accounts.show_account(body.to), "amount": tokens(body.amount)}
    carry_out(sending, transfer.FAMILY, body, Told(done))


@ordering
def multi_send(
    sending: Sending,
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="ACCOUNT=AMOUNT", help="Whom to pay how much; up to 256 times."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Lines of ACCOUNT,AMOUNT in place of --to; # is a remark.")
    ] = None,
    memo: Memo = "",
) -> None:
    """Pay up to 256 accounts in one transaction: all of them, or none."""
    if to and file:
        raise BadOutput("recipients are given twice, by --to and by --file")
    outputs = read_outputs(file) if file else tuple([parse_output(each) for each in to or []])
    body = MultiTransfer(outputs, memo)
    done = {"outputs": len(outputs), "amount": tokens(multi_transfer.total(body))}
    carry_out(sending, multi_transfer.FAMILY, body, Told(done))


def parse_output(text: str, between: str = "=") -> Output:
    """Return what `ACCOUNT=AMOUNT` says. Raises: BadOutput, BadAccount, BadAmount."""
    account, found, amount = text.partition(between)
    if not found:
        raise BadOutput(f"{text!r} is not ACCOUNT{between}AMOUNT")
    return Output(accounts.parse_account(account.strip()), parse_amount(amount.strip()))


def read_outputs(file: Path) -> tuple[Output, ...]:
    """Return what the lines of a file say. Raises: BadOutput naming the line, OSError."""
    try:
        lines = read_bounded(file, MAX_FILE_BYTES).decode().splitlines()
    except UnicodeDecodeError:
        raise BadOutput(f"{file} is not UTF-8 text") from None
    found: list[Output] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            found.append(_output_in(line, f"{file}, line {number}"))
    return tuple(found)


def _output_in(line: str, where: str) -> Output:
    try:
        return parse_output(line, ",")
    except OperatorError as fault:
        raise BadOutput(f"{where}: {fault}") from None


@ordering
def claim_vested(sending: Sending) -> None:
    """Have what has vested of your locked tokens paid to you."""
    carry_out(sending, vesting.CLAIM, ClaimVested(), Told({}, lock_fields))


@ordering
def delegate_vested(
    sending: Sending,
    *,
    validator: Annotated[str, typer.Option(help="Operator of the validator, dchat1….")],
    amount: AmountText,
) -> None:
    """Stake locked tokens of yours with a validator, vested or not."""
    body = DelegateVested(accounts.parse_account(validator), parse_amount(amount))
    done = {"validator": validator, "amount": tokens(body.amount)}
    carry_out(sending, vesting.DELEGATE, body, Told(done, lock_fields))
