from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.hooks import fees
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS
from abci_currency.state import pools, rewards
from abci_currency.state.rewards import LEAST_ACTIVE, Totals
from dchat.kernel import accounts, supply
from dchat.kernel.codec import MAX_U64
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.machine import Block, run_block
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, MemoryState, at_height, opened, run

CONTEXT = at_height(1)
NOW = CONTEXT.block_time_ms


def economy(active: int = LEAST_ACTIVE, **rules: int) -> Draft:
    draft = Draft(MemoryState())
    rewards.save_totals(draft, Totals(active_tokens=Amount(active), accrued_to=NOW))
    params.REWARDS.save(draft, replace(params.REWARDS.default, **rules))
    return draft


def taken(draft: Draft, amount: int) -> tuple[int, int, int]:
    """Return what was burned, what the treasury got, and what the stakers."""
    supply.issue(draft, Amount(amount))
    fees.take(draft, {ALICE.id: Amount(amount)}, CONTEXT)
    treasury, stakers = (
        accounts.load(draft, pool).balance for pool in (pools.TREASURY, pools.REWARDS)
    )
    return supply.load(draft).burned, treasury, stakers


def test_fees_are_split_among_fire_treasury_and_stakers() -> None:
    assert taken(economy(), 1_000) == (300, 200, 500)


@pytest.mark.parametrize(
    ("amount", "split"),
    [(2_001, (601, 400, 1_000)), (1, (1, 0, 0)), (3, (1, 0, 2)), (4, (2, 0, 2)), (9, (3, 1, 5))],
)
def test_the_burned_share_rounds_up_and_the_treasurys_down(
    amount: int, split: tuple[int, int, int]
) -> None:
    assert taken(economy(), amount) == split


def test_without_active_stake_the_stakers_part_goes_to_the_treasury() -> None:
    assert taken(economy(active=0), 1_000) == (300, 700, 0)


@pytest.mark.parametrize(
    ("burn", "treasury", "split"),
    [(10_000, 0, (7, 0, 0)), (0, 10_000, (0, 7, 0)), (0, 0, (0, 0, 7)), (5_000, 5_000, (4, 3, 0))],
)
def test_the_split_is_a_parameter(burn: int, treasury: int, split: tuple[int, int, int]) -> None:
    assert taken(economy(fee_burn_bp=burn, fee_treasury_bp=treasury), 7) == split


@given(
    amount=st.integers(1, MAX_U64),
    burn=st.integers(0, 10_000),
    left=st.integers(0, 10_000),
    active=st.sampled_from([0, LEAST_ACTIVE, MAX_U64]),
)
def test_no_split_loses_or_creates_a_unit(amount: int, burn: int, left: int, active: int) -> None:
    treasury = min(left, 10_000 - burn)
    draft = economy(active, fee_burn_bp=burn, fee_treasury_bp=treasury)

    burned, *kept = taken(draft, amount)

    assert burned + sum(kept) == amount
    assert burned * 10_000 >= amount * burn
    supply.check_invariant(draft)


def test_emission_that_is_due_comes_before_the_fees() -> None:
    draft = economy(epoch_emission=1_000, max_emission=10_000)
    held = rewards.totals(draft)
    rewards.save_totals(draft, replace(held, accrued_to=EpochMs(NOW - DAY_MS)))

    assert taken(draft, 1_000) == (300, 200, 1_500)
    assert supply.load(draft).issued == 2_000


def test_a_block_in_which_nobody_pays_writes_nothing() -> None:
    state = opened(MACHINE, alice=1)

    assert run(MACHINE, state, b"junk").writes == {}


def test_an_empty_block_writes_nothing_even_when_emission_is_due() -> None:
    begun = opened(MACHINE, alice=1)
    draft = Draft(begun)
    rules = replace(
        params.REWARDS.default, epoch_emission=Amount(1_000), max_emission=Amount(MAX_U64 // 4)
    )
    params.REWARDS.save(draft, rules)
    rewards.begin(draft, NOW)
    later = replace(CONTEXT, block_time_ms=EpochMs(NOW + 30 * DAY_MS))

    result = run_block(MACHINE, begun.after(draft.writes()), Block(later, ()), {})

    assert result.writes == {}
