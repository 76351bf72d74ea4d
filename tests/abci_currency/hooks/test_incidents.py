"""One incident, however its offences are shown and whoever comes and goes meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_currency import params
from abci_currency.hooks import evidence, maturing
from abci_currency.state import audit, leaving, stake, staking
from abci_currency.state.leaving import TooManyEntries
from dchat.kernel import supply
from dchat.kernel.family import TxContext
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, CHAIN
from tests.fakes.voters import UNIT, block, founded, give, time_at, twice, validator

BEGUN = 1000
CAUGHT = 10
"""The block in which an offence is shown for the first time."""
ENDS = 20


def leave(draft: Draft, height: int, percent: int) -> None:
    """Let alice take part of her stake back, if that is one unit at least."""
    held = stake.delegation(draft, ALICE.id, ALICE.id)
    shares = (held.shares if held else 0) * percent // 100
    child = draft.fork()
    try:
        ctx = TxContext(CHAIN, ALICE.id, ALICE.public_key, Height(height), time_at(height))
        leaving.unbond(child, ctx, ALICE.id, shares) if shares >= UNIT else None
    except TooManyEntries:
        return
    draft.merge(child)


def come(draft: Draft, units: int) -> None:
    give(draft, ALICE.id, units * UNIT)
    staking.bond(draft, ALICE.id, ALICE.id, Amount(units * UNIT), ALICE.id)


def move(draft: Draft, height: int, change: int) -> int:
    """Let stake come in units, or leave in percent; return how many units came."""
    if change < 0:
        leave(draft, height, -change)
    elif change and height < CAUGHT:
        come(draft, change)
        return change
    return 0


def play(shown: Mapping[int, int], changes: Sequence[int]) -> tuple[int, int, int]:
    """Return what burned, the stake in the largest offence, and all that was ever there.

    `shown` says in which block the offence of each height is shown.
    """
    draft, came, powers = founded(BEGUN * UNIT, BEGUN * UNIT), BEGUN, {-1: BEGUN, 0: BEGUN}
    for height in range(1, ENDS):
        proved = [twice(0, at, powers[at - 2]) for at, when in shown.items() if when == height]
        evidence.judge(draft, block(height, misbehaviour=tuple(proved)))
        came += move(draft, height, changes[height])
        powers[height] = validator(draft).tokens // UNIT
        audit.check_invariants(draft)
    due = EpochMs(time_at(ENDS) + params.STAKING.default.unbonding_ms)
    maturing.mature(draft, block(ENDS, block_time_ms=due))
    audit.check_invariants(draft)
    return supply.load(draft).burned, max(powers[at - 2] for at in shown) * UNIT, came * UNIT


@settings(max_examples=150, deadline=None)
@given(
    first=st.integers(1, CAUGHT),
    others=st.dictionaries(st.integers(1, CAUGHT + 1), st.integers(CAUGHT + 2, ENDS - 1)),
    changes=st.lists(st.integers(-100, 2000), min_size=ENDS, max_size=ENDS),
)
def test_an_incident_costs_what_its_largest_offence_does_and_no_more_than_what_was_there(
    first: int, others: dict[int, int], changes: list[int]
) -> None:
    burned, largest, all_there = play(others | {first: CAUGHT}, changes)

    slack = all_there // 1000 + UNIT
    assert largest // 20 - slack <= burned <= all_there // 20 + slack
