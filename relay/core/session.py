"""One peer's session with a relay: messages and outcomes in, effects out; no I/O.

OPEN --drain--> DRAINING --quiet--> CLOSED, and from everywhere --fault--> CLOSED. The shell calls
greet() once, then receive() per frame, settle() per finished job, notice() per arrival in a mailbox
it was told to watch, drain() at shutdown, and performs the effects in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dchat.kernel.errors import LocalProtocolError, RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core import desk as desks
from relay.core import messages
from relay.core.access import Access, Purpose, SessionId, is_granted, mailbox_id
from relay.core.desk import Caller, Desk, No, refused
from relay.core.jobs import Clear, Cleared, Failed, Job, Outcome, PageRead, ReadPage
from relay.core.mailbox import (
    PageSignal,
    Paging,
    Watched,
    WatchSignal,
    step_page,
    step_watch,
)
from relay.core.messages import (
    Ack,
    Acked,
    Answer,
    Hello,
    Mail,
    Page,
    Pull,
    Request,
    Watch,
    Watching,
)
from relay.core.refusals import Refusal

MAX_PAUSE_MS: Final = 1_000
_LAST_CURSOR: Final = 2**63 - 1


class Phase(Enum):
    """How a session stands as a whole."""

    OPEN = auto()
    DRAINING = auto()
    CLOSED = auto()


class Signal(Enum):
    """What may happen to a session as a whole."""

    REQUEST = auto()
    DRAIN = auto()
    QUIET = auto()
    FAULT = auto()


PHASES: Final[Mapping[tuple[Phase, Signal], Phase]] = {
    (Phase.OPEN, Signal.REQUEST): Phase.OPEN,
    (Phase.OPEN, Signal.DRAIN): Phase.DRAINING,
    (Phase.OPEN, Signal.QUIET): Phase.OPEN,
    (Phase.OPEN, Signal.FAULT): Phase.CLOSED,
    (Phase.DRAINING, Signal.REQUEST): Phase.DRAINING,
    (Phase.DRAINING, Signal.DRAIN): Phase.DRAINING,
    (Phase.DRAINING, Signal.QUIET): Phase.CLOSED,
    (Phase.DRAINING, Signal.FAULT): Phase.CLOSED,
    (Phase.CLOSED, Signal.REQUEST): Phase.CLOSED,
    (Phase.CLOSED, Signal.DRAIN): Phase.CLOSED,
    (Phase.CLOSED, Signal.QUIET): Phase.CLOSED,
    (Phase.CLOSED, Signal.FAULT): Phase.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Send:
    """Write a message to the peer."""

    message: Answer


@dataclass(frozen=True, slots=True)
class Perform:
    """Have the disk do a job, then call settle() with this ticket."""

    ticket: int
    job: Job


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Call notice() whenever an envelope reaches this mailbox."""

    mailbox_id: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Read nothing more from the peer for so long: it is over its rate."""

    duration_ms: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the session once what was sent before is written."""

    why: str


Effect = Send | Perform | Subscribe | Pause | Drop
Effects = tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class OpenPage:
    """The one page of a mailbox that is on its way or not acknowledged."""

    paging: Paging
    page_id: int
    message_ids: frozenset[bytes] = frozenset()


_IDLE: Final = OpenPage(Paging.IDLE, 0)


class Session:
    """What the relay knows of one connected peer."""

    def __init__(self, desk: Desk, peer_id: bytes, challenge: bytes) -> None:
        self._desk = desk
        self._caller = Caller(peer_id, SessionId(desk.peer_id, challenge))
        self._phase = Phase.OPEN
        self._tickets = 0
        self._page_ids = 0
        self._pending: dict[int, tuple[Request, Job]] = {}
        self._pages: dict[bytes, OpenPage] = {}
        self._watches: dict[bytes, tuple[int, Watched]] = {}

    @property
    def phase(self) -> Phase:
        """How the session stands."""
        return self._phase

    @property
    def in_flight(self) -> int:
        """How many requests wait for the disk."""
        return len(self._pending)

    def greet(self, now: EpochMs) -> Effects:
        """Return the relay's first words."""
        limits = self._desk.limits
        hello = Hello(
            0,
            self._caller.session.relay_peer_id,
            self._caller.session.challenge,
            now,
            limits.max_message_age_ms,
            limits.max_in_flight,
            limits.max_one_time_keys,
        )
        return (Send(hello),)

    def receive(self, body: bytes, now: EpochMs) -> Effects:
        """Take one frame's body. Whatever it is, it is answered, refused or ends the session."""
        if self._phase is Phase.CLOSED:
            return ()
        try:
            request = messages.decode_request(body)
        except RemoteProtocolError as fault:
            self._step(Signal.FAULT)
            return (Drop(str(fault)),)
        self._step(Signal.REQUEST)
        no = self._admit(len(body), now)
        if no is None:
            return self._serve(request, now)
        pause = Pause(min(no.retry_after_ms, MAX_PAUSE_MS))
        return (Send(refused(request.request_id, no)), *((pause,) if no.retry_after_ms else ()))

    def settle(self, ticket: int, outcome: Outcome) -> Effects:
        """Take the outcome of a job. Raises: LocalProtocolError on an unknown ticket."""
        try:
            request, job = self._pending.pop(ticket)
        except KeyError:
            raise LocalProtocolError(f"no job has ticket {ticket}") from None
        if self._phase is Phase.CLOSED:
            return ()
        return (Send(self._answer(request, job, outcome)), *self._leave_if_quiet())

    def notice(self, mailbox: bytes) -> Effects:
        """Take note that an envelope reached a mailbox; says so if it is watched and untold."""
        return self._signal_watch(mailbox, WatchSignal.ARRIVED)

    def drain(self) -> Effects:
        """Refuse new requests from now on and leave when all old ones are answered."""
        self._step(Signal.DRAIN)
        return self._leave_if_quiet()

    def _step(self, signal: Signal) -> None:
        self._phase = PHASES[self._phase, signal]

    def _leave_if_quiet(self) -> Effects:
        if self._phase is not Phase.DRAINING or self._pending:
            return ()
        self._step(Signal.QUIET)
        return (Drop("drained"),)

    def _admit(self, size: int, now: EpochMs) -> No | None:
        peer_id = self._caller.peer_id
        wait_ms = self._desk.requests.take(peer_id, 1, now)
        wait_ms = max(wait_ms, self._desk.traffic.take(peer_id, size, now))
        if wait_ms:
            return No(Refusal.RATE_LIMITED, wait_ms)
        if self._phase is Phase.DRAINING:
            return No(Refusal.DRAINING)
        if len(self._pending) >= self._desk.limits.max_in_flight:
            return No(Refusal.BUSY)
        return None

    def _serve(self, request: Request, now: EpochMs) -> Effects:
        match request:
            case Pull():
                judged = self._pull(request, now)
            case Ack():
                judged = self._ack(request)
            case Watch():
                return self._watch(request)
            case _:
                judged = desks.judge(self._desk, self._caller, request, now)
        if isinstance(judged, No):
            return (Send(refused(request.request_id, judged)),)
        self._tickets += 1
        self._pending[self._tickets] = request, judged
        return (Perform(self._tickets, judged),)

    def _answer(self, request: Request, job: Job, outcome: Outcome) -> Answer:
        match request:
            case Pull():
                return self._page(request, job, outcome)
            case Ack():
                return self._acked(request, outcome)
            case Watch():
                raise LocalProtocolError("a watch needs no job")
            case _:
                return desks.answer(self._desk, request, job, outcome)

    def _pull(self, pull: Pull, now: EpochMs) -> Job | No:
        if not 1 <= pull.limit <= messages.MAX_PAGE_ITEMS:
            return No(Refusal.BAD_LIMIT)
        mailbox = self._owned(pull.access, Purpose.PULL)
        if mailbox is None:
            return No(Refusal.BAD_SIGNATURE)
        if mailbox not in self._pages and len(self._pages) >= self._desk.limits.max_open_pages:
            return No(Refusal.TOO_MANY_MAILBOXES)
        refusal = self._step_page(mailbox, PageSignal.PULL)
        if refusal is not None:
            return No(refusal)
        self._signal_watch(mailbox, WatchSignal.PULLED)
        return ReadPage(mailbox, min(pull.cursor, _LAST_CURSOR), pull.limit, now)

    def _page(self, pull: Pull, job: Job, outcome: Outcome) -> Answer:
        mailbox = mailbox_id(pull.access.inbox_key, pull.access.epoch)
        match outcome:
            case PageRead():
                return self._offer(pull.request_id, mailbox, outcome)
            case Failed():
                self._step_page(mailbox, PageSignal.FAILED)
                return refused(pull.request_id, No(Refusal.STORAGE_UNAVAILABLE))
            case _:
                raise LocalProtocolError(f"{type(job).__name__} gave {type(outcome).__name__}")

    def _offer(self, request_id: int, mailbox: bytes, read: PageRead) -> Page:
        self._page_ids += 1
        self._step_page(mailbox, PageSignal.FOUND if read.items else PageSignal.EMPTY)
        if read.items:
            names = frozenset(item.message_id for item in read.items)
            self._pages[mailbox] = OpenPage(Paging.OFFERED, self._page_ids, names)
        return Page(
            request_id, mailbox, self._page_ids, read.items, read.next_cursor, more=read.more
        )

    def _ack(self, ack: Ack) -> Job | No:
        page = self._pages.get(ack.mailbox_id, _IDLE)
        named = ack.acked + ack.nacked
        if page.paging is Paging.OFFERED and page.page_id != ack.page_id:
            return No(Refusal.NO_SUCH_PAGE)
        is_covered = len(named) == len(page.message_ids) and page.message_ids == frozenset(named)
        if page.paging is Paging.OFFERED and not is_covered:
            return No(Refusal.PAGE_NOT_COVERED)
        refusal = self._step_page(ack.mailbox_id, PageSignal.ACK)
        if refusal is not None:
            return No(refusal)
        return Clear(ack.mailbox_id, ack.acked, ack.nacked)

    def _acked(self, ack: Ack, outcome: Outcome) -> Answer:
        match outcome:
            case Cleared():
                self._step_page(ack.mailbox_id, PageSignal.CLEARED)
                return Acked(ack.request_id)
            case Failed():
                self._step_page(ack.mailbox_id, PageSignal.FAILED)
                return refused(ack.request_id, No(Refusal.STORAGE_UNAVAILABLE))
            case _:
                raise LocalProtocolError(f"an ack gave {type(outcome).__name__}")

    def _watch(self, watch: Watch) -> Effects:
        number = watch.request_id
        mailbox = self._owned(watch.access, Purpose.WATCH)
        if mailbox is None:
            return (Send(refused(number, No(Refusal.BAD_SIGNATURE))),)
        if mailbox not in self._watches and len(self._watches) >= self._desk.limits.max_watches:
            return (Send(refused(number, No(Refusal.TOO_MANY_WATCHES))),)
        self._watches[mailbox] = number, Watched.QUIET
        waiting = self.notice(mailbox) if self._desk.queue.in_mailbox(mailbox) else ()
        return (Subscribe(mailbox), Send(Watching(number)), *waiting)

    def _signal_watch(self, mailbox: bytes, signal: WatchSignal) -> Effects:
        if mailbox not in self._watches or self._phase is Phase.CLOSED:
            return ()
        number, watched = self._watches[mailbox]
        watched, is_news = step_watch(watched, signal)
        self._watches[mailbox] = number, watched
        return (Send(Mail(number, mailbox)),) if is_news else ()

    def _owned(self, access: Access, purpose: Purpose) -> bytes | None:
        if not is_granted(access, self._caller.session, purpose):
            return None
        return mailbox_id(access.inbox_key, access.epoch)

    def _step_page(self, mailbox: bytes, signal: PageSignal) -> Refusal | None:
        page = self._pages.get(mailbox, _IDLE)
        after = step_page(page.paging, signal)
        if isinstance(after, Refusal):
            return after
        if after is Paging.IDLE:
            self._pages.pop(mailbox, None)
        else:
            self._pages[mailbox] = OpenPage(after, page.page_id, page.message_ids)
        return None
