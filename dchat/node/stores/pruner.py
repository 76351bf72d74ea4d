"""Removes undo records that no kept version needs, beside the blocks and not in their way.

Which heights are kept is decided, and recorded, by the block's own commit. What lies before them is
garbage from then on: a process that dies while it is removed leaves some, and the next one goes on
with it. A thread does that as long as there is garbage, a bounded batch at a time, and has the
database give the space back once enough was removed.
"""

from __future__ import annotations

from itertools import islice
from threading import Event, Thread
from typing import Final

from dchat.node.stores import undo
from dchat.node.stores.backend import Backend, StoreUnusable

STRIDE: Final = 8
"""Heights that become garbage before it is worth a thread."""
BATCH_KEYS: Final = 2_048
"""Removed in one write: the longest that a block waits for is the sync of one such write."""
COMPACT_KEYS: Final = 4_096
"""Removed before a compaction, some 16 MiB."""


class Pruner:
    """Keeps the undo log of one store short. For one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._stopping = Event()
        self._thread: Thread | None = None
        self._fault: StoreUnusable | None = None
        self._goal = 0
        # What follows is the thread's own: where the garbage begins, and what a compaction awaits.
        self._begin = self._packed = undo.PREFIX
        self._removed = 0
        self._reached = 0

    def reach(self, height: int) -> None:
        """See to it that the records of blocks up to height are removed, now or a little later.

        Raises: StoreUnusable where removing the last ones failed.
        """
        if self._fault is not None:
            raise self._fault
        self._goal = height
        if height >= self._reached + STRIDE and not self._is_busy():
            self._thread = Thread(target=self._work, name="pruner")
            self._thread.start()

    def wait(self) -> None:
        """Return once nothing is being removed."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Break off after the batch, or the compaction, that is under way."""
        self._stopping.set()
        self.wait()

    def _is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        try:
            while not self._stopping.is_set() and self._reached < self._goal:
                self._remove_some(self._goal)
        except StoreUnusable as fault:
            self._fault = fault

    def _remove_some(self, goal: int) -> None:
        """Remove one batch of what is at or below the goal, which is reached if it was the last."""
        garbage = self._backend.entries(self._begin, undo.height_key(goal + 1))
        keys = [key for key, _ in islice(garbage, BATCH_KEYS)]
        if keys:
            self._backend.write([(key, None) for key in keys])
            self._begin = keys[-1]
            self._removed += len(keys)
        if len(keys) < BATCH_KEYS:
            self._reached = goal
        if self._removed >= COMPACT_KEYS:
            self._backend.compact(self._packed, self._begin)
            self._packed, self._removed = self._begin, 0
