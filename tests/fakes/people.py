"""People with real stores and real ratchets, who hand each other envelopes without a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dchat.client import device, reading, writing
from dchat.client.core import prekeys
from dchat.client.core.contact import Contact
from dchat.client.core.outbox import Outgoing
from dchat.client.core.prekeys import Bundle
from dchat.client.reading import Arrived, Outcome
from dchat.client.store import Store
from dchat.kernel import signing
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.node.identity import Identity

NOW = EpochMs(1_800_000_000_000)


@dataclass
class Person:
    """Somebody with a device, a data directory and a clock set by hand."""

    handle: str
    identity: Identity
    folder: Path
    store: Store
    now: EpochMs = NOW

    @property
    def id(self) -> AccountId:
        return self.identity.account_id

    @property
    def bundle(self) -> Bundle:
        me = self.contact
        return prekeys.open_bundle(me.bundle, me.id, me.identity_key, me.prekey_hash)

    @property
    def contact(self) -> Contact:
        """What the chain and a home relay would tell others about this person."""
        served = device.prepare(self.store, self.identity, self.now).bundle
        return Contact(
            id=self.id,
            handle=self.handle,
            identity_key=self.identity.public_key,
            inbox_key=signing.public_key(self.identity.child("inbox")),
            home_relays=("/ip4/127.0.0.1/tcp/7070/p2p/12D3KooWnobody",),
            prekey_hash=prekeys.commitment(served),
            verified_height=Height(1),
            bundle=served,
        )

    def knows(self, other: Person) -> None:
        self.store.save_contact(other.contact)

    def give_key(self) -> bytes:
        """Hand out one of this person's one-time keys, as its relay would."""
        served = device.one_time_keys(self.store, self.id, 1)[0]
        device.mark_published(self.store)
        return prekeys.open_one_time_key(served, self.bundle)

    def write(self, to: Person, body: str) -> Outgoing:
        """Queue and seal a text."""
        letter = writing.queue_text(self.store, self.id, to.id, body, self.now)
        queued = self.store.outgoing(letter.id)
        assert queued is not None
        return self.seal(to, queued)

    def seal(self, to: Person, message: Outgoing) -> Outgoing:
        key = to.give_key() if writing.needs_key(self.store, message) else None
        contact = self.store.contact(to.id) or to.contact
        return writing.seal(self.store, self.id, message, contact, key)

    def answers(self, to: Person) -> list[Outgoing]:
        """Queue and seal the receipts and complaints owed."""
        writing.queue_answers(self.store, self.id, self.now)
        return [self.seal(to, m) for m in self.store.due(self.now, 100) if m.sealed is None]

    def read(self, message: Outgoing) -> Outcome:
        return reading.read(self.store, self.id, arrived(message), self.now)

    def restart(self) -> None:
        """Forget everything but the disk."""
        self.store.close()
        self.store = Store.open(self.folder, self.identity.child("store"))


def arrived(message: Outgoing) -> Arrived:
    """Return a sealed message as a relay would hand it over."""
    sealed = message.sealed
    assert sealed is not None
    return Arrived(sealed.envelope_id, sealed.expires_at_ms, sealed.ciphertext)


def altered(message: Outgoing, ciphertext: bytes) -> Outgoing:
    """Return the message with another ciphertext in the same envelope."""
    sealed = message.sealed
    assert sealed is not None
    return replace(message, sealed=replace(sealed, ciphertext=ciphertext))


def identity_of(name: str) -> Identity:
    """Return the same identity for the same name."""
    seed = name.encode().ljust(32, b"-")
    blank = Identity("user", bytes(32), seed)
    return Identity("user", signing.public_key(blank.child("account")), seed)


def person(name: str, folder: Path) -> Person:
    """Return somebody whose data directory is `folder`."""
    identity = identity_of(name)
    store = Store.open(folder, identity.child("store"))
    somebody = Person(name, identity, folder, store)
    device.prepare(store, identity, NOW)
    return somebody
