"""The loop around each peer's session: frames in, effects performed, outcomes and mail back.

Two tasks per peer. One reads frames and hands jobs to the pump; it waits while the pump or the
peer's outgoing queue is full, which is the peer's back-pressure. The other turns outcomes and
arrivals into messages; what it has to hold is bounded by the session's own bounds.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from dchat.kernel.errors import RemoteProtocolError
from dchat.node import log
from dchat.node.clock import Clock
from relay.core.desk import Desk
from relay.core.envelope import Envelope
from relay.core.jobs import Job, Keep, Kept, Outcome
from relay.core.messages import Answer, Refused, encode
from relay.core.session import Drop, Effect, Effects, Pause, Perform, Send, Session, Subscribe
from relay.net.address import PeerId
from relay.net.link import Link, LinkClosed
from relay.net.meter import Meter
from relay.net.pump import Pump

CHALLENGE_BYTES: Final = 32

_log = log.get(__name__)


class Server:
    """All sessions of one relay."""

    def __init__(self, desk: Desk, pump: Pump, clock: Clock, meter: Meter) -> None:
        self.desk = desk
        self.pump = pump
        self.clock = clock
        self.meter = meter
        self._attendants: set[Attendant] = set()
        self._watchers: dict[bytes, set[Attendant]] = {}
        self._sessions_of: Counter[str] = Counter()
        self._draining = False

    @property
    def sessions(self) -> int:
        """How many peers are being served."""
        return len(self._attendants)

    def subscribe(self, mailbox_id: bytes, attendant: Attendant) -> None:
        """Notify the attendant of arrivals in the mailbox until it leaves."""
        self._watchers.setdefault(mailbox_id, set()).add(attendant)

    def settled(self, job: Job, outcome: Outcome) -> None:
        """Take note of what is on disk now: the pump calls this for every job, in order."""
        self.desk.queue.settle(job, outcome)
        self.meter.settled(job, outcome)
        match job, outcome:
            case Keep(), Kept(is_new=True):
                self._announce(job.envelope)
            case _:
                pass

    async def serve(self, link: Link) -> None:
        """Serve one peer until it or the relay leaves, or at once not if it has too many sessions.

        Whatever the peer does, this returns.
        """
        if self._sessions_of[link.peer_id] >= self.desk.limits.max_sessions_per_peer:
            return
        attendant = Attendant(self, link)
        with self._present(link.peer_id, attendant):
            try:
                await attendant.run()
            except* LinkClosed:
                _log.debug("session_ended")
            except* RemoteProtocolError as faults:
                # Any stranger can cause it, as often as it likes: never at a level that is kept
                _log.debug("session_dropped", why=str(faults.exceptions[0]))

    async def drain(self) -> None:
        """Refuse new requests, answer those under way, and return when every peer has left."""
        self._draining = True
        for attendant in tuple(self._attendants):
            attendant.drain()
        while self._attendants:
            await next(iter(self._attendants)).gone.wait()

    @contextmanager
    def _present(self, peer_id: PeerId, attendant: Attendant) -> Generator[None]:
        self._attendants.add(attendant)
        self._sessions_of[peer_id] += 1
        if self._draining:
            attendant.drain()
        try:
            yield
        finally:
            self._attendants.discard(attendant)
            self._sessions_of[peer_id] -= 1
            self._sessions_of += Counter()  # drops the zeros
            self._unsubscribe(attendant)
            attendant.gone.set()

    def _unsubscribe(self, attendant: Attendant) -> None:
        for mailbox_id in attendant.watched:
            self._watchers[mailbox_id].discard(attendant)
            if not self._watchers[mailbox_id]:
                del self._watchers[mailbox_id]

    def _announce(self, envelope: Envelope) -> None:
        for attendant in self._watchers.get(envelope.mailbox_id, ()):
            attendant.arrived(envelope.mailbox_id)


class Attendant:
    """Serves one peer."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server = server
        self._link = link
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        self._session = Session(server.desk, link.peer_id.encode(), challenge)
        self._outcomes: list[tuple[int, Outcome]] = []
        self._arrivals: dict[bytes, None] = {}
        self._is_draining = False
        self._news = trio.Event()
        self._is_over = False
        self.watched: set[bytes] = set()
        self.gone = trio.Event()

    def arrived(self, mailbox_id: bytes) -> None:
        """Take note of mail; the peer is told soon."""
        self._arrivals[mailbox_id] = None
        self._news.set()

    def drain(self) -> None:
        """Answer what is under way, then leave."""
        self._is_draining = True
        self._news.set()

    async def run(self) -> None:
        """Serve until the session ends. Raises: RemoteProtocolError, LinkClosed."""
        await self._perform_all(self._session.greet(self._server.clock.now()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report, nursery.cancel_scope)
            await self._read()
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while not self._is_over:
            body = await self._link.receive()
            self._server.meter.received(len(body))
            await self._perform_all(self._session.receive(body, self._server.clock.now()))

    async def _report(self, scope: trio.CancelScope) -> None:
        while not self._is_over:
            await self._news.wait()
            self._news = trio.Event()
            await self._perform_all(self._take_news())
        scope.cancel()

    def _take_news(self) -> Effects:
        outcomes, self._outcomes = self._outcomes, []
        arrivals, self._arrivals = self._arrivals, {}
        effects: list[Effect] = []
        for ticket, outcome in outcomes:
            effects += self._session.settle(ticket, outcome)
        for mailbox_id in arrivals:
            effects += self._session.notice(mailbox_id)
        if self._is_draining:
            effects += self._session.drain()
        return tuple(effects)

    async def _perform_all(self, effects: Effects) -> None:
        for effect in effects:
            await self._perform(effect)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                await self._send(effect.message)
            case Perform():
                await self._server.pump.submit(effect.job, partial(self._settle, effect.ticket))
            case Subscribe():
                self.watched.add(effect.mailbox_id)
                self._server.subscribe(effect.mailbox_id, self)
            case Pause():
                await trio.sleep(effect.duration_ms / 1000)
            case Drop():
                _log.debug("session_dropped", why=effect.why)
                self._is_over = True

    async def _send(self, message: Answer) -> None:
        if isinstance(message, Refused):
            self._server.meter.refused(message.code)
        body = encode(message)
        await self._link.send(body)
        self._server.meter.sent(len(body))

    def _settle(self, ticket: int, outcome: Outcome) -> None:
        self._outcomes.append((ticket, outcome))
        self._news.set()
