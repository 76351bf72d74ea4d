"""What a client tells its faces, and the bounded way it does so."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import trio

from dchat.client.core.contact import Contact
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.store import Letter
from dchat.kernel.ids import AccountId

MAX_UNREAD: Final = 1024
"""Events kept for a subscriber that does not read; beyond it they become one Missed."""


@dataclass(frozen=True, slots=True)
class Received:
    """A text arrived and is kept. `is_request`: its writer is somebody we never wrote to."""

    letter: Letter
    contact: Contact
    is_request: bool


@dataclass(frozen=True, slots=True)
class Progressed:
    """One of our texts is in another state of delivery now."""

    message_id: bytes
    peer: AccountId
    state: Delivery
    fault: Fault = Fault.NONE


@dataclass(frozen=True, slots=True)
class Delayed:
    """One of our texts could not be sent yet; it is tried again."""

    message_id: bytes
    peer: AccountId
    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Something arrived that could not be read; its writer, if proved, was told the reason."""

    sender: AccountId | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """A contact's account key or device is another one than before: worth a question to them."""

    contact: Contact
    how: str = ""
    """What the account's key log, which was checked, tells of another account key."""


@dataclass(frozen=True, slots=True)
class RelayChanged:
    """A home relay of ours is reached, or is not; `why` says what went wrong."""

    address: str
    is_up: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something about our own account that a person should know, in words."""

    what: str


@dataclass(frozen=True, slots=True)
class Missed:
    """The subscriber read too slowly and lost `count` events; history has everything."""

    count: int


Event = Received | Progressed | Delayed | Unread | KeysChanged | RelayChanged | Noticed | Missed


class Subscription:
    """One reader's queue of events, read by `async for`."""

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._missed = 0
        self._filled = trio.Event()

    def put(self, event: Event) -> None:
        """Queue an event; never waits."""
        if len(self._queue) >= MAX_UNREAD:
            self._missed += len(self._queue) + 1
            self._queue.clear()
        else:
            self._queue.append(event)
        self._filled.set()

    async def get(self) -> Event:
        """Return the next event, waiting for it."""
        while not self._queue and not self._missed:
            self._filled = trio.Event()
            await self._filled.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        return self._queue.popleft()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        return await self.get()


class Hub:
    """Hands every event to every subscriber."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    @contextmanager
    def subscribed(self) -> Generator[Subscription]:
        """Give a queue that fills while the block runs."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def tell(self, event: Event) -> None:
        """Queue the event for everybody; never waits."""
        for subscription in tuple(self._subscriptions):
            subscription.put(event)
