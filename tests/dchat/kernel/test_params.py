from __future__ import annotations

from dataclasses import replace

import pytest

from dchat.kernel import params
from dchat.kernel.ids import Amount, Cost
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState


def test_before_genesis_the_defaults_hold() -> None:
    assert params.load(MemoryState()) == params.DEFAULT


def test_saved_parameters_are_in_force() -> None:
    draft = Draft(MemoryState())
    dearer = replace(params.DEFAULT, fee_per_1000_cost=Amount(7))

    params.save(draft, dearer)

    assert params.load(draft) == dearer


@pytest.mark.parametrize(
    ("price", "cost", "fee"),
    [(1000, 250, 250), (1000, 0, 0), (1, 1, 1), (1, 1000, 1), (1, 1001, 2), (0, 500, 0)],
)
def test_the_least_fee_rounds_up(price: int, cost: int, fee: int) -> None:
    rules = replace(params.DEFAULT, fee_per_1000_cost=Amount(price))

    assert params.least_fee(rules, Cost(cost)) == fee
