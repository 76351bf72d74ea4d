"""One session with one relay: requests and their answers, and word of new mail.

What a relay says is checked here as far as it can be without knowing a contact: it is who we
dialled, its custody receipts are signed by it for exactly our envelope, and its pages are of the
mailbox we asked for.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from dchat.kernel.codec import CodecError
from dchat.kernel.errors import RemoteProtocolError
from relay.core import messages
from relay.core.access import Purpose, SessionId, grant, mailbox_id, relay_key, subject_of
from relay.core.envelope import Envelope, Receipt, check_receipt
from relay.core.messages import (
    Ack,
    Acked,
    Answer,
    Custody,
    Deposit,
    GetPrekeys,
    Hello,
    Mail,
    OneTimeKey,
    Page,
    Prekeys,
    Pull,
    PutOneTimeKeys,
    PutPrekeys,
    Refused,
    Request,
    Stored,
    TakeOneTimeKey,
    Watch,
    Watching,
)
from relay.core.refusals import EXPLANATIONS, Refusal
from relay.net.address import peer_id_of
from relay.net.fence import lone_error
from relay.net.link import Link, LinkClosed

ANSWER_TIMEOUT_S: Final = 20.0
MAX_IN_FLIGHT: Final = 16
PAGE_LIMIT: Final = 32
MAX_WAIT_MS: Final = 3_600_000
"""As long as a relay may make us wait: any recipient's relay names the number."""

Said = TypeVar("Said", bound=Answer)


class RelayLost(RemoteProtocolError):
    """The session is over, or the relay has not answered in time."""


class RelayRefused(RemoteProtocolError):
    """The relay said no. Attributes: code -- see refusals.Refusal; retry_after_ms, at most 1 h."""

    def __init__(self, refused: Refused) -> None:
        known = refused.code in tuple(Refusal)
        reason = EXPLANATIONS[Refusal(refused.code)] if known else f"code {refused.code}"
        super().__init__(reason)
        self.code = refused.code
        self.retry_after_ms = min(refused.retry_after_ms, MAX_WAIT_MS)


class Pending:
    """A request whose answer is waited for."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: Answer | None = None

    def settle(self, answer: Answer | None) -> None:
        """Hand the answer over, None if there will be none."""
        self.answer = answer
        self.answered.set()


@asynccontextmanager
async def open_session(link: Link) -> AsyncGenerator[RelaySession]:
    """Run a session over the link while the block runs. Raises: RelayLost, RemoteProtocolError.

    The relay must introduce itself within ANSWER_TIMEOUT_S as the peer that the link proved.
    """
    hello = await _greeting(link)
    with lone_error():
        async with trio.open_nursery() as nursery:
            session = RelaySession(link, hello)
            nursery.start_soon(session.listen)
            yield session
            nursery.cancel_scope.cancel()


async def _greeting(link: Link) -> Hello:
    try:
        with trio.fail_after(ANSWER_TIMEOUT_S):
            hello = messages.decode_answer(await link.receive())
    except (LinkClosed, trio.TooSlowError) as fault:
        raise RelayLost(str(fault) or "the relay did not introduce itself in time") from None
    if not isinstance(hello, Hello):
        raise RemoteProtocolError("the relay began with something else than Hello")
    if peer_id_of(relay_key(hello.relay_peer_id)) != link.peer_id:
        raise RemoteProtocolError("the relay introduced itself under another peer id")
    return hello


class RelaySession:
    """An open session. Made by `open_session`; any number of tasks may ask at once."""

    def __init__(self, link: Link, hello: Hello) -> None:
        self.hello = hello
        self.peer_id = link.peer_id
        self._link = link
        self._id = SessionId(hello.relay_peer_id, hello.challenge)
        self._slots = trio.CapacityLimiter(max(1, min(hello.max_in_flight, MAX_IN_FLIGHT)))
        self._pending: dict[int, Pending] = {}
        self._next_request = 1
        self._mail = trio.Event()
        self.over = trio.Event()

    def leave(self) -> None:
        """Let whoever keeps the session open close it."""
        self.over.set()

    async def listen(self) -> None:
        """Hand answers to whoever waits for them, until the link closes or the relay lies."""
        try:
            while True:
                self._take(messages.decode_answer(await self._link.receive()))
        except (RemoteProtocolError, CodecError):
            pass
        finally:
            self._end()
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await self._link.aclose()

    async def wait_for_mail(self, timeout_s: float = math.inf) -> None:
        """Return once a watched mailbox has mail, after the timeout at the latest.

        Raises: RelayLost.
        """
        with trio.move_on_after(timeout_s):
            await self._mail.wait()
        if self.over.is_set():
            raise RelayLost("the session is over")
        self._mail = trio.Event()

    async def deposit(self, envelope: Envelope) -> Receipt:
        """Return the relay's signed word that it keeps the envelope.

        Raises: RelayRefused, RelayLost, RemoteProtocolError.
        """
        request = Deposit(self._number(), envelope)
        receipt = (await self._ask(request, Custody)).receipt
        check_receipt(receipt, envelope, relay_key(self.hello.relay_peer_id))
        return receipt

    async def pull(self, inbox_seed: bytes, epoch: int) -> Page:
        """Return the oldest items of a mailbox of ours. Raises: as deposit()."""
        access = grant(inbox_seed, self._id, Purpose.PULL, epoch)
        page = await self._ask(Pull(self._number(), access, 0, PAGE_LIMIT), Page)
        if page.mailbox_id != mailbox_id(access.inbox_key, epoch):
            raise RemoteProtocolError("the page is of another mailbox")
        return page

    async def ack(self, page: Page, acked: tuple[bytes, ...], nacked: tuple[bytes, ...]) -> None:
        """Let the relay delete the page's items. Raises: as deposit()."""
        await self._ask(Ack(self._number(), page.mailbox_id, page.page_id, acked, nacked), Acked)

    async def watch(self, inbox_seed: bytes, epoch: int) -> None:
        """Be told of mail in a mailbox of ours from now on. Raises: as deposit()."""
        access = grant(inbox_seed, self._id, Purpose.WATCH, epoch)
        await self._ask(Watch(self._number(), access), Watching)

    async def put_prekeys(self, inbox_seed: bytes, bundle: bytes) -> int:
        """Have our bundle served; return how many one-time keys are left. Raises: as deposit()."""
        access = grant(inbox_seed, self._id, Purpose.PUT_PREKEYS, 0, subject_of((bundle,)))
        stored = await self._ask(PutPrekeys(self._number(), access, bundle), Stored)
        return stored.one_time_keys

    async def put_one_time_keys(self, inbox_seed: bytes, keys: tuple[bytes, ...]) -> int:
        """Have keys given away; return how many are left now. Raises: as deposit()."""
        access = grant(inbox_seed, self._id, Purpose.PUT_ONE_TIME_KEYS, 0, subject_of(keys))
        stored = await self._ask(PutOneTimeKeys(self._number(), access, keys), Stored)
        return stored.one_time_keys

    async def get_prekeys(self, inbox_key: bytes) -> bytes:
        """Return somebody's bundle as it was put there, unverified. Raises: as deposit()."""
        return (await self._ask(GetPrekeys(self._number(), inbox_key), Prekeys)).bundle

    async def take_one_time_key(self, inbox_key: bytes) -> bytes:
        """Return one of somebody's one-time keys, unverified. Raises: as deposit()."""
        return (await self._ask(TakeOneTimeKey(self._number(), inbox_key), OneTimeKey)).key

    def _number(self) -> int:
        self._next_request += 1
        return self._next_request

    async def _ask(self, request: Request, expected: type[Said]) -> Said:
        answer = await self._exchange(request)
        if isinstance(answer, Refused):
            raise RelayRefused(answer)
        if not isinstance(answer, expected):
            raise RemoteProtocolError(f"{type(answer).__name__} does not answer the request")
        return answer

    async def _exchange(self, request: Request) -> Answer:
        pending = Pending()
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            async with self._slots:
                self._pending[request.request_id] = pending
                try:
                    await self._send(request)
                    await pending.answered.wait()
                finally:
                    del self._pending[request.request_id]
        if pending.answer is None:
            raise RelayLost("no answer" if not self.over.is_set() else "the session is over")
        return pending.answer

    async def _send(self, request: Request) -> None:
        if self.over.is_set():
            raise RelayLost("the session is over")
        try:
            await self._link.send(messages.encode(request))
        except LinkClosed as fault:
            raise RelayLost(str(fault)) from None

    def _take(self, answer: Answer) -> None:
        if isinstance(answer, Mail):
            self._mail.set()
        elif answer.request_id in self._pending:
            self._pending[answer.request_id].settle(answer)

    def _end(self) -> None:
        self.over.set()
        self._mail.set()
        for pending in self._pending.values():
            pending.settle(None)
