"""`dchat query rewards`: what an account could withdraw now, worked out from proved records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from abci_currency.state import rewards
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import block_time, foresee
from dchat.cli.query_staking import DELEGATIONS
from dchat.cli.records import account_at, list_records, owned
from dchat.cli.show import moment, tokens
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft


def register(group: typer.Typer) -> None:
    """Add the command to the group `query`."""
    group.command("rewards")(show_rewards)


@asking
def show_rewards(
    asked: Asked,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose, dchat1….")],
    *,
    operators: Annotated[
        list[str] | None,
        typer.Option("--validator", help="Only with this operator's; may be given often."),
    ] = None,
) -> None:
    """Show what an account could withdraw now, with emission up to the newest header's time."""
    owner = accounts.parse_account(account)
    named = [accounts.parse_account(each) for each in operators or []]

    async def ask(source: Source) -> Fields:
        return await reward_fields(source, owner, named or await _operators(source, account))

    answer(asked, "currency", ask)


async def _operators(source: Source, account: str) -> list[AccountId]:
    """Return the operators of all validators that an account has stake with."""
    try:
        found = await list_records(source, owned(DELEGATIONS, account))
    except NotThere:
        return []
    return [accounts.parse_account(account_at(key, 2)) for key, _ in found.entries]


async def reward_fields(source: Source, owner: AccountId, operators: Sequence[AccountId]) -> Fields:
    """Return what these validators, and the owner's own one by commission, have for an owner."""
    now = await block_time(source)

    def due(draft: Draft) -> tuple[list[Amount], Amount]:
        rewards.accrue(draft, now)
        each = [rewards.claim(draft, owner, operator) for operator in operators]
        return each, rewards.claim_commission(draft, owner)

    each, commission = await foresee(source, due)
    paid_to = await foresee(source, lambda draft: rewards.paid_to(draft, owner))
    rows: list[Fields] = [
        {"operator": accounts.show_account(operator), "rewards_due": tokens(amount)}
        for operator, amount in zip(operators, each, strict=True)
    ]
    return {
        "account": accounts.show_account(owner),
        "delegations": rows,
        "rewards_due": tokens(sum(each)),
        "commission_due": tokens(commission),
        "paid_to": accounts.show_account(paid_to),
        "as_of": moment(now),
    }
