"""The way in: publishes our keys at a home relay, pulls what it keeps for us, confirms it."""

from __future__ import annotations

import secrets
from typing import Final

import trio

from dchat.client import device, reading
from dchat.client.core import mailboxes
from dchat.client.core.contact import Contact
from dchat.client.core.content import Text
from dchat.client.core.mailboxes import Mailbox
from dchat.client.core.outbox import retry_pause_ms
from dchat.client.directory import Directory, Strangers, UnknownHandle
from dchat.client.events import Progressed, Received, RelayChanged, Unread
from dchat.client.office import Bell, Office
from dchat.client.reading import Arrived, Outcome, Verdict
from dchat.client.relay_session import RelaySession
from dchat.client.relays import Relays
from dchat.client.store import Letter
from dchat.kernel import signing
from dchat.kernel.errors import OperatorError, ProtocolError, RemoteProtocolError
from dchat.kernel.ids import AccountId, EpochMs
from relay.core.messages import MAX_KEYS_PER_PUT, Item, Page
from relay.net.address import Address

LOW_KEYS: Final = 25
"""Below so many one-time keys at a relay, new ones are made."""
CHECK_KEYS_MS: Final = 300_000
WATCH_S: Final = 60.0
"""How long a watch is trusted without a look: mailboxes change with their epoch."""
STRANGERS_TICK_S: Final = 5.0


class Mail:
    """Fetches our mail from home relays, and looks up who wrote it."""

    def __init__(self, office: Office, relays: Relays, directory: Directory) -> None:
        self._office = office
        self._relays = relays
        self._directory = directory
        self._inbox_seed = office.identity.child("inbox")
        self._inbox_key = signing.public_key(self._inbox_seed)
        self._strangers = Strangers()
        self._held = Bell()
        self._key_turn = trio.Lock()

    async def keep_fetching(self, address: Address) -> None:
        """Serve one home relay until cancelled, coming back whenever it is lost."""
        tries = 0
        while True:
            started = trio.current_time()
            try:
                session = await self._relays.session(address)
                self._office.hub.tell(RelayChanged(str(address), is_up=True))
                await self._office.do(self._office.store.wake_outbox)
                self._office.outbox.ring()
                await self._serve(session)
            except RemoteProtocolError as fault:
                self._office.hub.tell(RelayChanged(str(address), is_up=False, why=str(fault)))
            tries = 0 if trio.current_time() - started > WATCH_S else tries + 1
            await trio.sleep(retry_pause_ms(tries, secrets.randbits(32)) / 1000)

    async def keep_looking_up(self) -> None:
        """Look up whoever wrote to us unknown, and read what they wrote, until cancelled."""
        while True:
            senders = await self._office.do(self._office.store.held_senders)
            for sender in self._strangers.due(senders, self._office.now()):
                await self._introduce(sender)
            await self._held.wait(STRANGERS_TICK_S)

    async def _serve(self, session: RelaySession) -> None:
        """Fetch from one relay until it is lost. Raises: RemoteProtocolError."""
        keys_checked: int | None = None
        watched: tuple[Mailbox, ...] = ()
        while True:
            now = self._office.now()
            if keys_checked is None or now - keys_checked > CHECK_KEYS_MS:
                await self._publish(session)
                keys_checked = now
            boxes = mailboxes.to_pull(self._inbox_key, now)
            for box in boxes:
                if box not in watched:
                    await session.watch(self._inbox_seed, box.epoch)
                await self._empty(session, box)
            watched = boxes
            await session.wait_for_mail(WATCH_S)

    async def _publish(self, session: RelaySession) -> None:
        office = self._office
        kept = await office.do(device.prepare, office.store, office.identity, office.now())
        left = await session.put_prekeys(self._inbox_seed, kept.bundle)
        room = session.hello.max_one_time_keys - left
        if left >= LOW_KEYS or room <= 0:
            return
        async with self._key_turn:
            keys = await office.do(device.one_time_keys, office.store, office.me, room)
            for start in range(0, min(len(keys), room), MAX_KEYS_PER_PUT):
                batch = keys[start : min(start + MAX_KEYS_PER_PUT, room)]
                await session.put_one_time_keys(self._inbox_seed, batch)
            await office.do(device.mark_published, office.store)

    async def _empty(self, session: RelaySession, box: Mailbox) -> None:
        while True:
            page = await session.pull(self._inbox_seed, box.epoch)
            if not page.items:
                return
            await self._take(session, page)
            if not page.more:
                return

    async def _take(self, session: RelaySession, page: Page) -> None:
        outcomes = [(item.message_id, await self._read(item)) for item in page.items]
        nacked = [each for each, outcome in outcomes if outcome.verdict is Verdict.REFUSED]
        acked = [each for each, outcome in outcomes if outcome.verdict is not Verdict.REFUSED]
        # What was read is on disk: from here the relay may forget it
        await session.ack(page, tuple(acked), tuple(nacked))
        self._office.outbox.ring()

    async def _read(self, item: Item) -> Outcome:
        office = self._office
        arrived = Arrived(item.message_id, item.expires_at_ms, item.ciphertext)
        outcome = await office.do(reading.read, office.store, office.me, arrived, office.now())
        await self._tell(outcome)
        return outcome

    async def _introduce(self, sender: AccountId) -> None:
        """Look a sender up and read what is held; on a fault, try again later."""
        try:
            contact = await self._directory.look_up_account(sender)
            if not contact.bundle:
                contact = await self._directory.keys_of(contact)
        except UnknownHandle:
            contact = None  # proved to be nobody: what claims to be from there is refused
        except (OperatorError, ProtocolError):
            self._strangers.put_off(sender, self._office.now())
            return
        for outcome in await self._office.do(self._admit, sender, contact):
            await self._tell(outcome)
        self._office.outbox.ring()

    def _admit(self, sender: AccountId, contact: Contact | None) -> list[Outcome]:
        """Keep the sender's keys and read what is held, before anything that came later."""
        office = self._office
        with office.store.transaction():
            if contact is not None:
                self._directory.merge(contact)
            return reading.read_held(office.store, office.me, sender, office.now())

    async def _tell(self, outcome: Outcome) -> None:
        hub = self._office.hub
        if outcome.verdict is Verdict.HELD:
            self._held.ring()
        if outcome.verdict is Verdict.REFUSED:
            hub.tell(Unread(outcome.sender, outcome.fault))
        for one in outcome.changed:
            hub.tell(Progressed(one.id, one.recipient, one.state, one.fault))
        content = outcome.content
        if content is None or not isinstance(content.kind, Text):
            return
        contact = await self._office.do(self._office.store.contact, content.sender)
        if contact is not None:
            letter = _letter(content.id, content.sender, content.kind.body, content.sent_at_ms)
            hub.tell(Received(letter, contact, is_request=not contact.accepted))


def _letter(message_id: bytes, peer: AccountId, body: str, sent_at_ms: EpochMs) -> Letter:
    return Letter(message_id, peer, False, body, sent_at_ms)  # noqa: FBT003
