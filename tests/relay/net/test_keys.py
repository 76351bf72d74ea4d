from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from dchat.kernel.ids import EpochMs
from relay.core.jobs import (
    AddKeys,
    Found,
    GetBundle,
    Job,
    KeysHeld,
    NoRoom,
    NotThere,
    Prune,
    PutBundle,
    TakeKey,
)
from relay.core.limits import Limits
from relay.core.refusals import Refusal
from relay.net.store import Store

ALICE = b"a" * 32
BOB = b"b" * 32
NOW = EpochMs(1_000)
LIMITS = Limits(max_one_time_keys=3, max_inboxes=2, key_memory_ms=10_000)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    opened = Store(tmp_path / "relay.db", LIMITS)
    yield opened
    opened.close()


def do(store: Store, job: Job) -> Any:
    (outcome,) = store.run([job])
    return outcome


def test_the_latest_bundle_is_served(store: Store) -> None:
    do(store, PutBundle(ALICE, b"old", NOW))

    assert do(store, PutBundle(ALICE, b"new", NOW)) == KeysHeld(0)
    assert do(store, GetBundle(ALICE)) == Found(b"new")


def test_there_is_no_bundle_of_a_stranger(store: Store) -> None:
    assert do(store, GetBundle(ALICE)) == NotThere()


def test_an_inbox_with_keys_alone_has_no_bundle(store: Store) -> None:
    do(store, AddKeys(ALICE, (b"one",), NOW))

    assert do(store, GetBundle(ALICE)) == NotThere()


def test_each_key_is_given_away_once_the_oldest_first(store: Store) -> None:
    held = do(store, AddKeys(ALICE, (b"one", b"two"), NOW))

    taken = store.run([TakeKey(ALICE, NOW)] * 3)

    assert held == KeysHeld(2)
    assert taken == [Found(b"one"), Found(b"two"), NotThere()]


def test_a_key_given_away_stays_so_after_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "again.db", LIMITS)
    do(first, AddKeys(ALICE, (b"one", b"two"), NOW))
    do(first, TakeKey(ALICE, NOW))
    first.close()

    second = Store(tmp_path / "again.db", LIMITS)

    assert do(second, TakeKey(ALICE, NOW)) == Found(b"two")
    second.close()


def test_inboxes_do_not_share_keys(store: Store) -> None:
    do(store, AddKeys(ALICE, (b"one",), NOW))

    assert do(store, TakeKey(BOB, NOW)) == NotThere()


def test_a_repeated_put_adds_nothing(store: Store) -> None:
    do(store, AddKeys(ALICE, (b"one", b"two"), NOW))

    assert do(store, AddKeys(ALICE, (b"one", b"two", b"two"), NOW)) == KeysHeld(2)


def test_a_repeated_put_does_not_bring_back_a_key_given_away(store: Store) -> None:
    do(store, AddKeys(ALICE, (b"one",), NOW))
    do(store, TakeKey(ALICE, NOW))

    assert do(store, AddKeys(ALICE, (b"one",), NOW)) == KeysHeld(0)
    assert do(store, TakeKey(ALICE, NOW)) == NotThere()


def test_a_put_over_the_bound_adds_nothing(store: Store) -> None:
    do(store, AddKeys(ALICE, (b"one", b"two"), NOW))

    refused = do(store, AddKeys(ALICE, (b"three", b"four"), NOW))

    assert refused == NoRoom(Refusal.TOO_MANY_KEYS)
    assert do(store, AddKeys(ALICE, (b"three",), NOW)) == KeysHeld(3)


def test_inboxes_are_bounded_but_known_ones_may_go_on(store: Store) -> None:
    do(store, PutBundle(ALICE, b"a", NOW))
    do(store, AddKeys(BOB, (b"one",), NOW))

    assert do(store, PutBundle(b"c" * 32, b"c", NOW)) == NoRoom(Refusal.TOO_MANY_INBOXES)
    assert do(store, AddKeys(b"c" * 32, (b"k",), NOW)) == NoRoom(Refusal.TOO_MANY_INBOXES)
    assert do(store, PutBundle(BOB, b"b", NOW)) == KeysHeld(1)


def test_an_inbox_nobody_refreshes_is_forgotten(store: Store) -> None:
    do(store, PutBundle(ALICE, b"a", NOW))
    do(store, AddKeys(ALICE, (b"one",), NOW))
    do(store, PutBundle(BOB, b"b", EpochMs(2_000)))

    do(store, Prune(EpochMs(11_500)))

    assert do(store, GetBundle(ALICE)) == NotThere()
    assert do(store, TakeKey(ALICE, NOW)) == NotThere()
    assert do(store, GetBundle(BOB)) == Found(b"b")


def test_the_memory_of_keys_given_away_is_bounded(store: Store) -> None:
    for number in range(40):
        do(store, AddKeys(ALICE, (number.to_bytes(2, "big"),), NOW))
        do(store, TakeKey(ALICE, NOW))
    do(store, AddKeys(ALICE, (b"last",), NOW))

    (rows,) = store._db.execute("SELECT count(*) FROM one_time_keys").fetchone()

    assert rows == 31
    assert do(store, AddKeys(ALICE, ((39).to_bytes(2, "big"),), NOW)) == KeysHeld(1)
