"""What was ever issued and what was burned; the difference is what accounts hold together.

`("supply",)` holds `[issued, burned]` in base units. The report reads that record and the pools'
accounts and nothing else: a client that has each of these proved at one height makes the report
itself, and believes nobody for a line of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from dchat.kernel import accounts, amounts, codec
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft, State

KEY: Final = codec.pack(("supply",))


@dataclass(frozen=True, slots=True)
class Supply:
    """Base units since genesis."""

    issued: Amount
    burned: Amount


@dataclass(frozen=True, slots=True)
class Report:
    """Where all base units are: issued = burned + total, total = liquid + what pools hold."""

    issued: Amount
    burned: Amount
    total: Amount
    liquid: Amount
    """In accounts that a key opens."""
    held: Mapping[AccountId, Amount]
    """By the pools, the accounts that the chain's own rules hold."""


_SHAPE: Final = codec.Record(Supply, issued=codec.U64, burned=codec.U64)
_NONE: Final = Supply(Amount(0), Amount(0))


def load(state: State) -> Supply:
    """Return the supply record."""
    found = state.get(KEY)
    return _NONE if found is None else decode(found)


def decode(record: bytes) -> Supply:
    """Return the supply whose record these bytes are. Raises: CodecError."""
    return _SHAPE.decode(record)


def issue(draft: Draft, amount: Amount) -> None:
    """Count newly issued units. Raises: AmountTooLarge."""
    held = load(draft)
    draft.put(KEY, _SHAPE.encode(replace(held, issued=amounts.add(held.issued, amount))))


def burn(draft: Draft, amount: Amount) -> None:
    """Count units that were taken from an account and given to nobody; 0 writes nothing."""
    if amount:
        held = load(draft)
        draft.put(KEY, _SHAPE.encode(replace(held, burned=amounts.add(held.burned, amount))))


def report(state: State, pools: Iterable[AccountId]) -> Report:
    """Return the report of a state whose chain has these pools.

    Raises: InvariantBroken where records contradict each other.
    """
    record = load(state)
    held = {pool: accounts.load(state, pool).balance for pool in pools}
    total = record.issued - record.burned
    liquid = total - sum(held.values())
    if liquid < 0:
        raise InvariantBroken(f"pools hold {sum(held.values())}, and the supply is {total}")
    return Report(
        record.issued, record.burned, Amount(total), Amount(liquid), MappingProxyType(held)
    )


def check_invariant(state: State) -> None:
    """Return if the balances add up to the supply. Walks all accounts: for tests and audits.

    Raises: InvariantBroken.
    """
    held = sum(accounts.decode(record).balance for _, record in state.scan(accounts.SPACE))
    record = load(state)
    if held != record.issued - record.burned:
        raise InvariantBroken(f"accounts hold {held}, supply is {record}")
