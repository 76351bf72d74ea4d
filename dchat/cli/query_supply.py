"""`dchat query params` and `supply`: the numbers of a chain's rules, and where every unit is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, cast

import typer

from abci_chat import params as community
from abci_chat.state import pools
from abci_currency import params as economy
from abci_currency.state import supply as report
from dchat.cli.asking import Asked, Fields, NotThere, Source, answer, asking
from dchat.cli.chains import Chain, ChainName
from dchat.cli.cursor import Cursor
from dchat.cli.foresee import foresee
from dchat.cli.records import LeftOut
from dchat.cli.show import tokens
from dchat.kernel import accounts, params, supply
from dchat.kernel.errors import InvariantBroken, OperatorError
from dchat.kernel.params import Section
from dchat.kernel.queries import Listing
from dchat.kernel.store import State

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

Community = Literal["identities", "work", "channels", "governance", "moderation", "reputation"]
SectionName = Literal["kernel", "staking", "slashing", "rewards", "relays", Community]
SECTIONS: Final[Mapping[ChainName, Mapping[str, Section[Any]]]] = MappingProxyType(
    {"chat": community.SECTIONS, "currency": economy.SECTIONS}
)

PRICES: Final = frozenset({"fee_per_1000_cost"})
"""In base units on either chain."""


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
    """Show a chain's parameters: prices and bounds, or a section of its rules."""

    async def ask(source: Source) -> Fields:
        if section == "kernel":
            value = await source.value(params.KEY)
            return _numbers(params.SHAPE.decode(value) if value else params.DEFAULT, chain)
        if section not in SECTIONS[chain]:
            raise NotThere(f"the {chain} chain has no parameters of {section}")
        return _numbers(await foresee(source, SECTIONS[chain][section].load), chain)

    answer(asked, chain, ask)


def _numbers(values: DataclassInstance, chain: ChainName) -> Fields:
    """Return the numbers of a section; amounts of DCHAT that are not a price as tokens."""
    found = {each.name: cast("int", getattr(values, each.name)) for each in fields(values)}
    in_tokens = [each.name for each in fields(values) if str(each.type) == "Amount"]
    if chain == "chat":
        return found
    return {**found, **{each: tokens(found[each]) for each in in_tokens if each not in PRICES}}


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
        shown = await (_tokens(source) if chain == "currency" else _credits(source))
        return {**shown, **(await _audit(source) if audit else {})}

    answer(asked, chain, ask)


async def _tokens(source: Source) -> Fields:
    """Return the currency chain's report. Raises: NotThere, DoesNotAddUp."""
    found = await _adding_up(source, report.of_state)
    return {each.name: tokens(getattr(found, each.name)) for each in fields(found)}


async def _credits(source: Source) -> Fields:
    """Return the chat chain's report. Raises: NotThere, DoesNotAddUp."""
    found = await _adding_up(source, lambda state: supply.report(state, pools.NAMES))
    held = {name: found.held[pool] for pool, name in pools.NAMES.items()}
    whole = {each: getattr(found, each) for each in ("issued", "burned", "total", "liquid")}
    return {**whole, **held}


async def _adding_up(source: Source, rules: Callable[[State], T]) -> T:
    await _supply(source)
    try:
        return await foresee(source, rules)
    except InvariantBroken as fault:
        raise DoesNotAddUp(str(fault)) from None


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
