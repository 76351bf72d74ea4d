"""`dchat query params` and `supply`: the numbers of the economy, and where every unit is."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import typer

from abci_currency import params as economy
from abci_currency.state import supply as report
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.chains import Chain
from dchat.cli.cursor import Cursor
from dchat.cli.foresee import foresee
from dchat.cli.records import LeftOut
from dchat.cli.show import Value, tokens
from dchat.kernel import accounts, params, supply
from dchat.kernel.errors import InvariantBroken, OperatorError
from dchat.kernel.params import Section
from dchat.kernel.queries import Listing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SectionName = Literal["kernel", "staking", "slashing", "rewards", "relays"]
SECTIONS: Final = MappingProxyType(
    {
        each.name: cast("Section[DataclassInstance]", each)
        for each in (economy.STAKING, economy.SLASHING, economy.REWARDS, economy.RELAYS)
    }
)


class DoesNotAddUp(OperatorError):
    """Records of the supply contradict each other: there is no report to show."""

    hint = "do not trade on this chain; tell its operators, with the line above"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `query`."""
    group.command("params")(parameters)
    group.command("supply")(show_supply)


@asking
def parameters(
    asked: Asked,
    *,
    chain: Chain = "currency",
    section: Annotated[SectionName, typer.Option(help="Which of the parameters.")] = "kernel",
) -> None:
    """Show a chain's parameters: prices and bounds, or a section of the economy's."""

    async def ask(source: Source) -> Fields:
        if section == "kernel":
            value = await source.value(params.KEY)
            return _numbers(params.SHAPE.decode(value) if value else params.DEFAULT)
        if chain == "chat":
            raise NotThere(f"the chat chain has no parameters of {section}")
        return _numbers(await foresee(source, SECTIONS[section].load))

    answer(asked, chain, ask)


def _numbers(values: DataclassInstance) -> Fields:
    """Return the numbers of a section; amounts that are not a price in base units as tokens."""
    return {
        each.name: _number(each.name, str(each.type), cast("int", getattr(values, each.name)))
        for each in fields(values)
    }


def _number(name: str, kind: str, value: int) -> Value:
    return tokens(value) if kind == "Amount" and name != "fee_per_1000_cost" else value


@asking
def show_supply(
    asked: Asked,
    *,
    chain: Chain = "currency",
    audit: Annotated[
        bool, typer.Option("--audit", help="Also add up every account; as long as there are many.")
    ] = False,
) -> None:
    """Show where every unit is: a report of proved records that add up, or none."""

    async def ask(source: Source) -> Fields:
        shown = await (_report(source) if chain == "currency" else _credits(source))
        return {**shown, **(await _audit(source) if audit else {})}

    answer(asked, chain, ask)


async def _report(source: Source) -> Fields:
    """Return the currency chain's report. Raises: NotThere, DoesNotAddUp."""
    await _supply(source)
    try:
        found = await foresee(source, report.of_state)
    except InvariantBroken as fault:
        raise DoesNotAddUp(str(fault)) from None
    return {each.name: tokens(getattr(found, each.name)) for each in fields(found)}


async def _credits(source: Source) -> Fields:
    """Return what was issued and burned of the chat chain's credits. Raises: NotThere."""
    found = await _supply(source)
    return {"issued": found.issued, "burned": found.burned, "total": found.issued - found.burned}


async def _supply(source: Source) -> supply.Supply:
    record = await source.value(supply.KEY)
    if record is None:
        raise NotThere("nothing was ever issued on this chain")
    return supply.decode(record)


async def _audit(source: Source) -> Fields:
    """Return how many accounts hold the total between them. Raises: LeftOut."""
    cursor = Cursor(source.page, [Listing(accounts.SPACE)])
    count, held = 0, 0
    while entry := await cursor.next():
        count, held = count + 1, held + accounts.decode(entry.value).balance
    record = await _supply(source)
    total = record.issued - record.burned
    if held != total:
        raise LeftOut(f"{count} accounts hold {held} base units, the supply is {total}")
    source.is_whole = True
    return {"accounts": count}
