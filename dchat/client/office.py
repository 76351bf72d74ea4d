"""What all tasks of a client share: who it is, its store, the time, and its subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

import trio

from dchat.client.events import Hub
from dchat.client.store import Store
from dchat.kernel.ids import AccountId, EpochMs
from dchat.node.clock import Clock
from dchat.node.identity import Identity

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Bell:
    """Wakes one task that waits for work; rung while it is at work, it does not wait again."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """There is work."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        """Return once the bell has been rung since the last return, or after the timeout."""
        with trio.move_on_after(timeout_s):
            await self._rung.wait()
        self._rung = trio.Event()


@dataclass(frozen=True, slots=True)
class Office:
    """Shared by reference; the store is used by one worker thread at a time."""

    identity: Identity
    store: Store
    clock: Clock
    hub: Hub
    outbox: Bell = field(default_factory=Bell)
    """Rung whenever the outbox may have something to do."""
    _desk: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    @property
    def me(self) -> AccountId:
        """Our account."""
        return self.identity.account_id

    def now(self) -> EpochMs:
        """The time."""
        return self.clock.now()

    async def do(self, work: Callable[[*Args], T], *arguments: *Args) -> T:
        """Return what `work` returns, done in a thread, because it waits for the disk."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._desk)
