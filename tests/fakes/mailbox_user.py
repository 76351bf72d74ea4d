"""A plain user of the mailbox protocol over any Link: one request, one answer; no retries."""

from __future__ import annotations

from collections.abc import Sequence

from dchat.kernel import signing
from dchat.kernel.ids import EpochMs
from relay.core.access import Access, Purpose, SessionId, grant, mailbox_id, subject_of
from relay.core.envelope import SIZE_CLASSES, Envelope
from relay.core.messages import (
    Ack,
    Answer,
    Deposit,
    Hello,
    Mail,
    Page,
    Pull,
    PutOneTimeKeys,
    PutPrekeys,
    Request,
    Watch,
    decode_answer,
    encode,
)
from relay.net.link import Link

EPOCH = 2_900


class MailboxUser:
    """Speaks for the owner of `inbox_seed` and for senders; keeps Mail apart from answers."""

    def __init__(self, link: Link, hello: Hello, inbox_seed: bytes) -> None:
        self.link = link
        self._inbox_seed = inbox_seed
        self.hello = hello
        self.session = SessionId(hello.relay_peer_id, hello.challenge)
        self.mailbox = mailbox_id(signing.public_key(inbox_seed), EPOCH)
        self.mail: list[Mail] = []

    @classmethod
    async def meet(cls, link: Link, inbox_seed: bytes = b"i" * 32) -> MailboxUser:
        hello = decode_answer(await link.receive())
        assert isinstance(hello, Hello)
        return cls(link, hello, inbox_seed)

    def access(self, purpose: Purpose, subject: bytes = b"") -> Access:
        return grant(self._inbox_seed, self.session, purpose, EPOCH, subject)

    def envelope(self, message_id: bytes, fill: bytes = b"x", size_class: int = 0) -> Envelope:
        expires = EpochMs(self.hello.now_ms + 3_600_000)
        return Envelope(
            self.mailbox, message_id, expires, size_class, fill * SIZE_CLASSES[size_class]
        )

    async def ask(self, request: Request) -> Answer:
        await self.link.send(encode(request))
        return await self.answer()

    async def answer(self) -> Answer:
        while isinstance(answer := decode_answer(await self.link.receive()), Mail):
            self.mail.append(answer)
        return answer

    async def next_mail(self) -> Mail:
        if not self.mail:
            mail = decode_answer(await self.link.receive())
            assert isinstance(mail, Mail)
            return mail
        return self.mail.pop(0)

    async def deposit(self, envelope: Envelope) -> Answer:
        return await self.ask(Deposit(1, envelope))

    async def pull(self, cursor: int = 0, limit: int = 64) -> Answer:
        return await self.ask(Pull(2, self.access(Purpose.PULL), cursor, limit))

    async def ack(self, page: Answer, nacked: Sequence[bytes] = ()) -> Answer:
        assert isinstance(page, Page)
        acked = tuple(each.message_id for each in page.items if each.message_id not in nacked)
        return await self.ask(Ack(3, page.mailbox_id, page.page_id, acked, tuple(nacked)))

    async def watch(self) -> Answer:
        return await self.ask(Watch(4, self.access(Purpose.WATCH)))

    async def put_prekeys(self, bundle: bytes) -> Answer:
        access = self.access(Purpose.PUT_PREKEYS, subject_of((bundle,)))
        return await self.ask(PutPrekeys(5, access, bundle))

    async def put_keys(self, *keys: bytes) -> Answer:
        access = self.access(Purpose.PUT_ONE_TIME_KEYS, subject_of(keys))
        return await self.ask(PutOneTimeKeys(6, access, keys))
