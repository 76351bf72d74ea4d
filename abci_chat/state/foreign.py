"""The currency chain's parameters, as far as this chain has to know them: what they may be.

`("currency_params", section)` holds `[[name, least, most], …]`. Genesis writes it from the currency
chain's own bounds, so that a proposal is held against them here, where nobody knows that chain's
rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.codec import CodecError
from dchat.kernel.genesis import check_ascending
from dchat.kernel.params import Bounds
from dchat.kernel.store import Draft, State

MAX_SECTIONS: Final = 16
MAX_BOUNDS: Final = 64
MAX_NAME_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Bound:
    """The least and the most that a parameter may be."""

    name: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class ForeignSection:
    """Parameters of the other chain that belong together."""

    name: str
    bounds: tuple[Bound, ...]


_NAME: Final = codec.Text(MAX_NAME_BYTES)
_BOUND: Final = codec.Record(Bound, name=_NAME, least=codec.U64, most=codec.U64)
_BOUNDS: Final = codec.ListOf(_BOUND, MAX_BOUNDS)
SECTION: Final = codec.Record(ForeignSection, name=_NAME, bounds=_BOUNDS)


def bounds(state: State, section: str) -> Bounds | None:
    """Return the bounds of a section, by the parameter's name; None where there is none such."""
    found = state.get(keys.currency_params(section))
    if found is None:
        return None
    listed = _BOUNDS.decode_own(found)
    return MappingProxyType({each.name: (each.least, each.most) for each in listed})


def check(sections: tuple[ForeignSection, ...]) -> None:
    """Return if every section is there once and can be met. Raises: CodecError."""
    check_ascending([each.name.encode() for each in sections], "sections", "name")
    for each in sections:
        check_ascending([bound.name.encode() for bound in each.bounds], each.name, "name")
        for bound in each.bounds:
            if bound.least > bound.most:
                raise CodecError(f"{each.name}.{bound.name}: {bound.least} is above {bound.most}")


def begin(draft: Draft, sections: tuple[ForeignSection, ...]) -> None:
    """Write the bounds of sections that check() has found right."""
    for each in sections:
        draft.put(keys.currency_params(each.name), _BOUNDS.encode(each.bounds))
