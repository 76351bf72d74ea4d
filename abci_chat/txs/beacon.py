"""Chains of preimages: the family that binds a validator to another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.state import beacon
from abci_chat.state.beacon import ADDRESS_BYTES, EMPTY_HEAD, MAX_LENGTH, Link
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import Cost
from dchat.kernel.store import Draft


class NoValidator(TxRejected):
    """No validator has this consensus address."""

    code = 350


class NotOperator(TxRejected):
    """Another account operates the validator."""

    code = 351


class WrongChainNumber(TxRejected):
    """The chain is not the one that comes next. Attributes: have, need."""

    code = 352

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"chain {have} of the validator, the next is {need}")
        self.have = have
        self.need = need


class BadChainLength(TxRejected):
    """A chain has at least one preimage, and no more than a proposer can look for."""

    code = 353


@dataclass(frozen=True, slots=True)
class CommitBeacon:
    """Bind a validator that the sender operates to another chain, from the next window on."""

    validator: bytes
    """20-byte consensus address."""
    head: bytes
    length: int
    """Preimages, 1 to MAX_LENGTH."""
    number: int
    """One more than the chain before; the preimages are made from it."""


@dataclass(frozen=True, slots=True)
class BeaconCommitted(Event):
    """A validator is bound to another chain of preimages."""

    validator: bytes
    number: int
    since: int
    """The first window in which it counts."""


def check(tx: CommitBeacon) -> None:
    """Apply the rules that need no state. Raises: BadChainLength."""
    if not 1 <= tx.length <= MAX_LENGTH or tx.head == EMPTY_HEAD:
        raise BadChainLength(f"{tx.length} preimages, 1 to {MAX_LENGTH} are possible")


def commit(draft: Draft, tx: CommitBeacon, ctx: TxContext) -> tuple[Event, ...]:
    """Bind the validator. Raises: NoValidator, NotOperator, WrongChainNumber."""
    held = beacon.load(draft, tx.validator)
    if held is None:
        raise NoValidator(f"none has the address {tx.validator.hex()}")
    if held.operator != ctx.sender:
        raise NotOperator("only the validator's operator binds it")
    number = beacon.newest(held).number + 1
    if tx.number != number:
        raise WrongChainNumber(tx.number, number)
    since = beacon.bind(draft, tx.validator, Link(tx.head, tx.length, number), ctx.height)
    return (BeaconCommitted(tx.validator, number, since),)


FAMILY: Final = Family(
    type=70,
    name="commit_beacon",
    shape=codec.Record(
        CommitBeacon,
        validator=codec.Fixed(ADDRESS_BYTES),
        head=codec.Fixed(len(EMPTY_HEAD)),
        length=codec.U64,
        number=codec.U64,
    ),
    cost=Cost(40),
    check=check,
    apply=commit,
)
