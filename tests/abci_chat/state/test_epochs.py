"""The record of an epoch, and how often one actor may change it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.params import CHANNELS, HOUR_MS
from abci_chat.state import epochs
from abci_chat.state.epochs import EPOCH, Epoch, TooManyBumps
from dchat.kernel.family import TxContext
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CHAIN, START, MemoryState, Person

WHERE = b"\x0c" * 32
FULL = Epoch(7, True, True, 3, b"\x01" * 32, 64, b"\x02" * 32, b"\x03" * 32)


def by(who: Person, at: int = START) -> TxContext:
    return TxContext(CHAIN, who.id, who.public_key, Height(1), EpochMs(at))


def allowed(draft: Draft, at: int) -> bool:
    try:
        epochs.bump(draft, WHERE, by(ALICE, at))
    except TooManyBumps:
        return False
    return True


@pytest.mark.parametrize("record", [epochs.FIRST, FULL])
def test_an_epoch_reads_back_as_it_was_written(record: Epoch) -> None:
    draft = Draft(MemoryState())

    epochs.save(draft, WHERE, record)

    kept = MemoryState().after(draft.writes())
    assert epochs.load(kept, WHERE) == EPOCH.decode(record.encode()) == record


def test_before_any_commit_the_epoch_is_number_0() -> None:
    assert epochs.load(MemoryState(), WHERE) == Epoch(0, False, False, 0, bytes(32), 0)


@pytest.mark.parametrize(("reserve", "kept"), [(False, False), (True, True)])
def test_who_goes_leaves_the_epoch_stale_and_its_keys_in_place(reserve: bool, kept: bool) -> None:
    before = replace(FULL, stale=False, reserved=False)
    draft = Draft(MemoryState())
    epochs.save(draft, WHERE, before)

    epochs.gone(draft, WHERE, reserve=reserve)

    after = replace(before, stale=True, removals=4, reserved=kept)
    assert epochs.load(draft, WHERE) == after


def test_a_reserve_stays_where_others_go() -> None:
    draft = Draft(MemoryState())
    epochs.save(draft, WHERE, FULL)

    epochs.gone(draft, WHERE)

    assert epochs.load(draft, WHERE).reserved


def test_actors_and_channels_have_limits_of_their_own() -> None:
    draft = Draft(MemoryState())
    CHANNELS.save(draft, replace(CHANNELS.default, bumps_per_hour=1))
    epochs.bump(draft, WHERE, by(ALICE))

    epochs.bump(draft, WHERE, by(BOB))
    epochs.bump(draft, bytes(32), by(ALICE))

    assert not allowed(draft, START)


@given(st.integers(1, 9), st.lists(st.integers(0, HOUR_MS), max_size=60))
def test_in_no_hour_anybody_does_more_than_twice_what_an_hour_allows(
    limit: int, gaps: list[int]
) -> None:
    draft = Draft(MemoryState())
    CHANNELS.save(draft, replace(CHANNELS.default, bumps_per_hour=limit))
    times = [START + sum(gaps[: at + 1]) for at in range(len(gaps))]

    done = [at for at in times if allowed(draft, at)]

    assert all(
        len([at for at in done if 0 <= at - start < HOUR_MS]) < 2 * limit + 1 for start in done
    )


def test_the_smallest_step_is_a_millisecond() -> None:
    draft = Draft(MemoryState())
    CHANNELS.save(draft, replace(CHANNELS.default, bumps_per_hour=1000))

    assert sum([allowed(draft, START) for _ in range(1005)]) == 1000
