"""`dchat query slashes`: what validators lost, and for what."""

from __future__ import annotations

from typing import Annotated, Final, cast

import typer

from abci_currency import keys
from abci_currency.state import liability
from abci_currency.state.liability import Fault, Slash
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.foresee import foresee
from dchat.cli.records import (
    DEFAULT_LISTED,
    After,
    Kind,
    Limit,
    Paging,
    account_at,
    list_records,
)
from dchat.cli.show import moment, percent, tokens
from dchat.kernel import accounts, codec
from dchat.kernel.ids import AccountId

SLASHES: Final = Kind("slashes", keys.SLASHES, liability.SLASH)
FAULTS: Final = {each.value: each.name.lower() for each in Fault}


def register(group: typer.Typer) -> None:
    """Add the command to the group `query`."""
    group.command("slashes")(slashes)


@asking
def slashes(
    asked: Asked,
    operator: Annotated[
        str, typer.Argument(metavar="[OPERATOR]", help="Whose validator's; all when absent.")
    ] = "",
    *,
    after: After = "",
    limit: Limit = DEFAULT_LISTED,
) -> None:
    """List slashes that stake may still bear; one validator's are proved to be all of its."""
    whose = accounts.parse_account(operator) if operator else None

    async def one(source: Source) -> Fields:
        return {"slashes": await _of_validator(source, cast("AccountId", whose))}

    async def ask(source: Source) -> Fields:
        return (await list_records(source, SLASHES, Paging(after, limit))).shown(_row)

    answer(asked, "currency", one if whose else ask)


async def _of_validator(source: Source, operator: AccountId) -> list[Fields]:
    """Return the slashes that a validator's own list names. Raises: NotThere."""
    made = await foresee(source, lambda draft: liability.slashes(draft, operator))
    if not made:
        raise NotThere("no slash of this validator is remembered")
    found: list[Fields] = []
    for each in made:
        key = keys.slash(operator, each.made_at, each.number)
        record = await source.value(key)
        found += [_row(key, liability.SLASH.decode(record))] if record else []
    return found


def _row(key: bytes, record: Slash) -> Fields:
    _, _, made_at, _ = codec.unpack_array(key)
    return {
        "operator": account_at(key, 1),
        "fault": FAULTS.get(record.fault, "unknown"),
        "offence_at": record.offence_height,
        "slashed_at": codec.U64.lift(made_at),
        "time": moment(record.time_ms),
        "fraction": percent(record.fraction_bp),
        "stake_then": tokens(record.tokens_then),
        "burned_at_once": tokens(record.burned),
    }
