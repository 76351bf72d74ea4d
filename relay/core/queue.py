"""Who may put how much into the relay's queue: full means refused, never dropped later.

Shares adapt to how full the queue is. A mailbox, and likewise a sender, may hold up to a quarter of
what is still free, so one greedy party ends at a fifth of the queue, n of them at n/(n+4), and
there is always room for somebody new.

Source: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
IEEE/ACM Transactions on Networking 6(2), 1998.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relay.core.envelope import MAX_CIPHERTEXT_BYTES, SIZE_CLASSES, Place
from relay.core.jobs import Clear, Cleared, IdTaken, Job, Keep, Kept, Outcome, Pruned
from relay.core.limits import Limits
from relay.core.refusals import Refusal

SHARE: Final = 4
"""A party may hold 1/SHARE of what is free."""

NOBODY: Final = b""
"""The sender of envelopes that were there when the relay started."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one place takes up. The sender is known in memory only, never on disk."""

    size: int
    sender: bytes


class Queue:
    """Counts what is stored or about to be; holds no envelope itself."""

    def __init__(self, limits: Limits, stored: Iterable[tuple[Place, int]] = ()) -> None:
        self._limits = limits
        self._held: dict[Place, Held] = {}
        self._bytes = 0
        self._count_of: Counter[bytes] = Counter()
        self._bytes_of: Counter[bytes] = Counter()
        for place, size_class in stored:
            self.hold(place, size_class, NOBODY)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes_held(self) -> int:
        """Ciphertext bytes of all places."""
        return self._bytes

    def in_mailbox(self, mailbox_id: bytes) -> int:
        """Return how many envelopes the mailbox holds, those on their way to disk included."""
        return self._count_of[b"m" + mailbox_id]

    def holds(self, place: Place) -> bool:
        """Tell whether an envelope of that place is stored or about to be."""
        return place in self._held

    def admit(self, place: Place, size_class: int, sender: bytes) -> Refusal | None:
        """Reserve a place, or say why not. A place already held is admitted and counted once."""
        if place in self._held:
            return None
        size = SIZE_CLASSES[size_class]
        if not self._has_room(size):
            return Refusal.QUEUE_FULL
        if self._is_over_share(b"m" + place[0], size):
            return Refusal.MAILBOX_FULL
        if self._is_over_share(b"s" + sender, size):
            return Refusal.SENDER_FULL
        self.hold(place, size_class, sender)
        return None

    def hold(self, place: Place, size_class: int, sender: bytes) -> None:
        """Count a place without asking whether there is room; no effect if it is held."""
        if place not in self._held:
            self._held[place] = Held(SIZE_CLASSES[size_class], sender)
            self._count(place, self._held[place], 1)

    def release(self, places: Iterable[Place]) -> None:
        """Forget places that are empty now; no effect on those not held."""
        for place in places:
            held = self._held.pop(place, None)
            if held:
                self._count(place, held, -1)

    def settle(self, job: Job, outcome: Outcome) -> None:
        """Take over what a job has done on disk; call it in the order of the commits."""
        match job, outcome:
            case Keep(), Kept(is_present=True) | IdTaken(is_present=True):
                self.hold(job.place, job.envelope.size_class, job.sender)
            case Keep(is_reserved=True), _:
                self.release((job.place,))
            case Clear(), Cleared():
                self.release((job.mailbox_id, gone) for gone in job.acked + job.nacked)
            case _, Pruned():
                self.release(outcome.places)
            case _:
                pass

    def _has_room(self, size: int) -> bool:
        if len(self._held) >= self._limits.max_queue_size:
            return False
        return self._bytes + size <= self._limits.max_queue_bytes

    def _is_over_share(self, party: bytes, size: int) -> bool:
        free = self._limits.max_queue_size - len(self._held)
        free_bytes = self._limits.max_queue_bytes - self._bytes
        share = max(free // SHARE, 1)
        share_bytes = max(free_bytes // SHARE, MAX_CIPHERTEXT_BYTES)
        return self._count_of[party] >= share or self._bytes_of[party] + size > share_bytes

    def _count(self, place: Place, held: Held, sign: int) -> None:
        self._bytes += sign * held.size
        for party in (b"m" + place[0], b"s" + held.sender):
            self._count_of[party] += sign
            self._bytes_of[party] += sign * held.size
            if not self._count_of[party]:
                del self._count_of[party], self._bytes_of[party]
