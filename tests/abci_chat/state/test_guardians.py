from __future__ import annotations

import pytest

from abci_chat.state import guardians
from abci_chat.state.guardians import NOBODY, Guardians, Panel, commitment, is_sound
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.guarded import DAVE, panel
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState

FIRST, SECOND = panel(BOB, threshold=1), panel(CAROL, DAVE, threshold=2)
LOW, HIGH = AccountId(b"a" * 32), AccountId(b"b" * 32)


def announced() -> Draft:
    draft = Draft(MemoryState())
    guardians.announce(draft, ALICE.id, FIRST, EpochMs(10), EpochMs(20))
    return draft


def at(draft: Draft, now: int) -> Guardians:
    return guardians.load(draft, ALICE.id, EpochMs(now))


def test_whoever_named_nobody_has_no_guardians() -> None:
    assert guardians.load(MemoryState(), ALICE.id, EpochMs(9)) == Guardians()


def test_guardians_wait_until_their_time() -> None:
    assert at(announced(), 19) == Guardians(NOBODY, EpochMs(0), FIRST, EpochMs(20))


def test_guardians_are_in_force_from_their_time_on() -> None:
    assert at(announced(), 20) == Guardians(FIRST, EpochMs(20))


def test_another_change_takes_the_place_of_one_that_waits() -> None:
    draft = announced()

    guardians.announce(draft, ALICE.id, SECOND, EpochMs(19), EpochMs(29))

    assert (at(draft, 28).panel, at(draft, 29).panel) == (NOBODY, SECOND)


def test_another_change_leaves_those_in_force_until_its_time() -> None:
    draft = announced()

    guardians.announce(draft, ALICE.id, SECOND, EpochMs(20), EpochMs(30))

    assert at(draft, 29) == Guardians(FIRST, EpochMs(20), SECOND, EpochMs(30))


def test_a_change_that_is_cancelled_never_comes() -> None:
    draft = announced()

    kept = guardians.cancel(draft, ALICE.id, EpochMs(19))

    assert (kept, at(draft, 1000)) == (NOBODY, Guardians())


def test_a_change_in_force_is_cancelled_no_more() -> None:
    draft = announced()

    kept = guardians.cancel(draft, ALICE.id, EpochMs(20))

    assert (kept, at(draft, 1000).panel) == (FIRST, FIRST)


def test_a_veto_lasts_when_the_guardians_change() -> None:
    draft = announced()

    guardians.veto(draft, ALICE.id, EpochMs(11), Height(7))

    assert [at(draft, now).vetoed_at for now in (11, 20)] == [7, 7]


@pytest.mark.parametrize(
    "sound",
    [
        NOBODY,
        FIRST,
        SECOND,
        Panel((LOW, HIGH), 1),
        Panel(tuple(AccountId(bytes([n]) * 32) for n in range(15)), 15),
    ],
)
def test_a_sound_panel_may_be_named(sound: Panel) -> None:
    assert is_sound(sound)


@pytest.mark.parametrize(
    "odd",
    [
        Panel((), 1),
        Panel((LOW,), 0),
        Panel((LOW,), 2),
        Panel((LOW, LOW), 1),
        Panel((HIGH, LOW), 1),
    ],
)
def test_an_odd_panel_may_not(odd: Panel) -> None:
    assert not is_sound(odd)


def test_a_commitment_names_owner_members_and_threshold() -> None:
    named = {
        commitment(ALICE.id, Panel((LOW, HIGH), 1)),
        commitment(BOB.id, Panel((LOW, HIGH), 1)),
        commitment(ALICE.id, Panel((LOW, HIGH), 2)),
        commitment(ALICE.id, Panel((LOW,), 1)),
    }

    assert len(named) == 4
