"""Who somebody is: chain records with proofs, and the keys that they commit to.

A contact is looked up again after an hour, and whenever something arrives from a device that the
contact had not committed to. Where the chain cannot be reached, what was proved before still holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import trio

from abci_chat import keys
from abci_chat.state import handles
from abci_chat.state import identities as chat
from abci_chat.state.identities import Identity
from dchat.client import writing
from dchat.client.core import keylog
from dchat.client.core.contact import Contact
from dchat.client.core.outbox import retry_pause_ms
from dchat.client.core.prekeys import BadPrekeys, open_bundle
from dchat.client.events import KeysChanged
from dchat.client.ledger import Ledger
from dchat.client.office import Office
from dchat.client.relays import Relays
from dchat.kernel.accounts import BadAccount, parse_account, show_account
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import OperatorError, RemoteProtocolError, TxRejected
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.kernel.light import TrustedBlock
from relay.net.address import Address, BadAddress, parse_address

FRESH_MS: Final = 3_600_000
MAX_LOG: Final = 100
"""Lines of a key log that are read, each with its proof, before somebody is warned."""


class UnknownHandle(OperatorError):
    """The chain proves that nobody has registered the handle or account."""

    hint = "check the spelling; the other side may have to register first"


class Directory:
    """Looks accounts up and keeps what was proved of them."""

    def __init__(self, office: Office, chain: Ledger, relays: Relays) -> None:
        self._office = office
        self._chain = chain
        self._relays = relays
        self._checked_ms: dict[AccountId, EpochMs] = {}
        self._turn = trio.Lock()

    async def look_up(self, handle: str) -> tuple[Contact, TrustedBlock]:
        """Return whom the handle names now, and the header that proves it.

        An account's id names whoever has no handle. Raises: UnknownHandle, OperatorError.
        """
        if len(handle) > handles.MAX_BYTES:
            return await self._prove(_account(handle), None)
        try:
            handles.check(handle)
        except TxRejected as fault:
            raise UnknownHandle(str(fault)) from None
        found = await self._chain.read(keys.handle(handles.skeleton(handle)))
        owner = handles.holder(found.value, handle)
        if owner is None:
            raise UnknownHandle(f"nobody is registered as {handle!r}")
        return await self._prove(owner, found.block)

    async def record(self, account: AccountId) -> Identity | None:
        """Return what the chain proves of an account, given up or not. Raises: OperatorError."""
        found = await self._chain.read(keys.identity(account))
        return None if found.value is None else chat.IDENTITY.decode(found.value)

    async def look_up_account(self, peer: AccountId) -> Contact:
        """Return what the chain says of an account now. Raises: UnknownHandle, OperatorError."""
        contact, _ = await self._prove(peer, None)
        return contact

    async def fresh(self, peer: AccountId) -> Contact:
        """Return a contact with keys, looked up within the last hour if the chain can be reached.

        Raises: UnknownHandle, OperatorError, BadPrekeys, RemoteProtocolError.
        """
        known = await self._office.do(self._office.store.contact, peer)
        if known is not None and known.bundle and self._is_fresh(peer):
            return known
        try:
            contact = await self.look_up_account(peer)
        except UnknownHandle:
            raise
        except OperatorError:
            if known is None or not known.bundle:
                raise
            return known
        return contact if contact.bundle else await self._keep(await self.keys_of(contact))

    async def keys_of(self, contact: Contact) -> Contact:
        """Return the contact with the keys it committed to, from any of its home relays.

        Nothing is kept. Raises: BadPrekeys, RemoteProtocolError.
        """
        fault: RemoteProtocolError | BadPrekeys = RemoteProtocolError("no usable home relay")
        for address in addresses(contact.home_relays):
            try:
                session = await self._relays.session(address)
                bundle = await session.get_prekeys(contact.inbox_key)
                open_bundle(bundle, contact.id, contact.identity_key, contact.prekey_hash)
            except (RemoteProtocolError, BadPrekeys) as reason:
                fault = reason
            else:
                return replace(contact, bundle=bundle)
        raise fault

    async def accept(self, contact: Contact) -> Contact:
        """Return the contact, no longer a stranger."""
        return await self._keep(replace(contact, accepted=True))

    async def _prove(
        self, peer: AccountId, block: TrustedBlock | None
    ) -> tuple[Contact, TrustedBlock]:
        key = keys.identity(peer)
        found = await (self._chain.read_at(block, key) if block else self._chain.read(key))
        if found.value is None:
            raise UnknownHandle(f"{show_account(peer)} is not registered")
        record = chat.IDENTITY.decode(found.value)
        if record.deactivated_at:
            raise UnknownHandle(f"{show_account(peer)} has given up its identity for good")
        how = await self._how(peer, record)
        contact = await self._keep(_contact(peer, record, found.height), how)
        self._checked_ms[peer] = self._office.now()
        return contact, found.block

    def _is_fresh(self, peer: AccountId) -> bool:
        checked = self._checked_ms.get(peer)
        return checked is not None and self._office.now() - checked < FRESH_MS

    async def _how(self, peer: AccountId, record: Identity) -> str:
        """Return what the account's key log tells of keys that came after the one we know."""
        known = await self._office.do(self._office.store.contact, peer)
        if known is None or known.identity_key == record.public_key:
            return ""
        if record.log_length > MAX_LOG:
            return f"its key log is longer than {MAX_LOG} lines; see dchat query key-log"
        try:
            values = [
                (await self._chain.read(keys.key_log(peer, number))).value or b""
                for number in range(record.log_length)
            ]
            entries = [chat.LOG_ENTRY.decode(value) for value in values]
            history = keylog.audit(record, entries)
        except (OperatorError, RemoteProtocolError, CodecError) as fault:
            return f"its key log could not be checked: {fault}"
        return keylog.in_words(history.since(known.identity_key))

    async def _keep(self, contact: Contact, how: str = "") -> Contact:
        async with self._turn:
            kept, is_other = await self._office.do(self.merge, contact)
        if is_other:
            self._office.hub.tell(KeysChanged(kept, how))
            self._office.outbox.ring()
        return kept

    def merge(self, proved: Contact) -> tuple[Contact, bool]:
        """Keep the newer record with what the older knew; tell whether the keys are others now."""
        store = self._office.store
        with store.transaction():
            known = store.contact(proved.id)
            if known is None:
                store.save_contact(proved)
                return proved, False
            if known.verified_height > proved.verified_height:
                return known, False
            is_same = known.prekey_hash == proved.prekey_hash
            is_other = not is_same or known.identity_key != proved.identity_key
            merged = replace(
                proved,
                accepted=known.accepted or proved.accepted,
                bundle=proved.bundle or (b"" if is_other else known.bundle),
            )
            store.save_contact(merged)
            if not is_same:
                writing.write_anew(store, proved.id)
            return merged, is_other


class Strangers:
    """When to look a writer up again whom the chain or its relays did not answer for."""

    def __init__(self) -> None:
        self._tries: dict[AccountId, int] = {}
        self._next_ms: dict[AccountId, int] = {}

    def due(self, senders: Iterable[AccountId], now_ms: EpochMs) -> list[AccountId]:
        """Return those to look up now; who is no longer waiting is forgotten."""
        waiting = tuple(senders)
        self._tries = {one: n for one, n in self._tries.items() if one in waiting}
        self._next_ms = {one: n for one, n in self._next_ms.items() if one in waiting}
        return [one for one in waiting if self._next_ms.get(one, 0) <= now_ms]

    def put_off(self, sender: AccountId, now_ms: EpochMs) -> None:
        """Look this one up later, twice as late each time, up to a minute."""
        tries = self._tries.get(sender, 0)
        self._tries[sender] = tries + 1
        self._next_ms[sender] = now_ms + retry_pause_ms(tries, 0)


def addresses(written: Iterable[str]) -> list[Address]:
    """Return the relay addresses that can be used; the others are somebody's mistake on chain."""
    usable: list[Address] = []
    for text in written:
        try:
            address = parse_address(text)
        except BadAddress:
            continue
        if address.peer_id is not None:
            usable.append(address)
    return usable


def _account(shown: str) -> AccountId:
    try:
        return parse_account(shown)
    except BadAccount as fault:
        raise UnknownHandle(str(fault)) from None


def _contact(peer: AccountId, record: Identity, height: Height) -> Contact:
    return Contact(
        id=peer,
        handle=record.handle or show_account(peer),
        identity_key=record.public_key,
        inbox_key=record.inbox_key,
        home_relays=record.home_relays,
        prekey_hash=record.prekey_hash,
        verified_height=height,
    )
