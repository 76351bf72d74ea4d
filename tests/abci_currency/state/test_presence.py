from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from abci_currency import keys, params
from abci_currency.params import Slashing
from abci_currency.state import presence
from abci_currency.state.presence import NEVER, PAGE, Streak
from dchat.kernel import codec
from dchat.kernel.ids import AccountId, Height
from dchat.kernel.store import Draft
from tests.fakes import voters
from tests.fakes.voters import address, founded, operator

STAKE = 1000 * voters.UNIT


def ruled(draft: Draft, window: int, signed_bp: int = 5000) -> Draft:
    """Return the draft with these parameters in force."""
    rules = Slashing(missed_blocks_window=window, min_signed_per_window_bp=signed_bp)
    params.SLASHING.save(draft, rules)
    return draft


def one(window: int, signed_bp: int = 5000) -> Draft:
    return voters.committed(ruled(founded(STAKE), window, signed_bp))


def see(draft: Draft, height: int, *away: int) -> tuple[Streak, ...]:
    return presence.observe(draft, Height(height), {address(at): None for at in away})


def see_all(draft: Draft, away: str, begin: int = 1) -> list[int]:
    """Let the only validator sign (+) or miss (-) blocks; return when it is late."""
    heights = enumerate(away, begin)
    return [height for height, sign in heights if see(draft, height, *([0] if sign == "-" else []))]


def count(draft: Draft, height: int, at: int = 0) -> int:
    return presence.missed(draft, operator(at), Height(height))


@pytest.mark.parametrize(
    ("window", "signed_bp", "may"),
    [
        (10_000, 500, 9500),
        (10, 5000, 5),
        (11, 5000, 6),
        (10, 0, 10),
        (10, 10_000, 0),
        (19, 500, 19),
    ],
)
def test_what_must_be_signed_is_rounded_down(window: int, signed_bp: int, may: int) -> None:
    rules = Slashing(missed_blocks_window=window, min_signed_per_window_bp=signed_bp)

    assert presence.allowed(rules) == may


@pytest.mark.parametrize(
    ("away", "late"),
    [
        ("-----+++++-----", []),  # five of ten may be missed, and the first five leave the window
        ("------", [6]),
        ("+++++------", [11]),
        ("-----+-", [7]),
        ("-+-+-+-+-+-+-+-+-+-+", []),
        ("-+-+-+---+", [9]),  # 1, 3, 5, 7, 8, 9
        ("---++++--++++---", []),  # never six in ten
        ("---++++--++++----", [17]),  # 8, 9, 14, 15, 16, 17
        ("----++++------", [10, 11, 12, 13, 14]),  # as each comes, one leaves the window
    ],
)
def test_a_validator_is_late_at_the_sixth_missed_of_ten(away: str, late: list[int]) -> None:
    assert see_all(one(window=10), away) == late


def test_a_validator_that_must_sign_nothing_is_never_late() -> None:
    assert see_all(one(10, signed_bp=0), "-" * 100) == []


def test_a_validator_that_must_sign_all_is_late_at_once() -> None:
    assert see_all(one(10, signed_bp=10_000), "++-") == [3]


def test_a_streak_costs_one_write_at_its_beginning_and_two_at_its_end() -> None:
    draft = one(window=100_000)
    written: list[list[bytes]] = []

    for height in range(1, 5000):
        see(draft, height, *([0] if 10 <= height < 4900 else []))
        written.append(sorted(draft.writes()))
        draft = voters.committed(draft)

    kinds = {height: len(each) for height, each in enumerate(written, 1) if each}
    assert kinds == {10: 1, 4900: 2}


def test_who_could_not_sign_has_its_streak_closed_where_it_left_the_set() -> None:
    draft = one(window=10)

    see_all(draft, "+---")
    presence.observe(draft, Height(5), {})

    assert (presence.away(draft).streaks, count(draft, 5)) == ((), 3)


def test_a_strangers_absence_is_no_streak() -> None:
    draft = one(window=10)

    presence.observe(draft, Height(1), {b"s" * 20: None})

    assert draft.writes() == {}


def test_a_jailed_validators_absence_is_no_streak() -> None:
    draft = one(window=10)
    record = voters.validator(draft)
    voters.staking.replace_validator(draft, operator(0), record, replace(record, jailed=True))
    draft = voters.committed(draft)

    see(draft, 1, 0)

    assert draft.writes() == {}


def test_who_begins_anew_is_counted_from_that_height_on() -> None:
    draft = one(window=10)
    see_all(draft, "-----+")

    presence.count_from(draft, operator(0), Height(9))

    assert see_all(draft, "--------", begin=7) == [14]
    assert count(draft, 14) == 6


def test_beginning_anew_ends_a_streak_and_keeps_that_of_others() -> None:
    draft = ruled(founded(STAKE, STAKE), 10)
    see(draft, 1, 0, 1)

    presence.count_from(draft, operator(0), NEVER)

    assert [each.operator for each in presence.away(draft).streaks] == [operator(1)]
    assert count(draft, 1) == 0


def test_a_changed_consensus_key_does_not_wash_what_was_missed_off() -> None:
    draft = one(window=10)
    see_all(draft, "---")
    voters.staking.claim_key(draft, b"k" * 32, operator(0))
    new = voters.stake.address_of(b"k" * 32)

    late = [presence.observe(draft, Height(at), {new: None}) for at in (4, 5, 6)]

    assert [len(each) for each in late] == [0, 0, 1]
    assert count(draft, 6) == 6


def test_a_smaller_window_counts_at_once() -> None:
    draft = one(window=100)
    see_all(draft, "-" * 9)

    ruled(draft, 10, 2000)

    assert [each.jail_at for each in see(draft, 10, 0)] == [10]


def test_a_larger_window_does_not_bring_back_what_was_forgotten() -> None:
    draft = one(window=10)
    see_all(draft, "-----" + "+" * 20)

    ruled(draft, 100)
    see(draft, 26)

    assert count(draft, 26) == 0


def pages(draft: Draft) -> dict[bytes, bytes]:
    return dict(draft.scan(keys.missed_pages(operator(0))))


def test_a_page_is_kept_as_long_as_a_window_reaches_it() -> None:
    """A validator that misses every other block for three windows, of two pages each."""
    draft, window = one(2 * PAGE, signed_bp=1000), 2 * PAGE

    see_all(draft, "-+" * (3 * PAGE))

    assert list(pages(draft)) == [keys.missed(operator(0), number) for number in (3, 4, 5)]
    assert max(map(len, pages(draft).values())) < 300
    assert count(draft, 6 * PAGE) == window // 2


def test_a_streak_beyond_any_window_is_written_down_as_one_window() -> None:
    """Shifting by all the heights of an endless streak would take ever more memory."""
    draft = one(10, signed_bp=0)
    see(draft, 1, 0)

    see(draft, 50 * PAGE)
    see(draft, 50 * PAGE + 1, 0)

    (page,) = pages(draft).values()
    assert codec.unpack_array(page)[0] == 10
    assert count(draft, 50 * PAGE + 1) == 9


@dataclass(slots=True)
class Naive:
    """All that was ever missed, counted by hand."""

    window: int
    allowed: int
    floor: int = 0
    missed: dict[AccountId, list[int]] = field(default_factory=dict)

    def rule(self, height: int, rules: Slashing) -> None:
        now = rules.missed_blocks_window, presence.allowed(rules)
        if now != (self.window, self.allowed):
            self.floor = max(self.floor, height - self.window)
            self.window, self.allowed = now

    def count(self, who: AccountId, height: int) -> int:
        first = max(self.floor, height - self.window + 1)
        return sum(first <= at <= height for at in self.missed.get(who, []))

    def see(self, height: int, away: list[AccountId]) -> list[AccountId]:
        for who in away:
            self.missed.setdefault(who, []).append(height)
        return [who for who in away if self.count(who, height) > self.allowed]


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many blocks in which each of two validators does the same again and again."""

    blocks: int
    habits: tuple[str, str]
    """+ signs, - is away, 0 is not in the set; repeated."""
    window: int
    signed_bp: int


habit = st.text("+-0", min_size=1, max_size=6) | st.sampled_from(["-", "-", "+", "-+"])


def stretches(most: int, windows: tuple[int, int]) -> st.SearchStrategy[list[Stretch]]:
    one = st.builds(
        Stretch,
        blocks=st.integers(1, most),
        habits=st.tuples(habit, habit),
        window=st.integers(*windows),
        signed_bp=st.sampled_from([0, 500, 2000, 5000, 9000, 10_000]),
    )
    return st.lists(one, min_size=1, max_size=6)


def blocks(begin: int, course: list[Stretch]) -> Iterator[tuple[int, Stretch, list[int]]]:
    height = begin
    for each in course:
        for at in range(each.blocks):
            signs = [habit[at % len(habit)] for habit in each.habits]
            yield height, each, [who for who, sign in enumerate(signs) if sign == "-"]
            height += 1


def compare(begin: int, course: list[Stretch], every: int) -> None:
    """Hold the streaks against the naive count, at each `every`-th block and if one is late."""
    draft = founded(STAKE, STAKE)
    ruled(draft, course[0].window, course[0].signed_bp)
    naive = Naive(course[0].window, presence.allowed(params.SLASHING.load(draft)))
    fresh = [0, 0]
    for height, stretch, away in blocks(begin, course):
        ruled(draft, stretch.window, stretch.signed_bp)
        naive.rule(height, params.SLASHING.load(draft))
        counted = [operator(at) for at in away if height >= fresh[at]]

        late = [each.operator for each in see(draft, height, *away)]

        assert sorted(late) == sorted(naive.see(height, counted))
        for at in (0, 1) if late or height % every == 0 else ():
            assert count(draft, height, at) == naive.count(operator(at), height)
        for at in (0, 1):
            if operator(at) in late:
                fresh[at] = height + 3
                naive.missed[operator(at)] = []
                presence.count_from(draft, operator(at), Height(fresh[at]))


@settings(max_examples=150, deadline=None)
@given(begin=st.sampled_from([1, PAGE - 20, 5 * PAGE - 3]), course=stretches(60, (10, 50)))
@example(begin=1, course=[Stretch(30, ("-", "-+"), 10, 0), Stretch(30, ("-", "-"), 40, 5000)])
def test_streaks_count_like_a_bit_for_every_block(begin: int, course: list[Stretch]) -> None:
    compare(begin, course, every=1)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(course=stretches(3000, (1000, 6000)))
def test_streaks_count_like_bits_over_many_pages(course: list[Stretch]) -> None:
    compare(1, course, every=97)
