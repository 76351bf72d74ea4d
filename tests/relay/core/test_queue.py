from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dchat.kernel.ids import EpochMs
from relay.core.envelope import SIZE_CLASSES, Envelope, Place
from relay.core.jobs import (
    Clear,
    Cleared,
    Failed,
    GetBundle,
    IdTaken,
    Keep,
    Kept,
    NotThere,
    Prune,
    Pruned,
)
from relay.core.limits import Limits
from relay.core.queue import Queue
from relay.core.refusals import Refusal


def place(mailbox: int, message: int) -> Place:
    return mailbox.to_bytes(32, "big"), message.to_bytes(32, "big")


def keep(where: Place, *, is_reserved: bool = True, sender: bytes = b"s") -> Keep:
    envelope = Envelope(*where, EpochMs(9), 0, bytes(SIZE_CLASSES[0]))
    return Keep(envelope, b"h" * 32, EpochMs(1), sender, is_reserved)


def filled(limits: Limits, count: int) -> Queue:
    """A queue with so many envelopes of different mailboxes and senders."""
    return Queue(limits, [(place(n, 0), 0) for n in range(count)])


def test_a_place_is_counted_once_however_often_it_is_asked_for() -> None:
    queue = Queue(Limits(max_queue_size=8))

    answers = [queue.admit(place(1, 1), 0, b"s") for _ in range(3)]

    assert (answers, len(queue), queue.bytes_held) == ([None] * 3, 1, 2048)


def test_a_full_queue_refuses_whoever_comes() -> None:
    queue = filled(Limits(max_queue_size=4), 4)

    assert queue.admit(place(9, 9), 0, b"new") is Refusal.QUEUE_FULL


def test_a_queue_full_of_bytes_refuses_too() -> None:
    queue = filled(Limits(max_queue_bytes=4096), 2)

    assert queue.admit(place(9, 9), 0, b"new") is Refusal.QUEUE_FULL


def test_a_full_queue_still_takes_what_it_has() -> None:
    queue = filled(Limits(max_queue_size=4), 4)

    assert queue.admit(place(3, 0), 0, b"anybody") is None


def greedy(queue: Queue, name: Callable[[int], tuple[Place, bytes]]) -> tuple[int, Any]:
    """Deposit until refused; return how many got in and why no more."""
    count = 0
    while (refusal := queue.admit(name(count)[0], 0, name(count)[1])) is None:
        count += 1
    return count, refusal


def test_one_mailbox_ends_at_a_fifth() -> None:
    queue = Queue(Limits(max_queue_size=100))

    count, refusal = greedy(queue, lambda n: (place(1, n), n.to_bytes(4, "big")))

    assert (count, refusal) == (20, Refusal.MAILBOX_FULL)


def test_one_sender_ends_at_a_fifth() -> None:
    queue = Queue(Limits(max_queue_size=100))

    count, refusal = greedy(queue, lambda n: (place(n, 0), b"greedy"))

    assert (count, refusal) == (20, Refusal.SENDER_FULL)


def test_behind_a_greedy_sender_there_is_room_for_another() -> None:
    queue = Queue(Limits(max_queue_size=100))
    greedy(queue, lambda n: (place(n, 0), b"greedy"))

    assert queue.admit(place(1000, 0), 0, b"modest") is None


def test_a_queue_of_one_can_be_used() -> None:
    assert Queue(Limits(max_queue_size=1)).admit(place(1, 1), 0, b"s") is None


def test_a_large_envelope_fits_into_a_small_queue() -> None:
    assert Queue(Limits(max_queue_bytes=65_536)).admit(place(1, 1), 3, b"s") is None


def test_what_was_there_at_the_start_counts_for_its_mailbox() -> None:
    queue = Queue(Limits(), [(place(1, 1), 0), (place(1, 2), 3)])

    assert (len(queue), queue.bytes_held, queue.in_mailbox(place(1, 0)[0])) == (2, 67_584, 2)


@pytest.mark.parametrize(
    ("outcome", "held"),
    [
        (Kept(EpochMs(1), is_new=True, is_present=True), 1),
        (Kept(EpochMs(1), is_new=False, is_present=False), 0),
        (IdTaken(is_present=False), 0),
        (IdTaken(is_present=True), 1),
        (Failed(), 0),
    ],
)
def test_a_reservation_becomes_what_the_disk_says(outcome: Any, held: int) -> None:
    queue = Queue(Limits())
    queue.admit(place(1, 1), 0, b"s")

    queue.settle(keep(place(1, 1)), outcome)

    assert (len(queue), queue.bytes_held) == (held, held * 2048)


def test_a_repeated_deposit_that_fails_gives_nothing_back() -> None:
    queue = Queue(Limits(), [(place(1, 1), 0)])

    queue.settle(keep(place(1, 1), is_reserved=False), Failed())

    assert len(queue) == 1


def test_a_repeat_that_got_through_after_the_first_failed_is_counted() -> None:
    queue = Queue(Limits())
    queue.admit(place(1, 1), 0, b"s")

    queue.settle(keep(place(1, 1)), Failed())
    queue.settle(keep(place(1, 1), is_reserved=False), Kept(EpochMs(1), True, True))

    assert len(queue) == 1


def test_cleared_and_expired_places_are_free_again() -> None:
    queue = Queue(Limits(), [(place(1, n), 0) for n in range(4)])
    names = [place(1, n)[1] for n in range(4)]

    queue.settle(Clear(place(1, 0)[0], (names[0],), (names[1],)), Cleared(1, 1))
    queue.settle(Prune(EpochMs(9)), Pruned((place(1, 2),)))

    assert (len(queue), queue.holds(place(1, 3))) == (1, True)


def test_a_failed_clearing_frees_nothing() -> None:
    queue = Queue(Limits(), [(place(1, 1), 0)])

    queue.settle(Clear(place(1, 1)[0], (place(1, 1)[1],), ()), Failed())

    assert len(queue) == 1


def test_jobs_about_keys_change_nothing() -> None:
    queue = Queue(Limits(), [(place(1, 1), 0)])

    queue.settle(GetBundle(b"k" * 32), NotThere())

    assert len(queue) == 1


class Ledger(RuleBasedStateMachine):
    """The queue against a plain dictionary of what is held."""

    LIMITS = Limits(max_queue_size=24, max_queue_bytes=300_000)

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(self.LIMITS)
        self.model: dict[Place, tuple[int, bytes]] = {}

    places = st.builds(place, st.integers(0, 5), st.integers(0, 9))

    @rule(where=places, size_class=st.integers(0, 3), sender=st.sampled_from([b"a", b"b", b"c"]))
    def deposit(self, where: Place, size_class: int, sender: bytes) -> None:
        refusal = self.queue.admit(where, size_class, sender)
        self.model = self.model if refusal else {where: (size_class, sender), **self.model}

    @rule(where=places)
    def clear(self, where: Place) -> None:
        self.queue.settle(Clear(where[0], (where[1],), ()), Cleared(1, 0))
        self.model.pop(where, None)

    @invariant()
    def counts_agree(self) -> None:
        sizes = [SIZE_CLASSES[size_class] for size_class, _ in self.model.values()]
        assert (len(self.queue), self.queue.bytes_held) == (len(sizes), sum(sizes))

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.queue) <= self.LIMITS.max_queue_size
        assert self.queue.bytes_held <= self.LIMITS.max_queue_bytes


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
