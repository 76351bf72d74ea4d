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


@dataclass(frozen=True, slots=True)
class Office:
    """Shared by reference; the store is used by one worker thread at a time."""

    identity: Identity
    store: Store
    clock: Clock
    hub: Hub
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
