from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dchat.kernel.ids import EpochMs
from relay.core.envelope import SIZE_CLASSES, Envelope, ciphertext_hash
from relay.core.jobs import (
    Clear,
    Cleared,
    Failed,
    IdTaken,
    Job,
    Keep,
    Kept,
    PageRead,
    Prune,
    Pruned,
    ReadPage,
)
from relay.core.limits import Limits
from relay.net.schema import DatabaseUnusable
from relay.net.store import Store

MAILBOX = b"m" * 32
NOW = EpochMs(1_000)
LATER = EpochMs(9_000)


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def keep(number: int, size_class: int = 0, mailbox: bytes = MAILBOX, fill: bytes = b"x") -> Keep:
    ciphertext = fill * SIZE_CLASSES[size_class]
    envelope = Envelope(mailbox, name(number), LATER, size_class, ciphertext)
    return Keep(envelope, ciphertext_hash(ciphertext), NOW, b"sender", is_reserved=True)


def read(cursor: int = 0, limit: int = 64, now: EpochMs = NOW) -> ReadPage:
    return ReadPage(MAILBOX, cursor, limit, now)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    opened = Store(tmp_path / "relay.db", Limits(max_queue_size=2, tombstones_per_message=2))
    yield opened
    opened.close()


def do(store: Store, job: Job) -> Any:
    (outcome,) = store.run([job])
    return outcome


def names(page: PageRead) -> list[int]:
    return [int.from_bytes(item.message_id, "big") for item in page.items]


def test_a_kept_envelope_is_read_as_it_was(store: Store) -> None:
    kept = do(store, keep(1))
    page = do(store, read())

    assert kept == Kept(NOW, is_new=True, is_present=True)
    assert [(i.message_id, i.expires_at_ms, i.ciphertext) for i in page.items] == [
        (name(1), LATER, b"x" * 2048)
    ]
    assert page.more is False


def test_a_repeated_envelope_is_kept_once_since_its_first_time(store: Store) -> None:
    do(store, keep(1))

    again = do(store, replace(keep(1), accepted_at_ms=EpochMs(2_000)))

    assert again == Kept(NOW, is_new=False, is_present=True)
    assert names(do(store, read())) == [1]


def test_two_of_one_batch_are_kept_once(store: Store) -> None:
    outcomes = store.run([keep(1), keep(1)])

    assert [outcome.is_new for outcome in outcomes if isinstance(outcome, Kept)] == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        keep(1, fill=b"y"),
        replace(keep(1), envelope=replace(keep(1).envelope, expires_at_ms=EpochMs(9_001))),
    ],
    ids=["ciphertext", "expiry"],
)
def test_another_envelope_does_not_take_the_id(store: Store, other: Keep) -> None:
    do(store, keep(1))

    assert do(store, other) == IdTaken(is_present=True)


def test_the_same_id_in_another_mailbox_is_another_envelope(store: Store) -> None:
    do(store, keep(1))

    assert do(store, keep(1, mailbox=b"o" * 32, fill=b"y")).is_new is True


def test_a_delivered_envelope_does_not_come_back(store: Store) -> None:
    do(store, keep(1))
    do(store, Clear(MAILBOX, (name(1),), ()))

    again = do(store, keep(1))

    assert again == Kept(NOW, is_new=False, is_present=False)
    assert do(store, keep(1, fill=b"y")) == IdTaken(is_present=False)
    assert names(do(store, read())) == []


def test_clearing_counts_what_was_there(store: Store) -> None:
    store.run([keep(1), keep(2)])

    first = do(store, Clear(MAILBOX, (name(1),), (name(2), name(3))))
    second = do(store, Clear(MAILBOX, (name(1),), (name(2),)))

    assert (first, second) == (Cleared(1, 1), Cleared(0, 0))


def test_a_mailbox_cannot_clear_anothers_envelope(store: Store) -> None:
    do(store, keep(1))

    assert do(store, Clear(b"o" * 32, (name(1),), ())) == Cleared(0, 0)
    assert names(do(store, read())) == [1]


def test_pages_follow_each_other_in_order_of_arrival(store: Store) -> None:
    store.run([keep(n) for n in (3, 1, 2)])

    first = do(store, read(limit=2))
    second = do(store, read(cursor=first.next_cursor, limit=2))

    assert (names(first), first.more) == ([3, 1], True)
    assert (names(second), second.more) == ([2], False)


def test_a_page_that_is_just_full_has_no_more(store: Store) -> None:
    store.run([keep(n) for n in (1, 2)])

    assert do(store, read(limit=2)).more is False


def test_a_page_holds_96_kib(store: Store) -> None:
    store.run([keep(n, size_class=2) for n in range(7)])

    page = do(store, read())

    assert (len(page.items), page.more) == (6, True)


def test_the_largest_envelope_always_fits_into_a_page(store: Store) -> None:
    store.run([keep(n, size_class=3) for n in range(2)])

    page = do(store, read())

    assert (names(page), page.more) == ([0], True)


def test_an_empty_page_keeps_the_cursor(store: Store) -> None:
    assert do(store, read(cursor=7)) == PageRead((), 7, more=False)


def test_the_last_cursor_there_is_finds_nothing(store: Store) -> None:
    do(store, keep(1))

    assert names(do(store, read(cursor=2**63 - 1))) == []


def test_an_expired_envelope_is_not_given_out_even_before_it_is_pruned(store: Store) -> None:
    do(store, keep(1))

    assert names(do(store, read(now=LATER))) == []


def test_pruning_removes_what_has_expired_and_says_what(store: Store) -> None:
    late = replace(keep(2), envelope=replace(keep(2).envelope, expires_at_ms=EpochMs(9_001)))
    store.run([keep(1), late])

    pruned = do(store, Prune(LATER))

    assert pruned == Pruned(((MAILBOX, name(1)),))
    assert list(store.places()) == [((MAILBOX, name(2)), 0)]


def test_a_tombstone_lives_as_long_as_its_envelope_would_have(store: Store) -> None:
    do(store, keep(1))
    do(store, Clear(MAILBOX, (name(1),), ()))

    do(store, Prune(EpochMs(LATER - 1)))
    before = do(store, keep(1))
    do(store, Prune(LATER))
    after = do(store, keep(1))

    assert (before.is_new, after.is_new) == (False, True)


def test_tombstones_are_bounded_in_number(store: Store) -> None:
    store.run([keep(n) for n in range(6)])
    do(store, Clear(MAILBOX, tuple(name(n) for n in range(6)), ()))

    do(store, Prune(NOW))

    assert store._db.execute("SELECT count(*) FROM tombstones").fetchone() == (4,)


def test_a_deleted_ciphertext_is_not_left_in_the_file(store: Store, tmp_path: Path) -> None:
    do(store, keep(1, fill=b"\xa7"))
    do(store, Clear(MAILBOX, (name(1),), ()))
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert b"\xa7" * 100 not in (tmp_path / "relay.db").read_bytes()


def test_a_tombstone_does_not_name_the_mailbox(store: Store) -> None:
    do(store, keep(1))
    do(store, Clear(MAILBOX, (name(1),), ()))

    (row,) = store._db.execute("SELECT * FROM tombstones").fetchall()

    assert MAILBOX not in row


def test_what_is_stored_is_there_after_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "relay.db", Limits())
    do(first, keep(1, size_class=1))
    first.close()

    second = Store(tmp_path / "relay.db", Limits())

    assert list(second.places()) == [((MAILBOX, name(1)), 1)]
    second.close()


def test_a_full_disk_fails_the_whole_batch_and_nothing_else(store: Store) -> None:
    do(store, keep(1))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    failed = store.run([keep(2, size_class=3), keep(3), read()])
    page = do(store, read())

    assert failed == [Failed(), Failed(), Failed()]
    assert names(page) == [1]


def test_a_disk_with_room_again_is_used_again(store: Store) -> None:
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    store.run([keep(2, size_class=3)])
    store._db.execute("PRAGMA max_page_count = 100000")

    assert do(store, keep(2, size_class=3)).is_new is True


def test_a_disk_that_turned_read_only_fails_a_batch_and_can_recover(store: Store) -> None:
    store._db.execute("PRAGMA query_only = ON")
    failed = store.run([read(), keep(1)])
    store._db.execute("PRAGMA query_only = OFF")

    assert failed == [Failed(), Failed()]
    assert do(store, keep(1)).is_new is True


def test_a_file_that_breaks_while_running_stops_the_relay(store: Store, tmp_path: Path) -> None:
    store.run([keep(n, size_class=2) for n in range(8)])
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._db.execute("PRAGMA cache_size = 1")
    store._db.execute("SELECT count(*) FROM inboxes").fetchone()
    size = (tmp_path / "relay.db").stat().st_size
    with (tmp_path / "relay.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    with pytest.raises(DatabaseUnusable, match="is damaged"):
        store.run([keep(99), read()])


def test_space_is_given_back_after_pruning(store: Store) -> None:
    store.run([keep(n, size_class=3) for n in range(20)])
    (before,) = store._db.execute("PRAGMA page_count").fetchone()

    do(store, Prune(LATER))

    (after,) = store._db.execute("PRAGMA page_count").fetchone()
    assert after < before // 4
