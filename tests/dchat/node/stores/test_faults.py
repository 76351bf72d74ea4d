from __future__ import annotations

from pathlib import Path

import pytest

from dchat.node.stores.backend import StoreDamaged, StoreFull, StoreLocked, StoreUnusable
from dchat.node.stores.faults import broken_off, unopened, unwritten

PLACE = Path("/state")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("IO error: lock /state/LOCK: already held by process", StoreLocked),
        ("IO error: lock /state/LOCK: Resource temporarily unavailable", StoreLocked),
        ("IO error: lock hold by current process, acquire time 1", StoreLocked),
        ("IO error: /state/000007.log: No space left on device", StoreFull),
        ("database or disk is full", StoreFull),
        ("IO error: /state/LOCK: Permission denied", StoreUnusable),
        ("IO error: /state/000007.ldb: Too many open files", StoreUnusable),
        ("Corruption: 1 missing files", StoreDamaged),
        ("file is not a database", StoreDamaged),
    ],
)
def test_what_a_database_says_at_opening_becomes_a_way_out(
    words: str, error: type[StoreUnusable]
) -> None:
    fault = unopened(PLACE, words)

    assert (type(fault), bool(fault.hint)) == (error, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("IO error: No space left on device: While appending", StoreFull),
        ("database or disk is full", StoreFull),
        ("IO error: Input/output error", StoreUnusable),
    ],
)
def test_what_a_database_says_at_writing_becomes_a_way_out(
    words: str, error: type[StoreUnusable]
) -> None:
    fault = unwritten(PLACE, words)

    assert (type(fault), bool(fault.hint)) == (error, True)


def test_a_damaged_store_is_to_be_moved_away_by_a_command_to_copy() -> None:
    assert unopened(PLACE, "Corruption: checksum mismatch").hint.startswith(
        "mv /state /state.damaged, then start again"
    )


@pytest.mark.parametrize(
    "fault", [unopened(PLACE, "no space left"), unwritten(PLACE, "disk is full")]
)
def test_a_full_disk_is_named_with_what_to_do(fault: StoreUnusable) -> None:
    assert str(PLACE) in str(fault)
    assert fault.hint == "df -h /state shows the disk; free some space there and start again"


def test_what_comes_behind_a_write_that_failed_is_refused_for_the_same_cause() -> None:
    first = unwritten(PLACE, "No space left on device")

    later = broken_off(first)

    assert (type(later), later.hint) == (StoreFull, first.hint)
    assert str(later) == f"a write before this one failed: {first}"
