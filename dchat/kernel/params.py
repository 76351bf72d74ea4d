"""Parameters: what a vote or genesis may set, each within its bounds.

`("params", section)` holds one section. The kernel's, which both chains have, says what a
transaction may cost, weigh and wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from dchat.kernel import codec
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount, Cost, Height
from dchat.kernel.store import Draft, State, read

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_BLOCK_BYTES: Final = 32 * 1024 * 1024
"""No chain may allow larger blocks: one must fit into an ABCI frame, or it stops every node."""
_COSTS_PER_PRICE: Final = 1000

T = TypeVar("T")
Bounds = Mapping[str, tuple[int, int]]
"""The least and the most that each number of a section may be, by its name."""


@cache
def _key(section: str) -> bytes:
    return codec.pack(("params", section))


@dataclass(frozen=True, slots=True)
class Section(Generic[T]):
    """Parameters that belong together, one frozen dataclass of integers."""

    name: str
    shape: codec.Record[T]
    default: T
    bounds: Bounds

    @property
    def key(self) -> bytes:
        """Return the state key of the section."""
        return _key(self.name)

    def check(self, values: T) -> None:
        """Return if every value is within its bounds. Raises: ParameterOutOfBounds."""
        for name, (least, most) in self.bounds.items():
            have = cast("int", getattr(values, name))
            if not least <= have <= most:
                raise ParameterOutOfBounds(name, have, least, most)

    def load(self, state: State) -> T:
        """Return the values in force, the defaults before genesis wrote any."""
        return read(state, self.key, self.shape) or self.default

    def save(self, draft: Draft, values: T) -> None:
        """Put values in force from now on. Raises: ParameterOutOfBounds."""
        self.check(values)
        draft.put(self.key, self.shape.encode(values))


def section(name: str, default: T, bounds: Bounds) -> Section[T]:
    """Return the section whose values are default's: a frozen dataclass of whole numbers."""
    names = [field.name for field in fields(cast("DataclassInstance", default))]
    shape = codec.Record(type(default), **dict.fromkeys(names, codec.U64))
    return Section(name, shape, default, MappingProxyType(dict(bounds)))


@dataclass(frozen=True, slots=True)
class Params:
    """Bounds and prices, voted or set in genesis."""

    fee_per_1000_cost: Amount
    """Base units that 1,000 declared cost units cost at least."""
    max_block_cost: Cost
    """Declared cost units that fit into one block; CometBFT knows them as gas."""
    max_block_bytes: int
    """Bytes of one block, header and evidence included."""
    max_validity_blocks: Height
    """How many blocks ahead `valid_until_height` may lie."""


SHAPE: Final = codec.Record(
    Params,
    fee_per_1000_cost=codec.U64,
    max_block_cost=codec.U64,
    max_block_bytes=codec.U64,
    max_validity_blocks=codec.U64,
)

DEFAULT: Final = Params(
    fee_per_1000_cost=Amount(1000),
    max_block_cost=Cost(1_000_000),
    max_block_bytes=10 * 1024 * 1024,
    max_validity_blocks=Height(10_000),
)
KEY: Final = codec.pack(("params", "kernel"))


def load(state: State) -> Params:
    """Return the parameters in force, the defaults before genesis wrote any."""
    return read(state, KEY, SHAPE) or DEFAULT


def save(draft: Draft, params: Params) -> None:
    """Put parameters in force from the next transaction on."""
    draft.put(KEY, SHAPE.encode(params))


def least_fee(params: Params, cost_limit: Cost) -> Amount:
    """Return the least fee for a declared cost, rounded up in the chain's favour."""
    return Amount(-(-cost_limit * params.fee_per_1000_cost // _COSTS_PER_PRICE))
