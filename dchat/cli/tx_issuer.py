"""`dchat tx`, issuers of delivery tokens: the bond that claims are paid from, and their keys."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import typer

from abci_currency import params
from abci_currency.txs import issuer
from abci_currency.txs.issuer import (
    CloseIssuerBond,
    OpenIssuerBond,
    PublishTokenKey,
    SettleIssuerBond,
    TopUpIssuerBond,
)
from dchat.cli.asking import Fields, Source
from dchat.cli.foresee import block_time, foresee
from dchat.cli.ordering import (
    AmountText,
    Plan,
    Sending,
    Told,
    carry_out,
    ordering,
    plan_and_carry_out,
)
from dchat.cli.query_relays import issuer_fields
from dchat.cli.show import tokens
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.node.files import read_bounded
from dchat.node.identity import Identity

MAX_KEY_BYTES: Final = 4096


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("open-issuer-bond")(open_issuer_bond)
    group.command("top-up-issuer-bond")(top_up_issuer_bond)
    group.command("close-issuer-bond")(close_issuer_bond)
    group.command("settle-issuer-bond")(settle_issuer_bond)
    group.command("publish-token-key")(publish_token_key)


@ordering
def open_issuer_bond(sending: Sending, *, amount: AmountText) -> None:
    """Set an amount aside from which claims on your delivery tokens are paid."""
    body = OpenIssuerBond(parse_amount(amount))
    carry_out(sending, issuer.OPEN, body, Told({"amount": tokens(body.amount)}, issuer_fields))


@ordering
def top_up_issuer_bond(sending: Sending, *, amount: AmountText) -> None:
    """Add to your issuer's bond."""
    body = TopUpIssuerBond(parse_amount(amount))
    carry_out(sending, issuer.TOP_UP, body, Told({"amount": tokens(body.amount)}, issuer_fields))


@ordering
def close_issuer_bond(sending: Sending) -> None:
    """Close your bond: it pays claims until the delay is over, then it can be settled."""
    carry_out(sending, issuer.CLOSE, CloseIssuerBond(), Told({}, issuer_fields))


@ordering
def settle_issuer_bond(
    sending: Sending,
    *,
    owner: Annotated[
        str | None,
        typer.Option("--issuer", help="Whose bond; the sender's when absent. dchat1…."),
    ] = None,
) -> None:
    """Have what is left of a closed bond paid back to its issuer, whoever asks."""

    async def make(_source: Source, sender: Identity) -> Plan[SettleIssuerBond]:
        whose = sender.account_id if owner is None else accounts.parse_account(owner)
        return Plan(SettleIssuerBond(whose), Told({"issuer": accounts.show_account(whose)}))

    plan_and_carry_out(sending, issuer.SETTLE, make)


@ordering
def publish_token_key(
    sending: Sending,
    *,
    key: Annotated[Path, typer.Option(help="The public key's file, SPKI in DER.")],
    exponent: Annotated[
        int, typer.Option(min=0, max=12, help="A token is worth ten to this power in udchat.")
    ],
    epoch: Annotated[
        int | None, typer.Option(min=0, help="Which epoch; the present one when absent.")
    ] = None,
) -> None:
    """Commit yourself to one key for an epoch and a denomination; it is never replaced."""
    key_hash = sha256(read_bounded(key, MAX_KEY_BYTES)).digest()

    async def make(source: Source, _sender: Identity) -> Plan[PublishTokenKey]:
        rules = await foresee(source, params.RELAYS.load)
        now = await block_time(source) // rules.token_epoch_ms
        body = PublishTokenKey(now if epoch is None else epoch, exponent, key_hash)
        done: Fields = {"epoch": body.epoch, "token": tokens(10**exponent), "key_hash": key_hash}
        return Plan(body, Told(done, issuer_fields))

    plan_and_carry_out(sending, issuer.PUBLISH, make)
