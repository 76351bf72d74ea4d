"""The way out: seals and deposits what the outbox holds, and tries again until it is over."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import trio

from dchat.client import writing
from dchat.client.core import content as contents
from dchat.client.core import mailboxes, outbox
from dchat.client.core.contact import Contact
from dchat.client.core.content import Text
from dchat.client.core.conversation import Delivery, Fault, Signal
from dchat.client.core.outbox import Action, Outgoing
from dchat.client.core.prekeys import BadPrekeys, open_one_time_key
from dchat.client.directory import Directory, addresses
from dchat.client.events import Delayed, Progressed
from dchat.client.office import Office
from dchat.client.ratchet import Unusable
from dchat.client.relay_session import RelayRefused, RelaySession
from dchat.client.relays import Relays
from dchat.kernel.errors import OperatorError, ProtocolError, RemoteProtocolError
from dchat.kernel.ids import AccountId, EpochMs
from relay.core.envelope import Envelope, size_class_for
from relay.core.refusals import Refusal

MAX_AT_ONCE: Final = 16
"""Recipients written to at the same time."""
ROUND: Final = 256
TICK_S: Final = 10.0
_HOUR_MS: Final = 3_600_000

_NEW_ENVELOPE: Final = (Refusal.EXPIRY_TOO_FAR, Refusal.MESSAGE_ID_TAKEN)
_KEEPS_ONE_ENVELOPE: Final = 16
"""Refusals below this say that the request is wrong and stays so; see relay.core.refusals."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No relay took a message: whether any may later, and when."""

    why: str
    is_final: bool
    retry_after_ms: int


class Post:
    """Works the outbox off."""

    def __init__(self, office: Office, directory: Directory, relays: Relays) -> None:
        self._office = office
        self._directory = directory
        self._relays = relays
        self._busy: set[AccountId] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._start_due(nursery)
                await self._office.outbox.wait(await self._pause_s())

    async def _start_due(self, nursery: trio.Nursery) -> None:
        office, now = self._office, self._office.now()
        await office.do(writing.queue_answers, office.store, office.me, now)
        by_recipient: dict[AccountId, list[Outgoing]] = {}
        for message in await office.do(office.store.due, now, ROUND):
            by_recipient.setdefault(message.recipient, []).append(message)
        for recipient, messages in by_recipient.items():
            if recipient not in self._busy and len(self._busy) < MAX_AT_ONCE:
                self._busy.add(recipient)
                nursery.start_soon(self._serve, recipient, messages)

    async def _pause_s(self) -> float:
        next_try = await self._office.do(self._office.store.next_try)
        if next_try is None or self._busy:
            return TICK_S
        return min(TICK_S, max(0.05, (next_try - self._office.now()) / 1000))

    async def _serve(self, recipient: AccountId, messages: Sequence[Outgoing]) -> None:
        try:
            for at, message in enumerate(messages):
                why = await self._advance(message)
                if why is not None:
                    await self._put_off(messages[at:], why)
                    return
        finally:
            self._busy.discard(recipient)
            self._office.outbox.ring()

    async def _advance(self, message: Outgoing) -> Refused | None:
        """Do what is due with one message; return why it could not be done."""
        match outbox.next_action(message, self._office.now()):
            case Action.EXPIRE:
                await self._end(message, Signal.EXPIRY)
            case Action.SEAL | Action.DEPOSIT:
                return await self._try(message)
            case Action.WAIT | Action.REST:
                pass
        return None

    async def _try(self, message: Outgoing) -> Refused | None:
        try:
            contact = await self._directory.fresh(message.recipient)
            present = await self._office.do(self._office.store.outgoing, message.id)
            if present is None or present.state is not Delivery.QUEUED:
                return None
            sealed = present if present.sealed else await self._seal(present, contact)
            refused = await self._deposit(sealed, contact)
        except (ProtocolError, OperatorError) as fault:
            return Refused(str(fault), is_final=False, retry_after_ms=0)
        if refused is None:
            await self._end(sealed, Signal.CUSTODY)
        elif refused.is_final:
            await self._end(sealed, Signal.GIVE_UP, Fault.REFUSED)
        return refused if refused and not refused.is_final else None

    async def _seal(self, message: Outgoing, contact: Contact) -> Outgoing:
        office = self._office
        key: bytes | None = None
        if await office.do(writing.needs_key, office.store, message):
            key = await self._key_for(message, contact)
        return await office.do(writing.seal, office.store, office.me, message, contact, key)

    async def _key_for(self, message: Outgoing, contact: Contact) -> bytes:
        """Return a one-time key of the contact; its fallback key where none is left.

        A message that is sealed anew uses the fallback key: a relay that hands one key out twice
        must not be able to keep two people apart.
        """
        bundle = writing.bundle_of(contact)
        for address in addresses(contact.home_relays) if not message.reseals else []:
            try:
                session = await self._relays.session(address)
                return open_one_time_key(await session.take_one_time_key(contact.inbox_key), bundle)
            except (RemoteProtocolError, BadPrekeys):
                continue
        return bundle.fallback_key

    async def _deposit(self, message: Outgoing, contact: Contact) -> Refused | None:
        """Hand the message to the first home relay that takes it."""
        refusals: list[Refused] = []
        for address in addresses(contact.home_relays):
            try:
                session = await self._relays.session(address)
                await self._hand_over(session, message, contact)
            except RelayRefused as fault:
                is_final = fault.code < _KEEPS_ONE_ENVELOPE
                refusals.append(Refused(str(fault), is_final, fault.retry_after_ms))
            except RemoteProtocolError as fault:
                refusals.append(Refused(str(fault), is_final=False, retry_after_ms=0))
            else:
                return None
        if not refusals:
            return Refused("no usable home relay on chain", is_final=False, retry_after_ms=0)
        return next((one for one in refusals if not one.is_final), refusals[0])

    async def _hand_over(self, session: RelaySession, message: Outgoing, contact: Contact) -> None:
        try:
            await session.deposit(self._envelope(message, contact))
        except RelayRefused as fault:
            if fault.code not in _NEW_ENVELOPE:
                raise
            latest = EpochMs(self._office.now() + session.hello.max_message_age_ms - _HOUR_MS)
            again = await self._office.do(
                writing.reissue,
                self._office.store,
                message,
                min(message.expires_at_ms, latest),
            )
            await session.deposit(self._envelope(again, contact))

    def _envelope(self, message: Outgoing, contact: Contact) -> Envelope:
        sealed = message.sealed
        size_class = None if sealed is None else size_class_for(len(sealed.ciphertext))
        if sealed is None or size_class is None:
            raise Unusable("the message is not sealed")
        mailbox = mailboxes.to_write(contact.inbox_key, self._office.now())
        return Envelope(
            mailbox.id, sealed.envelope_id, sealed.expires_at_ms, size_class, sealed.ciphertext
        )

    async def _end(self, message: Outgoing, signal: Signal, fault: Fault = Fault.NONE) -> None:
        ended, is_text = await self._office.do(self._record, message.id, signal, fault)
        if ended is not None and is_text:
            self._office.hub.tell(Progressed(ended.id, ended.recipient, ended.state, ended.fault))

    def _record(
        self, message_id: bytes, signal: Signal, fault: Fault
    ) -> tuple[Outgoing | None, bool]:
        """Move a message on in the store, unless something else has moved it meanwhile."""
        store = self._office.store
        with store.transaction():
            present = store.outgoing(message_id)
            if present is None:
                return None, False
            is_text = store.letter(message_id) is not None
            after = outbox.signalled(present, signal, fault)
            has_ended = after.state not in (Delivery.QUEUED, Delivery.SENT)
            if has_ended and not is_text:
                store.drop_outgoing(message_id)
            else:
                store.save_outgoing(after)
            return (after if after.state is not present.state else None), is_text

    async def _put_off(self, messages: Sequence[Outgoing], refused: Refused) -> None:
        now = self._office.now()
        for message in messages:
            late = await self._office.do(self._delay, message.id, now, refused.retry_after_ms)
            if late is not None and _is_text(late):
                self._office.hub.tell(Delayed(late.id, late.recipient, refused.why))

    def _delay(self, message_id: bytes, now_ms: EpochMs, least_ms: int) -> Outgoing | None:
        store = self._office.store
        with store.transaction():
            present = store.outgoing(message_id)
            if present is None or present.state is not Delivery.QUEUED:
                return None
            late = outbox.tried_in_vain(present, now_ms, secrets.randbits(32))
            late = replace(late, next_try_ms=max(late.next_try_ms, EpochMs(now_ms + least_ms)))
            store.save_outgoing(late)
            return late


def _is_text(message: Outgoing) -> bool:
    return isinstance(contents.decode(message.plaintext).kind, Text)
