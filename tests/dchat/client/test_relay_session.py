"""What a session makes of a relay that lies, refuses or falls silent; talks cover the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dchat.client.relay_session import RelayLost, RelayRefused, RelaySession, open_session
from dchat.kernel import signing
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core import messages
from relay.core.access import mailbox_id, peer_id_of
from relay.core.envelope import Envelope, Receipt, ciphertext_hash, sign_receipt
from relay.core.messages import (
    Answer,
    Custody,
    Deposit,
    Hello,
    Mail,
    Page,
    Refused,
    Request,
    Stored,
    Watching,
)
from relay.net.address import peer_id
from relay.net.fence import lone_error
from tests.fakes.links import MemoryLink, link_pair

SEED = b"r" * 32
INBOX = b"i" * 32
WHO = peer_id_of(signing.public_key(SEED))
HELLO = Hello(0, WHO, b"c" * 32, EpochMs(0), 1, 32, 100)
ENVELOPE = Envelope(b"m" * 32, b"e" * 32, EpochMs(9), 0, bytes(2048))
RECEIPT = sign_receipt(
    Receipt(
        ENVELOPE.mailbox_id,
        ENVELOPE.message_id,
        ciphertext_hash(ENVELOPE.ciphertext),
        0,
        ENVELOPE.expires_at_ms,
        EpochMs(1),
        bytes(64),
    ),
    SEED,
)

Script = Callable[[RelaySession], Awaitable[object]]
Reply = Callable[[Request], Answer]


def talk(script: Script, reply: Reply, hello: Answer = HELLO) -> object:
    """Return what the script returns, with a relay that greets and answers as told."""

    async def main() -> object:
        ours, theirs = link_pair("client", peer_id(SEED))
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, theirs, reply, hello)
                async with open_session(ours) as session:
                    told = await script(session)
                nursery.cancel_scope.cancel()
        return told

    return trio.run(main, clock=MockClock(autojump_threshold=0.01))


async def answer(link: MemoryLink, reply: Reply, hello: Answer) -> None:
    await link.send(messages.encode(hello))
    while True:
        request = messages.decode_request(await link.receive())
        await link.send(messages.encode(reply(request)))


def silent(_: Request) -> Answer:
    """Answer something that nobody waits for."""
    return Stored(10**6, 0)


def deposit(session: RelaySession) -> Awaitable[Receipt]:
    return session.deposit(ENVELOPE)


def test_a_receipt_for_this_envelope_is_custody() -> None:
    assert talk(deposit, lambda request: Custody(request.request_id, RECEIPT)) == RECEIPT


@pytest.mark.parametrize(
    "receipt",
    [
        replace(RECEIPT, message_id=b"x" * 32),
        replace(RECEIPT, ciphertext_hash=b"x" * 32),
        replace(RECEIPT, expires_at_ms=EpochMs(8)),
        sign_receipt(RECEIPT, b"s" * 32),
    ],
)
def test_any_other_receipt_is_not(receipt: Receipt) -> None:
    with pytest.raises(RemoteProtocolError):
        talk(deposit, lambda request: Custody(request.request_id, receipt))


def test_a_wait_beyond_all_time_is_an_hour() -> None:
    with pytest.raises(RelayRefused) as caught:
        talk(deposit, lambda request: Refused(request.request_id, 19, "", 2**64 - 1))

    assert caught.value.retry_after_ms == 3_600_000


def test_a_refusal_says_why() -> None:
    with pytest.raises(RelayRefused, match="queue is full") as caught:
        talk(deposit, lambda request: Refused(request.request_id, 16, "", 700))

    assert (caught.value.code, caught.value.retry_after_ms) == (16, 700)


def test_a_refusal_unknown_to_this_release_is_told_by_its_number() -> None:
    with pytest.raises(RelayRefused, match="code 99"):
        talk(deposit, lambda request: Refused(request.request_id, 99, "", 0))


def test_an_answer_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="Stored does not answer"):
        talk(deposit, lambda request: Stored(request.request_id, 1))


def test_a_page_of_another_mailbox_is_refused() -> None:
    page = Page(0, b"x" * 32, 1, (), 0, more=False)

    with pytest.raises(RemoteProtocolError, match="another mailbox"):
        talk(
            lambda session: session.pull(INBOX, 3),
            lambda request: replace(page, request_id=request.request_id),
        )


def test_a_page_of_the_mailbox_asked_for_is_taken() -> None:
    page = Page(0, mailbox_id(signing.public_key(INBOX), 3), 1, (), 0, more=False)

    taken = talk(
        lambda session: session.pull(INBOX, 3),
        lambda request: replace(page, request_id=request.request_id),
    )

    assert isinstance(taken, Page)


def test_a_relay_that_falls_silent_is_lost() -> None:
    with pytest.raises(RelayLost, match="no answer"):
        talk(deposit, silent)


def test_a_relay_that_introduces_itself_as_another_is_refused() -> None:
    other = replace(HELLO, relay_peer_id=peer_id_of(signing.public_key(b"o" * 32)))

    with pytest.raises(RemoteProtocolError, match="another peer id"):
        talk(deposit, silent, other)


def test_a_relay_that_does_not_introduce_itself_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="something else than Hello"):
        talk(deposit, silent, Watching(0))


def test_a_relay_that_never_speaks_is_lost() -> None:
    async def main() -> None:
        ours, _theirs = link_pair("client", peer_id(SEED))
        async with open_session(ours):
            pass

    with pytest.raises(RelayLost, match="introduce itself in time"):
        trio.run(main, clock=MockClock(autojump_threshold=0.01))


def test_bytes_that_are_no_message_end_the_session() -> None:
    async def main() -> None:
        ours, theirs = link_pair("client", peer_id(SEED))
        await theirs.send(messages.encode(HELLO))
        async with open_session(ours) as session:
            await theirs.send(b"\xc1")
            await session.over.wait()
            await session.deposit(ENVELOPE)

    with pytest.raises(RelayLost, match="over"):
        trio.run(main)


def test_a_link_that_closes_ends_every_wait() -> None:
    async def main() -> list[str]:
        ours, theirs = link_pair("client", peer_id(SEED))
        await theirs.send(messages.encode(HELLO))
        lost: list[str] = []

        async def expect_loss(wait: Callable[[], Awaitable[object]]) -> None:
            try:
                await wait()
            except RelayLost as fault:
                lost.append(str(fault))

        async with open_session(ours) as session, trio.open_nursery() as nursery:
            nursery.start_soon(expect_loss, session.wait_for_mail)
            nursery.start_soon(expect_loss, lambda: session.deposit(ENVELOPE))
            await wait_all_tasks_blocked()
            await theirs.aclose()
        return lost

    assert trio.run(main) == ["the session is over"] * 2


def test_mail_wakes_who_waits_for_it() -> None:
    async def main() -> None:
        ours, theirs = link_pair("client", peer_id(SEED))
        await theirs.send(messages.encode(HELLO))
        async with open_session(ours) as session:
            await theirs.send(messages.encode(Mail(7, b"m" * 32)))
            with trio.fail_after(1):
                await session.wait_for_mail()

    trio.run(main)


def test_answers_find_their_requests_in_any_order() -> None:
    async def main() -> list[int]:
        ours, theirs = link_pair("client", peer_id(SEED))
        await theirs.send(messages.encode(HELLO))
        counts: list[int] = []

        async def put(session: RelaySession) -> None:
            counts.append(await session.put_one_time_keys(INBOX, ()))

        async with open_session(ours) as session, trio.open_nursery() as nursery:
            nursery.start_soon(put, session)
            nursery.start_soon(put, session)
            asked = [messages.decode_request(await theirs.receive()) for _ in range(2)]
            for request in reversed(asked):
                await theirs.send(messages.encode(Stored(request.request_id, request.request_id)))
        return counts

    counts = trio.run(main)

    assert len(set(counts)) == 2


def test_no_more_requests_are_under_way_than_the_relay_allows() -> None:
    async def main() -> int:
        ours, theirs = link_pair("client", peer_id(SEED))
        await theirs.send(messages.encode(replace(HELLO, max_in_flight=2)))
        async with open_session(ours) as session, trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(session.deposit, ENVELOPE)
            await wait_all_tasks_blocked()
            under_way = [messages.decode_request(await theirs.receive()) for _ in range(2)]
            await wait_all_tasks_blocked()
            with trio.move_on_after(0):
                under_way.append(messages.decode_request(await theirs.receive()))
            nursery.cancel_scope.cancel()
        assert all(isinstance(request, Deposit) for request in under_way)
        return len(under_way)

    assert trio.run(main) == 2
