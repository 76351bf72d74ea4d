from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys, params
from abci_chat.params import Reputation
from abci_chat.state import reputation
from abci_chat.state.reputation import MAX_MARKS, MAX_THOUSANDTHS, RECORD, Contribution, Deed, Mark
from dchat.kernel import codec
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, MemoryState

HALF_LIFE = 100
EVENTS = st.tuples(st.sampled_from(Deed), st.integers(0, 10**6), st.integers(0, 60))


def ruled(**changes: int) -> Draft:
    """A state with a half-life of a hundred blocks, after these changes."""
    draft = Draft(MemoryState())
    params.REPUTATION.save(draft, replace(Reputation(half_life_blocks=HALF_LIFE), **changes))
    return draft


def score(draft: Draft, height: int) -> int:
    return reputation.score(draft, ALICE.id, Height(height))


def add(draft: Draft, points: int, height: int, deed: Deed = Deed.BALLOT) -> None:
    reputation.add(draft, ALICE.id, deed, points, Height(height))


def test_a_deed_counts_at_once_and_for_its_account_alone() -> None:
    draft = ruled()

    add(draft, 20, 7)

    assert score(draft, 7) == 20
    assert reputation.score(draft, BOB.id, Height(7)) == 0


@pytest.mark.parametrize(
    ("height", "left"),
    [(99, 1000), (100, 500), (199, 500), (200, 250), (300, 125), (400, 62), (799, 7), (800, 0)],
)
def test_a_deed_loses_half_every_half_life(height: int, left: int) -> None:
    draft = ruled()

    add(draft, 1000, 0)

    assert score(draft, height) == left


def test_a_late_deed_of_a_half_loses_its_first_half_after_a_half() -> None:
    draft = ruled()

    add(draft, 10, 49)
    add(draft, 10, 50)

    assert (score(draft, 99), score(draft, 100), score(draft, 150)) == (20, 15, 10)


def test_what_is_less_than_a_point_adds_up() -> None:
    draft = ruled()

    reputation.count(draft, ALICE.id, Deed.FEES_PAID, 999, Height(1))
    reputation.count(draft, ALICE.id, Deed.BALLOT, 1, Height(1))

    assert score(draft, 1) == 1


def test_nothing_writes_nothing() -> None:
    draft = Draft(MemoryState())

    add(draft, 0, 5)

    assert draft.writes() == {}


def test_trust_begins_with_the_points_that_are_asked_for() -> None:
    draft = ruled(trusted_points=30)

    add(draft, 29, 0)
    before = reputation.is_trusted(draft, ALICE.id, Height(0))
    add(draft, 1, 0)

    assert (before, reputation.is_trusted(draft, ALICE.id, Height(0))) == (False, True)
    assert not reputation.is_trusted(draft, ALICE.id, Height(100))


def test_a_stranger_is_not_trusted() -> None:
    assert not reputation.is_trusted(ruled(trusted_points=1), ALICE.id, Height(9))


def test_every_contribution_is_listed_by_deed_then_by_height() -> None:
    draft = ruled()
    add(draft, 3, 160, Deed.VERDICT)
    add(draft, 2, 60, Deed.BALLOT)
    add(draft, 1, 170, Deed.BALLOT)

    found = reputation.contributions(draft, ALICE.id, Height(170))

    assert found == (
        Contribution(Mark(Deed.BALLOT, Height(50), 2000), 1000),
        Contribution(Mark(Deed.BALLOT, Height(150), 1000), 1000),
        Contribution(Mark(Deed.VERDICT, Height(150), 3000), 3000),
    )


def test_what_counts_for_nothing_is_not_listed_and_goes_with_the_next_deed() -> None:
    draft = ruled()
    add(draft, 5, 0)

    gone = reputation.contributions(draft, ALICE.id, Height(800))
    add(draft, 5, 800, Deed.VERDICT)

    assert gone == ()
    assert draft.get(keys.reputation(ALICE.id)) == codec.pack([Deed.VERDICT, 800, 5000])


def test_more_than_a_mark_holds_is_not_counted() -> None:
    draft = ruled()

    add(draft, codec.MAX_U64, 0)
    once = score(draft, 0)
    add(draft, codec.MAX_U64, 1)

    assert (once, score(draft, 1)) == (MAX_THOUSANDTHS // 1000, MAX_THOUSANDTHS // 1000)


def test_marks_that_a_longer_half_life_leaves_standing_become_one_and_nobody_gains() -> None:
    draft = ruled(half_life_blocks=16)
    for height in range(0, 128, 8):
        add(draft, 1, height)

    params.REPUTATION.save(draft, Reputation(half_life_blocks=1600))
    for height in range(800, 4800, 800):
        add(draft, 1, height)

    found = reputation.contributions(draft, ALICE.id, Height(4000))
    assert len(found) == MAX_MARKS
    assert found[0] == Contribution(Mark(Deed.BALLOT, Height(0), 5000), 1250)
    assert [each.mark.since for each in found[-5:]] == [800, 1600, 2400, 3200, 4000]


@given(st.lists(EVENTS, max_size=60), st.integers(0, 900), st.integers(16, 120))
def test_it_is_what_a_list_of_all_deeds_would_say(
    events: list[tuple[Deed, int, int]], later: int, half_life: int
) -> None:
    draft, height, done = ruled(half_life_blocks=half_life), 0, []
    half = half_life // 2

    for deed, thousandths, blocks in events:
        height += blocks
        reputation.count(draft, ALICE.id, deed, thousandths, Height(height))
        done.append((deed, height // half * half, thousandths))

    now = height + later
    places = sorted({(deed, since) for deed, since, _ in done})
    exact = [
        sum(each[2] for each in done if each[:2] == place) // 2 ** ((now - place[1]) // half_life)
        for place in places
        if (now - place[1]) // half_life < 8
    ]
    assert score(draft, now) == sum(exact) // 1000
    listed = reputation.contributions(draft, ALICE.id, Height(now))
    assert sum(each.left for each in listed) == sum(exact)
    kinds = [sum(each.mark.deed == deed for each in listed) for deed in Deed]
    assert max(kinds) <= MAX_MARKS


@given(EVENTS, st.lists(st.integers(0, 500), max_size=20))
def test_an_idle_account_never_gains(event: tuple[Deed, int, int], pauses: list[int]) -> None:
    draft, (deed, points, height) = ruled(), event
    add(draft, points, height, deed)

    seen = [score(draft, height)]
    for pause in pauses:
        height += pause
        seen.append(score(draft, height))

    assert seen == sorted(seen, reverse=True)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_marks_or_a_codec_error(data: bytes) -> None:
    with suppress(codec.CodecError):
        assert RECORD.encode(RECORD.decode(data)) == data


@pytest.mark.parametrize("numbers", [(1, 2), (9, 2, 3), (1, 2, 3) * 86])
def test_what_are_no_marks_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(codec.CodecError):
        RECORD.decode(codec.pack(numbers))
