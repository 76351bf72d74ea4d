from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_currency import keys, params
from abci_currency.state import liability
from abci_currency.state.liability import MAX_SLASHES, SLASH, Fault, Slash
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState
from tests.fakes.voters import committed, time_at

AGE_MS = params.SLASHING.default.evidence_max_age_ms
KEPT_MS = 2 * params.STAKING.bounds["unbonding_ms"][1]


def leave(draft: Draft, tokens: int, height: int, now: int | None = None) -> None:
    when = time_at(height) if now is None else EpochMs(now)
    liability.left(draft, ALICE.id, Amount(tokens), Height(height), when)


def slashed(
    draft: Draft, offence: int, made: int, fraction_bp: int = 500, time: int | None = None
) -> None:
    when = time_at(made) if time is None else EpochMs(time)
    slash = Slash(
        int(Fault.DUPLICATE_VOTE), Height(offence), fraction_bp, Amount(1), Amount(1), when
    )
    liability.record(draft, ALICE.id, slash, Height(made))


def remains(draft: Draft, tokens: int, begun: int, now: int = 1000) -> int:
    return liability.taken_off(draft, ALICE.id, Amount(tokens), Height(begun), Height(now))


def entries(draft: Draft) -> int:
    return len(list(draft.scan(keys.left_entry(ALICE.id, 0)[:-1])))


@pytest.mark.parametrize(
    ("offence", "left"),
    # The power of height 7 is the stake at the end of block 5.
    [(1, 100), (5, 100), (6, 100), (7, 70), (9, 70), (10, 40), (13, 40), (14, 0), (10**6, 0)],
)
def test_what_left_counts_from_the_block_before_an_offence_on(offence: int, left: int) -> None:
    draft = Draft(MemoryState())
    leave(draft, 10, height=5)
    leave(draft, 20, height=5)
    leave(draft, 30, height=8)
    leave(draft, 40, height=12)

    assert liability.left_since(draft, ALICE.id, Height(offence)) == left
    assert liability.left_since(draft, BOB.id, Height(offence)) == 0


def test_a_block_has_one_entry_however_much_leaves_in_it() -> None:
    draft = Draft(MemoryState())

    leave(draft, 10, height=5)
    leave(draft, 20, height=5)

    assert entries(draft) == 1


def test_what_no_evidence_can_ask_for_is_cut_by_two_at_a_time() -> None:
    draft = Draft(MemoryState())
    for height in range(1, 11):
        leave(draft, 1, height)
    late = time_at(10) + AGE_MS + 1

    leave(draft, 1, 11, late)
    after_one = entries(draft)
    leave(draft, 1, 12, late)

    assert (after_one, entries(draft)) == (10 + 1 - 2, 10 + 2 - 4)
    assert liability.left_since(draft, ALICE.id, Height(12)) == 2


def test_the_last_entry_before_what_evidence_may_be_about_is_kept() -> None:
    """Of an offence in block 11 it is asked what left in block 10, too old itself."""
    draft = Draft(MemoryState())
    leave(draft, 5, height=10, now=1)

    leave(draft, 7, height=12, now=2 + AGE_MS)

    assert liability.left_since(draft, ALICE.id, Height(11)) == 12


def test_a_log_with_a_gap_stops_the_node() -> None:
    draft = Draft(MemoryState())
    leave(draft, 5, height=1)
    draft.delete(keys.left_entry(ALICE.id, 0))

    with pytest.raises(InvariantBroken):
        liability.left_since(draft, ALICE.id, Height(1))


class Unwalkable(MemoryState):
    """A state of which every key has to be named."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError


def test_neither_leaving_nor_maturing_walks_over_what_the_block_wrote() -> None:
    draft = Draft(Unwalkable())

    leave(draft, 5, height=1)
    leave(draft, 5, height=2)
    slashed(draft, offence=2, made=3)

    assert (liability.left_since(draft, ALICE.id, Height(3)), remains(draft, 5, 2)) == (5, 4)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, AGE_MS // 2), st.integers(0, 50)), max_size=30
    )
)
def test_the_log_knows_what_left_for_all_that_may_be_evidence(
    steps: list[tuple[int, int, int]],
) -> None:
    draft, all_left, times = Draft(MemoryState()), list[tuple[int, int]](), {0: 0}
    height = now = 0
    for blocks, wait, tokens in steps:
        now += wait if blocks else 0
        times |= dict.fromkeys(range(height + 1, height + blocks + 1), now)
        height += blocks
        leave(draft, tokens, height, now)
        all_left.append((height, tokens))

    for offence in [at for at, time in times.items() if time >= now - AGE_MS]:
        expected = sum(tokens for at, tokens in all_left if at >= offence - 1)
        assert liability.left_since(draft, ALICE.id, Height(offence)) == expected


@pytest.mark.parametrize(
    ("begun", "kept"),
    [
        (18, 1000),  # left in time: it was not at stake at height 20
        (19, 950),  # at stake at height 20: the power of 20 is the stake at the end of block 18
        (25, 950),
        (29, 950),
        (30, 1000),  # in the block of the slash, after it: bore it with the validator
        (35, 1000),
    ],
)
def test_who_left_between_offence_and_slash_bears_it(begun: int, kept: int) -> None:
    draft = Draft(MemoryState())

    slashed(draft, offence=20, made=30)

    assert remains(draft, 1000, begun) == kept


def test_fractions_add_up() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=20, made=30, fraction_bp=500)
    slashed(draft, offence=22, made=30, fraction_bp=100)
    slashed(draft, offence=28, made=31, fraction_bp=1)

    assert [remains(draft, 10_000, begun) for begun in (20, 25, 29, 30)] == [9500, 9400, 9399, 9999]


def test_what_is_taken_off_is_rounded_up() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=3, fraction_bp=1)

    assert [remains(draft, tokens, 2) for tokens in (0, 1, 10_000, 10_001)] == [0, 0, 9999, 9999]


def test_more_than_all_is_never_taken() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=3, fraction_bp=6000)
    slashed(draft, offence=2, made=4, fraction_bp=6000)

    assert remains(draft, 1000, 2) == 0


def test_a_slash_to_come_takes_nothing() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=4)

    assert (remains(draft, 1000, 2, now=3), remains(draft, 1000, 2, now=4)) == (1000, 950)


def test_slashes_of_one_block_have_numbers() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=4, fraction_bp=7)
    slashed(draft, offence=3, made=4, fraction_bp=8)

    shown = [SLASH.decode(draft.get(keys.slash(ALICE.id, 4, at)) or b"") for at in (0, 1)]
    assert [each.fraction_bp for each in shown] == [7, 8]


def test_slashes_that_concern_no_stake_any_more_are_forgotten() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=4, time=1000)
    slashed(draft, offence=3, made=5, time=1001)

    slashed(draft, offence=6, made=7, time=1001 + KEPT_MS)

    assert [made.made_at for made in liability.slashes(draft, ALICE.id)] == [5, 7]
    assert len(list(committed(draft).scan(keys.slash(ALICE.id, 4, 0)[:-2]))) == 2
    assert draft.get(keys.slash(ALICE.id, 4, 0)) is None


@pytest.mark.parametrize(("unbonding_ms", "later_ms"), [(100_000, 199_999), (1_000, 99_999)])
def test_a_later_slash_does_not_let_stake_escape_an_earlier_one(
    unbonding_ms: int, later_ms: int
) -> None:
    """Redelegated stake that leaves is liable twice as long; a vote may shorten both meanwhile."""
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=4, time=1000)
    params.STAKING.save(draft, params.Staking(unbonding_ms=unbonding_ms))
    params.SLASHING.save(draft, params.Slashing(evidence_max_age_ms=1_000))

    slashed(draft, offence=60, made=61, time=1000 + later_ms)

    assert remains(draft, 1000, 3) == 950


def test_the_list_of_slashes_has_a_bound() -> None:
    draft = Draft(MemoryState())
    for made in range(1, MAX_SLASHES + 3):
        slashed(draft, offence=made, made=made)

    listed = liability.slashes(draft, ALICE.id)
    assert (len(listed), listed[0].made_at) == (MAX_SLASHES, 3)
    assert len(list(draft.scan(keys.slash(ALICE.id, 4, 0)[:-2]))) == MAX_SLASHES


def test_a_slash_is_kept_under_its_operator_alone() -> None:
    draft = Draft(MemoryState())

    slashed(draft, offence=2, made=4)

    assert liability.slashes(draft, AccountId(bytes(32))) == ()
    assert replace(liability.slashes(draft, ALICE.id)[0], time_ms=EpochMs(0)) == liability.Made(
        Height(4), 0, Height(2), 500, EpochMs(0)
    )


def test_being_away_often_does_not_push_out_a_larger_slash() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=3)
    for made in range(4, MAX_SLASHES + 6):
        slashed(draft, offence=made, made=made, fraction_bp=1)

    listed = liability.slashes(draft, ALICE.id)

    assert [each.made_at for each in listed] == [3, *range(7, MAX_SLASHES + 6)]


def test_what_hardly_concerns_any_stake_makes_room_first() -> None:
    draft = Draft(MemoryState())
    slashed(draft, offence=2, made=3)
    long = 2 * params.STAKING.default.unbonding_ms + 1
    for made in range(4, MAX_SLASHES + 4):
        slashed(draft, offence=made, made=made, fraction_bp=1, time=time_at(3) + long)

    assert liability.slashes(draft, ALICE.id)[0].made_at == 4
