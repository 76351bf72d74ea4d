"""`dchat query reputation`: what somebody's deeds count in the next block, and which they are."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_chat import params
from abci_chat.params import BASIS_POINTS
from abci_chat.state import reputation
from abci_chat.state.reputation import THOUSANDTHS, Contribution
from dchat.cli.asking import Asked, Fields, Source, answer, asking
from dchat.cli.foresee import foresee
from dchat.cli.show import percent
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId, Height


def register(group: typer.Typer) -> None:
    """Add the command to the group `query`."""
    group.command("reputation")(show_reputation)


@asking
def show_reputation(
    asked: Asked,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose; dchat1….")],
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also list all that the score is the sum of.")
    ] = False,
) -> None:
    """Show an account's reputation on the chat chain, as the next block counts it."""
    owner = accounts.parse_account(account)

    async def ask(source: Source) -> Fields:
        rules = await foresee(source, params.REPUTATION.load)
        height = Height(source.at + 1)
        score = await foresee(source, lambda state: reputation.score(state, owner, height))
        trusted = score >= rules.trusted_points
        shown: Fields = {
            "account": account,
            "score": score,
            "trusted": trusted,
            "trusted_from": rules.trusted_points,
            "owes_of_fees": percent(rules.trusted_fee_bp if trusted else BASIS_POINTS),
            "half_life_blocks": rules.half_life_blocks,
        }
        return {**shown, **(await _explained(source, owner, height) if explain else {})}

    answer(asked, "chat", ask)


async def _explained(source: Source, owner: AccountId, height: Height) -> Fields:
    found = await foresee(source, lambda state: reputation.contributions(state, owner, height))
    return {"contributions": [_row(each) for each in found]}


def _row(each: Contribution) -> Fields:
    """Return what is shown of deeds of one kind that were done in one half of a half-life."""
    return {
        "deed": each.mark.deed.name.lower(),
        "since_height": each.mark.since,
        "points": _points(each.mark.thousandths),
        "left": _points(each.left),
    }


def _points(thousandths: int) -> str:
    whole, rest = divmod(thousandths, THOUSANDTHS)
    return f"{whole}.{rest:03}" if rest else str(whole)
