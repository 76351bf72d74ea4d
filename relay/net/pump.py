"""Jobs from many sessions become few synced transactions: whatever waits goes to disk together.

One worker thread at a time runs the store. A batch under way is never cancelled; when the pump is
cancelled it finishes that batch and reports its outcomes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from relay.core.jobs import Job, Outcome
from relay.net.store import Store

MAX_WAITING: Final = 1_024
"""Jobs queued before submit() waits; with the largest envelopes 64 MiB."""

MAX_BATCH: Final = 256

Settled = Callable[[Job, Outcome], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    job: Job
    done: Callable[[Outcome], None]


class Pump:
    """Runs jobs in the order of submission."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = trio.CapacityLimiter(1)
        self._inlet, self._outlet = trio.open_memory_channel[_Entry](MAX_WAITING)

    @property
    def waiting(self) -> int:
        """Jobs submitted and not yet in a batch."""
        return self._inlet.statistics().current_buffer_used

    async def submit(self, job: Job, done: Callable[[Outcome], None]) -> None:
        """Queue a job; `done` is called with its outcome once that is on disk.

        `done` must not block or raise. Waits while the queue is full.
        """
        await self._inlet.send(_Entry(job, done))

    async def do(self, job: Job) -> Outcome:
        """Run one job and return its outcome."""
        outcomes: list[Outcome] = []
        finished = trio.Event()

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            finished.set()

        await self.submit(job, done)
        await finished.wait()
        return outcomes[0]

    async def run(self, settled: Settled) -> None:
        """Work until cancelled; `settled` sees each outcome before its submitter does.

        Raises: DatabaseUnusable.
        """
        while True:
            batch = [await self._outlet.receive()]
            while len(batch) < MAX_BATCH and self.waiting:
                batch.append(self._outlet.receive_nowait())
            await self._commit(batch, settled)

    async def _commit(self, batch: list[_Entry], settled: Settled) -> None:
        jobs = [entry.job for entry in batch]
        outcomes = await trio.to_thread.run_sync(self._store.run, jobs, limiter=self._thread)
        for entry, outcome in zip(batch, outcomes, strict=True):
            settled(entry.job, outcome)
            entry.done(outcome)
