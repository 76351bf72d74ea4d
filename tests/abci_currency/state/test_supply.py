from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import pytest

from abci_currency.state import pools, supply
from dchat.kernel import accounts
from dchat.kernel import supply as kernel
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState

HELD = {pool: Amount(2**at) for at, pool in enumerate(pools.NAMES)}


def spread() -> Draft:
    """Return a state in which every pool and alice hold something else, and 7 units are burned."""
    draft = Draft(MemoryState())
    for pool, amount in HELD.items():
        accounts.credit(draft, pool, amount)
    accounts.credit(draft, ALICE.id, Amount(1_000))
    kernel.issue(draft, Amount(1_000 + 255 + 7))
    kernel.burn(draft, Amount(7))
    return draft


def test_every_unit_stands_in_one_line() -> None:
    assert asdict(supply.of_state(spread())) == {
        "issued": 1_262,
        "burned": 7,
        "total": 1_255,
        "liquid": 1_000,
        "staked": 1,
        "unbonding": 2,
        "rewards": 4,
        "treasury": 8,
        "vesting": 16,
        "relay_stakes": 32,
        "escrowed": 64,
        "issuer_bonds": 128,
    }


def test_the_lines_add_up() -> None:
    lines = asdict(supply.of_state(spread()))

    issued, burned, total = (lines.pop(name) for name in ("issued", "burned", "total"))

    assert (sum(lines.values()), total + burned) == (total, issued)


class Watched(MemoryState):
    """A state that remembers what was read."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        super().__init__(entries)
        self.read: set[bytes] = set()

    def get(self, key: bytes) -> bytes | None:
        self.read.add(key)
        return super().get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError("a range has no proof")


def test_the_report_is_made_of_single_records_that_have_proofs() -> None:
    state = Watched(MemoryState().after(spread().writes()).entries)

    supply.of_state(state)

    assert state.read == {kernel.KEY, *map(accounts.key, HELD)}


def test_a_pool_that_was_never_used_holds_nothing() -> None:
    draft = Draft(MemoryState())
    kernel.issue(draft, Amount(5))

    report = supply.of_state(draft)

    assert (report.total, report.liquid, report.staked) == (5, 5, 0)


def test_pools_that_hold_more_than_there_is_are_a_fault() -> None:
    draft = spread()
    kernel.burn(draft, Amount(1_001))

    with pytest.raises(InvariantBroken, match="pools hold 255, and the supply is 254"):
        supply.of_state(draft)
