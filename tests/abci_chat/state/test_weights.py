from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.params import DAY_MS
from abci_chat.state import proposals, weights
from abci_chat.state.proposals import OPENING, Opening
from abci_chat.state.weights import MOST_MARKS, PAST
from dchat.kernel.errors import AmountTooLarge, InvariantBroken
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

NOW = EpochMs(0)
_LONGEST = 60 * DAY_MS


def give(draft: Draft, *weighed: tuple[int, int], now: int = 0) -> None:
    """Set alice's weight at each height."""
    for height, weight in weighed:
        weights.set_weight(draft, ALICE.id, weight, Height(height), EpochMs(now or height))


def open_at(draft: Draft, height: int) -> None:
    """A proposal was opened there."""
    count = proposals.opening(draft).count + 1
    draft.put(keys.PROPOSAL_COUNT, OPENING.encode(Opening(count, Height(height))))


def past(draft: Draft) -> list[tuple[int, int]]:
    found = draft.get(keys.weight(ALICE.id))
    marks = PAST.decode_own(found) if found else ()
    return [(mark.since_height, mark.weight) for mark in marks]


def at(draft: Draft, *heights: int) -> list[int]:
    return [weights.at(draft, ALICE.id, Height(height)) for height in heights]


@pytest.fixture
def draft() -> Draft:
    return Draft(MemoryState())


def test_a_weight_counts_for_what_later_blocks_open(draft: Draft) -> None:
    give(draft, (0, 5), (10, 7))

    assert at(draft, 1, 10, 11, 99) == [5, 5, 7, 7]


def test_nobody_has_a_weight_before_the_first(draft: Draft) -> None:
    give(draft, (10, 7))

    assert at(draft, 9, 10, 11) == [0, 0, 7]


def test_the_total_follows_from_the_next_block_on(draft: Draft) -> None:
    give(draft, (0, 5))
    weights.set_weight(draft, BOB.id, 4, Height(10), NOW)
    give(draft, (10, 1))

    assert [weights.total_at(draft, Height(height)) for height in (10, 11)] == [5, 5]
    weights.check_invariant(draft)


def test_who_loses_all_weight_is_forgotten_once_nothing_needs_it(draft: Draft) -> None:
    give(draft, (0, 5), (10, 0), (20, 1), (30, 0))
    give(draft, (40, 3), now=_LONGEST + 30)

    assert past(draft) == [(30, 0), (40, 3)]


def test_a_past_that_no_proposal_asks_for_is_dropped(draft: Draft) -> None:
    give(draft, (0, 5), (10, 6), (20, 7), (30, 8))

    assert past(draft) == [(20, 7), (30, 8)]


def test_a_past_that_a_proposal_asks_for_is_kept(draft: Draft) -> None:
    give(draft, (0, 5))
    open_at(draft, 5)
    give(draft, (10, 6), (20, 7), (30, 8))

    assert (past(draft), at(draft, 5)) == ([(0, 5), (20, 7), (30, 8)], [5])


def test_a_proposal_behind_two_changes_in_one_block_counts_what_was_before(draft: Draft) -> None:
    give(draft, (0, 5), (10, 6), (20, 7), (20, 8))
    open_at(draft, 20)

    assert at(draft, 20, 21) == [6, 8]


def test_a_proposal_between_two_changes_in_one_block_counts_what_was_before(draft: Draft) -> None:
    give(draft, (0, 5), (20, 7))
    open_at(draft, 20)
    give(draft, (20, 8), (21, 9))

    assert at(draft, 20) == [5]


@pytest.mark.parametrize(("age", "kept"), [(_LONGEST - 1, 3), (_LONGEST, 2)])
def test_a_past_is_kept_as_long_as_a_vote_can_take(draft: Draft, age: int, kept: int) -> None:
    give(draft, (0, 5))
    open_at(draft, 5)
    give(draft, (10, 6))
    open_at(draft, 15)
    give(draft, (20, 7), now=10 + age)

    assert len(past(draft)) == kept


def test_a_past_never_grows_beyond_its_bound_and_never_counts_for_more(draft: Draft) -> None:
    grown = [(height, height + 1) for height in range(2 * MOST_MARKS)]
    [(give(draft, each), open_at(draft, each[0] + 1)) for each in grown]

    assert len(past(draft)) == MOST_MARKS
    assert [weight for height, weight in grown if at(draft, height + 1)[0] > weight] == []
    assert at(draft, 2 * MOST_MARKS) == [2 * MOST_MARKS]


def test_a_falling_weight_that_is_merged_never_counts_for_more(draft: Draft) -> None:
    falling = [(height, 1000 - height) for height in range(2 * MOST_MARKS)]
    [(give(draft, each), open_at(draft, each[0] + 1)) for each in falling]

    assert [weight for height, weight in falling if at(draft, height + 1)[0] > weight] == []


def test_the_same_weight_again_writes_nothing(draft: Draft) -> None:
    give(draft, (0, 5), (9, 5))

    assert past(draft) == [(0, 5)]


def test_weights_together_stay_within_64_bits(draft: Draft) -> None:
    give(draft, (0, 2**64 - 1))

    with pytest.raises(AmountTooLarge):
        weights.set_weight(draft, BOB.id, 1, Height(0), NOW)


def test_an_odd_total_is_found(draft: Draft) -> None:
    give(draft, (0, 5))
    draft.delete(keys.weight(ALICE.id))

    with pytest.raises(InvariantBroken):
        weights.check_invariant(draft)


steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans(), st.booleans()), max_size=40
)


def replayed(draft: Draft, taken: list[tuple[int, int, bool, bool]]) -> dict[int, int]:
    """What alice's weight was when each block began that opened a vote; the plain truth."""
    height, before, now = 1, 0, 0
    truth: dict[int, int] = {}
    for gap, weight, opens_first, opens_last in taken:
        height, before = (height + gap, now) if gap else (height, before)
        if opens_first:
            open_at(draft, height)
        give(draft, (height, weight))
        if opens_last:
            open_at(draft, height)
        if opens_first or opens_last:
            truth[height] = before
        now = weight
    return truth


@given(steps)
def test_what_counts_for_an_open_vote_never_changes(
    taken: list[tuple[int, int, bool, bool]],
) -> None:
    draft = Draft(MemoryState())

    truth = replayed(draft, taken)

    assert {each: at(draft, each)[0] for each in truth} == truth
