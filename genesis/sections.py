"""Sections of parameters as a settings file writes them: a table for each, every key optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar, cast

from dchat.kernel.params import Section
from genesis.fields import Fields, amount, basis_points, get, known, seconds, table, whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_MILLISECONDS: Final = "_ms"
_BASIS_POINTS: Final = "_bp"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a settings file: the parameter it sets, and how it is read."""

    parameter: str
    read: Callable[[object], int]


def milliseconds(raw: object) -> int:
    """Return milliseconds from seconds that are a number, or text like 14d. Raises: ValueError."""
    return 1000 * seconds(raw)


def by_name(section: Section[T]) -> Mapping[str, Key]:
    """Return a key for each parameter: its name, less the unit that the file has in its own way.

    Durations are seconds or text like 14d, basis points fractions, amounts whole tokens or credits.
    """
    found = [_key(each.name, str(each.type)) for each in fields(_instance(section.default))]
    return MappingProxyType(dict(found))


def _key(name: str, kind: str) -> tuple[str, Key]:
    if name.endswith(_MILLISECONDS):
        return name.removesuffix(_MILLISECONDS), Key(name, milliseconds)
    if name.endswith(_BASIS_POINTS):
        return name.removesuffix(_BASIS_POINTS), Key(name, basis_points)
    return name, Key(name, amount if kind == "Amount" else whole)


def read(fields: Fields, section: Section[T], keys: Mapping[str, Key]) -> T:
    """Return the values of a section in parsed TOML; what is left out has its default.

    Raises: ValueError naming the key that is unknown, unreadable or out of bounds.
    """
    chosen = table(fields.get(section.name, {}), section.name)
    known(chosen, frozenset(keys), f"{section.name}.")
    values = {keys[name].parameter: _value(chosen, section, name, keys[name]) for name in chosen}
    return cast("T", replace(_instance(section.default), **values))


def _value(chosen: Fields, section: Section[T], name: str, key: Key) -> int:
    value = get(chosen, name, key.read, f"{section.name}.")
    least, most = section.bounds[key.parameter]
    if not least <= value <= most:
        raise ValueError(
            f"{section.name}.{name}: {key.parameter} would be {value}, not {least} to {most}"
        )
    return value


def _instance(values: object) -> DataclassInstance:
    return cast("DataclassInstance", values)
