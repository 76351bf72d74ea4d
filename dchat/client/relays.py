"""Sessions with relays, opened when needed and shared by everybody who needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from dchat.client.relay_session import RelaySession, open_session
from dchat.kernel.errors import RemoteProtocolError
from relay.core.messages import PROTOCOL
from relay.net.address import Address, PeerId
from relay.net.host import Host
from relay.net.link import open_link

MAX_SESSIONS: Final = 32
"""Relays talked to at once; beyond it the session used least lately is closed."""
DIAL_TIMEOUT_S: Final = 10.0


class RelayNameless(RemoteProtocolError):
    """The address does not say which peer is expected there, so nobody could be told apart."""


class Relays:
    """Open sessions by relay."""

    def __init__(self, host: Host, nursery: trio.Nursery) -> None:
        self._host = host
        self._nursery = nursery
        self._opened: Callable[[], None] = lambda: None
        self._doors: dict[PeerId, trio.Lock] = {}
        self._sessions: dict[PeerId, RelaySession] = {}

    def when_opened(self, opened: Callable[[], None]) -> None:
        """Call `opened` each time a session was opened; it must not wait."""
        self._opened = opened

    async def session(self, address: Address) -> RelaySession:
        """Return the session with the relay, opening one if there is none.

        Raises: RemoteProtocolError.
        """
        if address.peer_id is None:
            raise RelayNameless(f"{address} does not end in /p2p/ID")
        async with self._door(address.peer_id):
            session = self._sessions.pop(address.peer_id, None)
            if session is None or session.over.is_set():
                session = await self._nursery.start(self._hold, address, address.peer_id)
            self._sessions[address.peer_id] = session
        self._close_stale()
        return session

    def _door(self, whom: PeerId) -> trio.Lock:
        return self._doors.setdefault(whom, trio.Lock())

    def _close_stale(self) -> None:
        while len(self._sessions) > MAX_SESSIONS:
            stalest = next(iter(self._sessions))
            self._sessions.pop(stalest).over.set()
            self._doors.pop(stalest, None)

    async def _hold(
        self, address: Address, whom: PeerId, task_status: trio.TaskStatus[RelaySession]
    ) -> None:
        """Keep a session open until it is over; before it is open, raise what went wrong."""
        await self._host.dial(whom, (address,), DIAL_TIMEOUT_S)
        stream = await self._host.open_stream(whom, PROTOCOL)
        async with open_link(stream) as link, open_session(link) as session:
            task_status.started(session)
            self._opened()
            await session.over.wait()
