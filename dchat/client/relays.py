"""Sessions with relays, opened when needed and shared by everybody who needs them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from dchat.client.relay_session import RelaySession, open_session
from dchat.kernel.errors import RemoteProtocolError
from relay.core.messages import PROTOCOL
from relay.net.address import Address, PeerId
from relay.net.fence import lone_error
from relay.net.host import Host
from relay.net.link import Link, open_link

MAX_SESSIONS: Final = 32
"""Relays talked to at once; beyond it the session used least lately is closed."""
DIAL_TIMEOUT_S: Final = 10.0

Connect = Callable[[Address], AbstractAsyncContextManager[Link]]
"""Gives a link with the relay at an address while a block runs. Raises: RemoteProtocolError."""


class RelayNameless(RemoteProtocolError):
    """The address does not say which peer is expected there, so nobody could be told apart."""


def dialled_by(host: Host) -> Connect:
    """Return how to reach relays over libp2p."""

    @asynccontextmanager
    async def connect(address: Address) -> AsyncGenerator[Link]:
        if address.peer_id is None:
            raise RelayNameless(f"{address} does not end in /p2p/ID")
        await host.dial(address.peer_id, (address,), DIAL_TIMEOUT_S)
        async with open_link(await host.open_stream(address.peer_id, PROTOCOL)) as link:
            yield link

    return connect


class Relays:
    """Open sessions by relay."""

    def __init__(self, connect: Connect, nursery: trio.Nursery) -> None:
        self._connect = connect
        self._nursery = nursery
        self._doors: dict[PeerId, trio.Lock] = {}
        self._sessions: dict[PeerId, RelaySession] = {}

    async def session(self, address: Address) -> RelaySession:
        """Return the session with the relay, opening one if there is none.

        Raises: RemoteProtocolError.
        """
        if address.peer_id is None:
            raise RelayNameless(f"{address} does not end in /p2p/ID")
        async with self._doors.setdefault(address.peer_id, trio.Lock()):
            session = self._sessions.pop(address.peer_id, None)
            if session is None or session.over.is_set():
                session = await self._nursery.start(self._hold, address)
            self._sessions[address.peer_id] = session
        self._close_stale()
        return session

    def _close_stale(self) -> None:
        while len(self._sessions) > MAX_SESSIONS:
            stalest = next(iter(self._sessions))
            self._sessions.pop(stalest).leave()

    async def _hold(self, address: Address, task_status: trio.TaskStatus[RelaySession]) -> None:
        """Keep a session open until it is over; before it is open, raise what went wrong."""
        with lone_error():
            async with self._connect(address) as link, open_session(link) as session:
                task_status.started(session)
                await session.over.wait()
