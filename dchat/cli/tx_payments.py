"""`dchat tx`, payments: `send` and what else moves tokens from one owner to another."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.cli.ordering import Sending, Told, carry_out, ordering
from dchat.cli.show import tokens
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount

Amount_ = Annotated[str, typer.Option(help="Tokens like 5 or 0.25, or base units: 5000udchat.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("send")(send)


@ordering
def send(
    sending: Sending,
    *,
    to: Annotated[str, typer.Option(help="Recipient's account, dchat1….")],
    amount: Amount_,
    memo: Annotated[str, typer.Option(help="Public text for the recipient, to 256 bytes.")] = "",
) -> None:
    """Pay somebody and wait until a block has done it."""
    body = Transfer(accounts.parse_account(to), parse_amount(amount), memo)
    done = {"to": accounts.show_account(body.to), "amount": tokens(body.amount)}
    carry_out(sending, transfer.FAMILY, body, Told(done))
