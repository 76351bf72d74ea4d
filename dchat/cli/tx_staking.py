"""`dchat tx`, stake: delegating it, taking it back, moving it to another validator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from abci_currency.state import stake
from abci_currency.txs import delegate as families
from abci_currency.txs.delegate import Delegate, Redelegate, SettleUnbonding, Undelegate
from dchat.cli.asking import Fields, NotThere, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import After, AmountText, Sending, Told, carry_out, ordering
from dchat.cli.query_staking import UNBONDINGS, unbonding_rows
from dchat.cli.records import list_records, owned
from dchat.cli.show import tokens
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.kernel.ids import AccountId
from dchat.kernel.store import Draft

ValidatorText = Annotated[
    str, typer.Option("--validator", help="Operator of the validator, dchat1….")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("delegate")(delegate)
    group.command("undelegate")(undelegate)
    group.command("redelegate")(redelegate)
    group.command("settle-unbonding")(settle_unbonding)


@ordering
def delegate(sending: Sending, *, validator: ValidatorText, amount: AmountText) -> None:
    """Stake tokens with a validator; rewards due there are paid at once."""
    body = Delegate(accounts.parse_account(validator), parse_amount(amount))
    done = {"validator": validator, "amount": tokens(body.amount)}
    carry_out(sending, families.DELEGATE, body, Told(done, staked_with(body.operator)))


@ordering
def undelegate(sending: Sending, *, validator: ValidatorText, amount: AmountText) -> None:
    """Take stake back: it arrives by itself after the unbonding time, less slashes until then."""
    body = Undelegate(accounts.parse_account(validator), parse_amount(amount))
    done = {"validator": validator, "amount": tokens(body.amount)}
    carry_out(sending, families.UNDELEGATE, body, Told(done, _on_its_way(body.operator)))


@ordering
def redelegate(
    sending: Sending,
    *,
    source: Annotated[str, typer.Option("--from", help="Operator that has the stake, dchat1….")],
    target: Annotated[str, typer.Option("--to", help="Operator that gets it, dchat1….")],
    amount: AmountText,
) -> None:
    """Move stake to another validator at once; it answers for the first one for a while."""
    body = Redelegate(
        accounts.parse_account(source), accounts.parse_account(target), parse_amount(amount)
    )
    done = {"source": source, "target": target, "amount": tokens(body.amount)}
    after = staked_with(body.source, body.target)
    carry_out(sending, families.REDELEGATE, body, Told(done, after))


@ordering
def settle_unbonding(sending: Sending, *, validator: ValidatorText) -> None:
    """Have stake of yours paid out that is due, without waiting until blocks come to it."""
    body = SettleUnbonding(accounts.parse_account(validator))
    told = Told({"validator": validator}, _on_its_way(body.operator))
    carry_out(sending, families.SETTLE, body, told)


def staked_with(*operators: AccountId) -> After:
    """Return what shows the sender's stake with each of these validators."""

    async def after(source: Source, sender: AccountId) -> Fields:
        rows: list[Fields] = [
            {
                "operator": accounts.show_account(operator),
                "stake": tokens(await foresee(source, _worth(sender, operator))),
            }
            for operator in operators
        ]
        return {"delegations": rows}

    return after


def _worth(delegator: AccountId, operator: AccountId) -> Callable[[Draft], int]:
    def worth(draft: Draft) -> int:
        record = stake.validator(draft, operator)
        held = stake.delegation(draft, delegator, operator)
        return stake.tokens_for(record, held.shares) if record and held else 0

    return worth


def _on_its_way(operator: AccountId) -> After:
    async def after(source: Source, sender: AccountId) -> Fields:
        left = await staked_with(operator)(source, sender)
        kind = owned(UNBONDINGS, accounts.show_account(sender))
        try:
            found = await list_records(source, kind)
        except NotThere:
            return left
        return {**left, "unbondings": await unbonding_rows(source, found)}

    return after
