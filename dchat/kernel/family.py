"""What a type of transaction is: fields, price, stateless rules, effect.

A chain's machine is made of these. The price of a body is known before any of its fields is looked
at, from what decoding has shown anyway: who does not pay for the work has none of it done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from dchat.kernel import codec
from dchat.kernel.errors import MalformedBody
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, EpochMs, Height, Nonce
from dchat.kernel.store import Draft, State

MAX_WAIVED_COST: Final = Cost(2000)
"""Cost units that may be declared where work stands for the fee: else one could fill a block."""
_FREE: Final = Cost(0)
_NOTHING: Final = Amount(0)
_FIRST: Final = Nonce(0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """Base of what a transaction tells the outside world."""


@dataclass(frozen=True, slots=True)
class TxContext:
    """All a handler may know besides the state: who, and in which block."""

    chain_id: ChainId
    sender: AccountId
    public_key: bytes
    height: Height
    block_time_ms: EpochMs
    nonce: Nonce = _FIRST
    """The transaction's own."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A body that its family has decoded and found well formed."""

    run: Callable[[Draft, TxContext], tuple[Event, ...]]
    spends: Amount
    """The most that run takes from the sender's balance."""
    rekeys: bool = False
    """Run may give the sender another key: nobody can say which key signs behind it."""
    waive: Callable[[State, TxContext], int] | None = None
    """Return what was worked in place of a fee; asked only where none is paid.

    Who worked more comes into a block first. Raises: TxRejected where it is not enough."""


class TxFamily(Protocol):
    """One type of transaction, whatever its fields."""

    @property
    def type(self) -> int:
        """Return the first element of the bodies that are this family's."""
        ...

    @property
    def name(self) -> str:
        """Return the name that commands and events use."""
        ...

    @property
    def cost(self) -> Cost:
        """Return the least cost units that a body takes beyond any transaction's."""
        ...

    def price(self, fields: Sequence[codec.Raw]) -> Cost:
        """Return the cost units that a body of these fields takes; nothing was checked yet."""
        ...

    def prepare(self, fields: Sequence[codec.Raw]) -> Prepared:
        """Return the runnable body. Raises: TxRejected."""
        ...


def _nothing(_: object) -> Amount:
    return _NOTHING


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One type of transaction: its fields, its price, its stateless rules, its effect."""

    type: int
    name: str
    shape: codec.Shape[T]
    cost: Cost
    check: Callable[[T], None]
    apply: Callable[[Draft, T, TxContext], tuple[Event, ...]]
    spends: Callable[[T], Amount] = _nothing
    """The most that apply takes from the sender's balance: what waits behind cannot count on it."""
    cost_per_entry: Cost = _FREE
    """On top of cost for each entry of the arrays among the fields."""
    rekeys: bool = False
    """Apply may give the sender another key: until a block has said so, nothing waits behind it."""
    waive: Callable[[State, T, TxContext], int] | None = None
    """See Prepared.waive; None where everybody pays."""

    def price(self, fields: Sequence[codec.Raw]) -> Cost:
        """Return cost, and that of the entries: their number is known before any is looked at."""
        if not self.cost_per_entry:
            return self.cost
        entries = sum([len(each) for each in fields if isinstance(each, list | tuple)])
        return Cost(self.cost + self.cost_per_entry * entries)

    def prepare(self, fields: Sequence[codec.Raw]) -> Prepared:
        """Return the body, decoded and checked without state. Raises: TxRejected."""
        try:
            body = self.shape.lift(fields)
        except codec.CodecError as fault:
            raise MalformedBody(f"{self.name}: {fault}") from None
        self.check(body)
        waive = self.waive
        return Prepared(
            lambda draft, ctx: self.apply(draft, body, ctx),
            self.spends(body),
            self.rekeys,
            (lambda state, ctx: waive(state, body, ctx)) if waive else None,
        )

    def body(self, fields: T) -> tuple[codec.Raw, ...]:
        """Return the envelope body that carries these fields. Raises: CodecError."""
        return (self.type, *codec.as_values(self.shape.lower(fields)))
