"""The roll of jurors: sums, draws in proportion to weight, places used again."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from hashlib import sha256
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat import keys
from abci_chat.state import roll
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState
from tests.house.rooms import HOUSE

DRAWS = 2_000
MOST = 2**63


def who(number: int) -> AccountId:
    return AccountId(sha256(b"juror %d" % number).digest())


def seed(number: int) -> bytes:
    return sha256(b"seed %d" % number).digest()


def rolled(*weights: int) -> Draft:
    """Return a state with jurors number 0, 1, … of these weights."""
    draft = Draft(MemoryState())
    for number, weight in enumerate(weights):
        roll.set_weight(draft, who(number), Amount(weight))
    return draft


def empty(draft: Draft, size: int) -> None:
    """Take everybody off the roll, in another order than they came, sums checked all along."""
    for number in range(size):
        roll.set_weight(draft, who(number * 7 % size), Amount(0))
        roll.check_invariant(draft)


def naive(weights: dict[AccountId, int], order: list[AccountId], seed: bytes) -> AccountId:
    """Return who is drawn first, by walking along everybody, from a point found by hand."""
    total = sum(weights.values())
    words = (
        int.from_bytes(
            sha256(b"dchat/jury-draw/v1" + seed + number.to_bytes(8, "big")).digest()[:8], "big"
        )
        for number in range(64)
    )
    point = next(word for word in words if word < 2**64 - 2**64 % total) % total
    along = [each for each in order for _ in range(weights[each])]
    return along[point]


def writes(draft: Draft) -> int:
    return len(draft.writes())


class Counting:
    """A state that counts what is read of it."""

    def __init__(self, draft: Draft) -> None:
        self.inner = draft
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.inner.get(key)

    def scan(self, prefix: bytes) -> object:
        raise AssertionError(f"scanned {prefix.hex()}")


def test_nobody_is_drawn_from_an_empty_roll() -> None:
    assert roll.draw(rolled(), seed(1), 7, ()) == ()


def test_a_draw_is_the_same_every_time() -> None:
    draft = rolled(*range(1, 40))

    assert roll.draw(draft, seed(1), 7, ()) == roll.draw(draft, seed(1), 7, ())
    assert roll.draw(draft, seed(1), 7, ()) != roll.draw(draft, seed(2), 7, ())


def test_jurors_of_one_draw_are_distinct_though_one_weighs_nearly_everything() -> None:
    draft = rolled(10**12, 1, 1, 1, 1)

    drawn = roll.draw(draft, seed(1), 5, ())

    assert sorted(drawn) == sorted(who(number) for number in range(5))


def test_fewer_are_drawn_where_there_are_no_more() -> None:
    assert len(roll.draw(rolled(1, 2, 3), seed(1), 7, ())) == 3


def test_who_is_barred_is_never_drawn_though_weighing_nearly_everything() -> None:
    draft = rolled(10**15, 1, 1)

    drawn = roll.draw(draft, seed(1), 3, (who(0), who(0), who(99)))

    assert sorted(drawn) == sorted((who(1), who(2)))


def test_draws_of_one_are_those_of_a_walk_along_everybody() -> None:
    weights = [5, 1, 90, 3, 1, 17, 40, 2, 9, 11, 6, 8, 13, 21, 34, 55, 89, 4, 7]
    draft = rolled(*weights)
    order = [who(number) for number in range(len(weights))]
    by_weight = dict(zip(order, weights, strict=True))

    counted = Counter(roll.draw(draft, seed(at), 1, ())[0] for at in range(DRAWS))

    assert counted == Counter(naive(by_weight, order, seed(at)) for at in range(DRAWS))
    shares = [(counted[each], DRAWS * by_weight[each] // sum(weights)) for each in order]
    assert [(have, due) for have, due in shares if abs(have - due) > 4 * (due + 4) ** 0.5] == []


def test_a_split_bond_is_drawn_as_often_as_a_whole_one() -> None:
    whole, split = rolled(50, 50), rolled(50, *[1] * 50)

    once = sum(roll.draw(whole, seed(at), 1, ())[0] == who(0) for at in range(DRAWS))
    parts = sum(roll.draw(split, seed(at), 1, ())[0] == who(0) for at in range(DRAWS))

    assert once == parts


def test_what_is_left_out_is_left_out_for_all_further_draws() -> None:
    draft = rolled(3, 5, 7, 11)
    barred = rolled(3, 5, 11)  # juror 2 here is juror 3 there
    name = {who(0): who(0), who(1): who(1), who(2): who(3)}

    drawn = [roll.draw(draft, seed(at), 2, (who(2),)) for at in range(200)]

    alike = [roll.draw(barred, seed(at), 2, ()) for at in range(200)]
    assert drawn == [tuple(name[each] for each in pair) for pair in alike]


def test_words_that_would_favour_the_first_jurors_are_skipped() -> None:
    """Of 3 * 2^62 points the first third would come up for half of all words."""
    draft = rolled(2**62, 2**62, 2**62)

    counted = Counter(roll.draw(draft, seed(at), 1, ())[0] for at in range(3_000))

    assert [abs(counted[who(number)] - 1_000) < 100 for number in range(3)] == [True] * 3


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 256, 257, 300])
def test_sums_hold_while_the_roll_grows_and_shrinks_to_nothing(size: int) -> None:
    draft = rolled(*range(1, size + 1))
    roll.check_invariant(draft)

    empty(draft, size)

    kept = [key for key, value in draft.writes().items() if value is not None]
    assert (kept, roll.load(draft)) == ([keys.JURY_ROLL], roll.Roll(0, Amount(0)))


def test_a_place_that_gets_free_is_used_again() -> None:
    draft = rolled(1, 2, 3)

    roll.set_weight(draft, who(0), Amount(0))
    roll.set_weight(draft, who(9), Amount(9))

    assert list(roll.members(draft)) == [(who(2), 3), (who(1), 2), (who(9), 9)]


def test_the_weight_of_somebody_not_on_the_roll_is_0() -> None:
    draft = rolled(4)
    roll.set_weight(draft, who(7), Amount(0))

    assert [roll.weight_of(draft, who(at)) for at in (0, 7)] == [4, 0]
    assert roll.load(draft).size == 1


def test_a_change_and_a_draw_touch_a_node_of_each_level() -> None:
    state = MemoryState().after(rolled(*[5] * 4_096).writes())
    change, leave = Draft(state), Draft(state)
    counting = Counting(Draft(state))

    roll.set_weight(change, who(77), Amount(9))
    roll.set_weight(leave, who(77), Amount(0))
    roll.draw(counting, seed(1), 1, ())  # pyright: ignore[reportArgumentType] -- it never scans

    assert (writes(change), writes(leave), counting.reads) == (4, 10, 5)


def test_a_sum_that_is_wrong_is_found() -> None:
    draft = rolled(*[3] * 20)
    draft.put(keys.jury_slot(2, 0), draft.get(keys.jury_slot(1, 1)) or b"")

    with pytest.raises(InvariantBroken):
        roll.check_invariant(draft)


class Rolls(RuleBasedStateMachine):
    """Any order of changes leaves the sums of what everybody weighs."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = rolled()
        self.weights: dict[AccountId, int] = {}

    @rule(number=st.integers(0, 40), weight=st.integers(0, 2**40))
    def weigh(self, number: int, weight: int) -> None:
        roll.set_weight(self.draft, who(number), Amount(weight))
        self.weights[who(number)] = weight

    @rule(count=st.integers(17, 40), weight=st.integers(0, 3))
    def weigh_many(self, count: int, weight: int) -> None:
        for number in range(count):
            self.weigh(number, weight)

    @rule(seed=st.binary(min_size=32, max_size=32), count=st.integers(0, 8))
    def draw(self, seed: bytes, count: int) -> None:
        barred = (who(0), who(1))
        free = [each for each, weight in self.weights.items() if weight and each not in barred]

        drawn = roll.draw(self.draft, seed, count, barred)

        assert len(set(drawn)) == len(drawn) == min(count, len(free))
        assert set(drawn) <= set(free)

    @invariant()
    def the_sums_are_those_of_the_bonds(self) -> None:
        roll.check_invariant(self.draft)
        held = {each: weight for each, weight in self.weights.items() if weight}
        assert dict(roll.members(self.draft)) == held
        assert roll.load(self.draft).total == sum(held.values())


TestRolls = Rolls.TestCase
TestRolls.settings = settings(max_examples=settings().max_examples // 4)


def tail(seats: int, share: Fraction) -> Fraction:
    """Return the odds of a majority of the seats, each taken with those odds by itself."""
    odds = [
        comb(seats, each) * share**each * (1 - share) ** (seats - each)
        for each in range(seats // 2 + 1, seats + 1)
    ]
    return sum(odds, Fraction(0))


@pytest.mark.parametrize(
    ("seats", "shown"),
    [
        (7, ("0.27", "3.3", "17")),
        (15, ("0.0034", "0.42", "8.4")),
        (31, ("0.00000069", "0.0088", "2.5")),
    ],
)
def test_the_docs_say_how_often_colluders_have_a_majority(
    seats: int, shown: tuple[str, str, str]
) -> None:
    found = [tail(seats, Fraction(percent, 100)) * 100 for percent in (10, 20, 33)]

    assert [f"{float(odds):.2g}" for odds in found] == [f"{float(each):.2g}" for each in shown]
    row = " | ".join([str(seats), *[f"{each} %" for each in shown]])
    assert f"| {row} |" in (HOUSE / "docs" / "moderation.md").read_text()


def test_colluders_have_a_majority_no_more_often_than_the_bound_says() -> None:
    """A fifth of all bonds, nobody more than a hundredth of them, two accounts barred."""
    draft = rolled(*[5] * 100)
    colluders, barred = {who(number) for number in range(20)}, (who(98), who(99))

    juries = [roll.draw(draft, seed(at), 7, barred) for at in range(DRAWS)]

    captured = sum(len(colluders & set(each)) > 3 for each in juries)
    assert captured <= DRAWS * tail(7, Fraction(20, 100) / (1 - Fraction(8, 100)))
    assert captured > DRAWS // 100


@given(st.lists(st.integers(1, MOST // 64), min_size=1, max_size=40), st.binary(min_size=32))
def test_the_first_of_a_jury_is_who_would_be_drawn_alone(weights: list[int], said: bytes) -> None:
    draft = rolled(*weights)

    assert roll.draw(draft, said, 3, ())[:1] == roll.draw(draft, said, 1, ())
