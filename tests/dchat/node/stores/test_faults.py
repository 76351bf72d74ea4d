from __future__ import annotations

from pathlib import Path

import pytest

from dchat.node.stores.backend import StoreDamaged, StoreFull, StoreLocked, StoreUnusable
from dchat.node.stores.faults import unopened, unwritten

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
