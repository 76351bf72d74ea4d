from __future__ import annotations

import pytest

from abci_currency import keys, params
from abci_currency.hooks import votes
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS, Slashing
from abci_currency.state import audit, liability, presence, slashing
from abci_currency.state.slashing import Jailed, Slashed
from dchat.kernel.family import Event
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import Block, run_block
from dchat.kernel.store import Draft
from tests.fakes import voters
from tests.fakes.memory import ALICE, MemoryState
from tests.fakes.voters import UNIT, block, founded, time_at, validator

STAKE = 1000 * UNIT
RULES = Slashing(missed_blocks_window=10, min_signed_per_window_bp=5000)
"""Five of ten may be missed."""


def began(*stakes: int, rules: Slashing = RULES) -> MemoryState:
    draft = founded(*(stakes or (STAKE, STAKE, STAKE)))
    params.SLASHING.save(draft, rules)
    return MemoryState(dict(draft.scan(b"")))


def go(state: MemoryState, heights: range, away: tuple[int, ...]) -> tuple[MemoryState, list[int]]:
    """Let blocks tell that these missed the one before; return the heights that wrote."""
    wrote: list[int] = []
    for height in heights:
        draft = Draft(state)
        votes.count(draft, block(height, away))
        wrote += [height] if draft.writes() else []
        state = state.after(draft.writes())
    return state, wrote


def events(state: MemoryState, height: int, away: tuple[int, ...]) -> tuple[Event, ...]:
    return votes.count(Draft(state), block(height, away))


def test_who_is_away_too_long_loses_a_little_and_is_jailed() -> None:
    """Blocks 2 to 7 tell that it missed 1 to 6: the sixth is one too many."""
    state, _ = go(began(), range(2, 7), away=(0,))

    draft = Draft(state)
    told = votes.count(draft, block(7, away=(0,)))

    until = EpochMs(time_at(7) + RULES.downtime_jail_ms)
    lost = Amount(UNIT // 10)
    assert told == (Slashed(ALICE.id, 0, Height(6), 1, lost), Jailed(ALICE.id, until))
    assert (validator(draft).tokens, validator(draft, 1).tokens) == (STAKE - lost, STAKE)
    assert (validator(draft).jailed, validator(draft).jailed_until) == (True, until)
    audit.check_invariants(draft)


def test_the_slash_is_of_the_power_that_was_away() -> None:
    """What came meanwhile bears nothing, what left bears its part when it is due."""
    state, _ = go(began(), range(2, 7), away=(0,))
    draft = Draft(state)
    liability.left(draft, ALICE.id, Amount(400 * UNIT), Height(6), time_at(6))

    votes.count(draft, block(7, away=(0,), power=900))

    assert validator(draft).tokens == STAKE - 500 * UNIT // 10_000


def test_nothing_is_written_while_a_streak_lasts() -> None:
    """An idle chain makes an empty block when the app hash changed, so each write costs a block."""
    state, _ = go(began(rules=Slashing()), range(2, 10), away=())

    state, wrote = go(state, range(10, 5011), away=(0,))
    after, later = go(state, range(5011, 5100), away=(0,))

    assert (wrote, later) == ([10, 5010], [])
    assert after.entries[keys.validator(ALICE.id)] == state.entries[keys.validator(ALICE.id)]


def test_a_whole_chain_idles_with_a_validator_down() -> None:
    """By all of its hooks: empty blocks leave the state, hence the app hash, as it is."""
    state, wrote = began(rules=Slashing()), []

    for height in range(2, 200):
        result = run_block(MACHINE, state, Block(block(height, away=(0,)), ()), {})
        state = state.after(result.writes)
        wrote += [height] if result.writes else []

    assert wrote == [2]


def test_nothing_is_written_while_all_sign() -> None:
    assert go(began(), range(1, 100), away=())[1] == []


def test_a_validator_that_returns_in_time_costs_two_writes() -> None:
    state, _ = go(began(), range(2, 5), away=())

    state, gone = go(state, range(5, 9), away=(0,))
    _, back = go(state, range(9, 100), away=())

    assert (gone, back) == ([5], [9])


def test_downtime_that_costs_nothing_still_jails() -> None:
    rules = Slashing(missed_blocks_window=10, min_signed_per_window_bp=5000, downtime_slash_bp=0)
    state, _ = go(began(rules=rules), range(2, 7), away=(0,))

    told = events(state, 7, away=(0,))

    assert [type(each) for each in told] == [Jailed]


def test_several_are_jailed_in_one_block() -> None:
    state, _ = go(began(), range(2, 7), away=(0, 1))

    told = events(state, 7, away=(0, 1))

    assert len(told) == 4


def test_what_a_jailed_validator_misses_until_it_is_out_is_no_second_offence() -> None:
    state, _ = go(began(), range(2, 8), away=(0,))

    after, wrote = go(state, range(8, 30), away=(0,))

    assert (wrote, len(liability.slashes(after, ALICE.id))) == ([], 1)


def test_who_returns_from_jail_begins_anew() -> None:
    """Freed in block 20, it may vote at 22 first, of which block 23 tells."""
    state, _ = go(began(), range(2, 8), away=(0,))
    draft = Draft(state)
    slashing.free(draft, ALICE.id, Height(20))
    state = state.after(draft.writes())

    state, wrote = go(state, range(21, 29), away=(0,))
    told = events(state, 28, away=(0,))

    assert wrote == [23, 28]
    assert told == ()
    assert len(liability.slashes(state, ALICE.id)) == 2


def test_the_first_block_tells_of_no_votes_and_changes_nothing() -> None:
    state, _ = go(began(), range(2, 5), away=(0,))
    draft = Draft(state)

    told = votes.count(draft, block(5, of=0))

    assert (told, draft.writes()) == ((), {})


def test_a_validator_that_leaves_the_set_is_not_counted_while_it_is_out() -> None:
    state, _ = go(began(), range(2, 6), away=(2,))
    draft = Draft(state)

    votes.count(draft, block(6, of=2))

    assert presence.away(draft).streaks == ()
    assert presence.missed(draft, voters.operator(2), Height(5)) == 4


@pytest.mark.parametrize("days", [0, 1])
def test_the_term_is_counted_from_the_blocks_time(days: int) -> None:
    rules = Slashing(
        missed_blocks_window=10, min_signed_per_window_bp=10_000, downtime_jail_ms=days * DAY_MS
    )
    draft = Draft(began(rules=rules))

    votes.count(draft, block(2, away=(0,)))

    assert validator(draft).jailed_until == time_at(2) + days * DAY_MS


def test_a_power_beyond_all_stake_stops_no_node() -> None:
    rules = Slashing(missed_blocks_window=10, min_signed_per_window_bp=10_000)
    draft = Draft(began(rules=rules))

    votes.count(draft, block(2, away=(0,), power=2**60))

    assert validator(draft).tokens == 0
