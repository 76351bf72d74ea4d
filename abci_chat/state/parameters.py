"""Parameter changes: what a vote may set, and how it comes into force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from abci_chat import params
from abci_chat.params import GOVERNANCE
from abci_chat.state import foreign
from abci_chat.state.contents import Chain, Change, ParamsChange
from dchat.kernel import supply
from dchat.kernel.errors import ParameterOutOfBounds, TxRejected
from dchat.kernel.family import Event
from dchat.kernel.params import Section
from dchat.kernel.store import Draft, State

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CREDITS_PER_DEPOSIT: Final = 100
"""What voting takes is at most one part in so many of all credits there are."""
_TAKEN: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {GOVERNANCE.name: ("deposit", "ballot_bond"), "kernel": ("fee_per_1000_cost",)}
)
"""A proposal's deposit, a ballot's bond, the fee of some three ballots."""


class UnknownParameter(TxRejected):
    """No section of that name has a number of that name."""

    code = 303


@dataclass(frozen=True, slots=True)
class ParamsChanged(Event):
    """A vote has put other numbers in force."""

    section: str
    changes: tuple[Change, ...]


def change(draft: Draft, order: ParamsChange) -> ParamsChanged:
    """Put the numbers in force. Raises: UnknownParameter, ParameterOutOfBounds."""
    section = _section(order.section)
    values = cast("DataclassInstance", section.load(draft))
    _check_names(order, [each.name for each in fields(values)])
    section.save(draft, replace(values, **{each.name: each.value for each in order.changes}))
    check_together(draft)
    _check_affordable(draft, section)
    return ParamsChanged(order.section, order.changes)


def check_foreign(state: State, order: ParamsChange) -> None:
    """Return if the currency chain may get these numbers, by the bounds that genesis wrote.

    Raises: UnknownParameter, ParameterOutOfBounds.
    """
    bounds = foreign.bounds(state, order.section)
    if bounds is None:
        raise UnknownParameter(f"the currency chain has no parameters {order.section!r}")
    _check_names(order, list(bounds))
    for each in order.changes:
        least, most = bounds[each.name]
        if not least <= each.value <= most:
            raise ParameterOutOfBounds(each.name, each.value, least, most)


def check_together(state: State) -> None:
    """Return if the sections in force fit together. Raises: ParameterOutOfBounds."""
    params.check_together(
        params.IDENTITIES.load(state), params.GOVERNANCE.load(state), params.MODERATION.load(state)
    )


def _section(name: str) -> Section[Any]:
    if name not in params.VOTED:
        raise UnknownParameter(f"the {Chain.CHAT.name.lower()} chain has no parameters {name!r}")
    return params.VOTED[name]


def _check_names(order: ParamsChange, names: Sequence[str]) -> None:
    for each in order.changes:
        if each.name not in names:
            raise UnknownParameter(f"{order.section} has no number {each.name!r}")


def _check_affordable(draft: Draft, section: Section[Any]) -> None:
    """Return if votes can still be paid for: one must not be the last.

    Raises: ParameterOutOfBounds.
    """
    rules, held = section.load(draft), supply.load(draft)
    most = (held.issued - held.burned) // CREDITS_PER_DEPOSIT  # rounded down: less is dearer
    for name in _TAKEN.get(section.name, ()):
        have: int = getattr(rules, name)
        if have > most:
            raise ParameterOutOfBounds(name, have, 0, most)
