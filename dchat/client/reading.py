"""From an envelope to a message: opened, attributed, told from a replay, and kept.

Whatever arrives ends in one of four verdicts and never in an exception, because strangers choose
the bytes. Ratchet steps, the message and the receipt owed for it reach the disk in one transaction,
so a crash at any point repeats either all of it or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, unique
from hashlib import sha256

from dchat.client import sealing
from dchat.client.core import content as contents
from dchat.client.core import outbox, wrapping
from dchat.client.core.contact import Contact
from dchat.client.core.content import MAX_IDS, Content, Receipt, Text, Undecryptable, WrongDate
from dchat.client.core.conversation import Fault, Signal, fault_numbered
from dchat.client.core.outbox import Outgoing
from dchat.client.core.prekeys import BadPrekeys
from dchat.client.core.wrapping import PREKEY, Wrapped
from dchat.client.device import save_account
from dchat.client.ratchet import Account, OlmMessage, Session, Unreadable
from dchat.client.sealing import CannotOpen
from dchat.client.store import Device, Held, Letter, Owed, Store
from dchat.client.writing import bundle_of
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import AccountId, EpochMs
from relay.core.envelope import ciphertext_hash


@unique
class Verdict(Enum):
    """What became of an envelope."""

    TAKEN = "a message, kept"
    DUPLICATE = "handled before"
    HELD = "kept until its writer is looked up"
    REFUSED = "not readable, for a reason"


@dataclass(frozen=True, slots=True)
class Arrived:
    """An envelope as a relay handed it over."""

    envelope_id: bytes
    expires_at_ms: EpochMs
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, whose message it is (proved, unless HELD), and what it changed.

    `changed`: messages of ours whose delivery state moved.
    """

    verdict: Verdict
    sender: AccountId | None = None
    fault: Fault = Fault.NONE
    content: Content | None = None
    changed: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Decrypted:
    plaintext: bytes
    session: Session
    account: Account | None
    """Set where the message began the session, which used up a key of the account."""


def read(store: Store, me: AccountId, arrived: Arrived, now_ms: EpochMs) -> Outcome:
    """Return what became of the envelope; everything that follows from it is on disk."""
    arrived = _bounded(arrived, now_ms)
    digest = ciphertext_hash(arrived.ciphertext)
    with store.transaction():
        device = store.device()
        if device is None or store.is_seen(digest):
            return Outcome(Verdict.DUPLICATE)
        wrapped = _open(device, me, arrived.ciphertext)
        if wrapped is None or wrapped.sender == me:
            return Outcome(Verdict.REFUSED, fault=Fault.MALFORMED)
        contact = store.contact(wrapped.sender)
        if contact is None or not _is_device_of(wrapped, contact):
            return _hold(store, wrapped, arrived)
        store.see(digest, EpochMs(arrived.expires_at_ms + contents.SKEW_MS))
        return _Reader(store, me, now_ms).read(contact, wrapped, arrived.envelope_id)


def read_held(store: Store, me: AccountId, sender: AccountId, now_ms: EpochMs) -> list[Outcome]:
    """Return what became of a sender's held envelopes, now that it is looked up.

    What is still not of the device that the sender committed to is refused for good.
    """
    outcomes: list[Outcome] = []
    for held in store.release(sender):
        with store.transaction():
            store.let_go(held.envelope_id)
            arrived = Arrived(held.envelope_id, held.expires_at_ms, held.ciphertext)
            outcome = read(store, me, arrived, now_ms)
            if outcome.verdict is Verdict.HELD:
                store.let_go(held.envelope_id)
                outcome = Outcome(Verdict.REFUSED, sender, Fault.UNPROVED_SENDER)
        outcomes.append(outcome)
    return outcomes


def _bounded(arrived: Arrived, now_ms: EpochMs) -> Arrived:
    # The expiry is the relay's word; no message lives longer, and no disk keeps every number
    latest = EpochMs(now_ms + contents.LIFE_MS + contents.SKEW_MS)
    return replace(arrived, expires_at_ms=min(arrived.expires_at_ms, latest))


def _open(device: Device, me: AccountId, ciphertext: bytes) -> Wrapped | None:
    try:
        return wrapping.unwrap(sealing.open_sealed(ciphertext, device.sealing_seed, me))
    except (CannotOpen, CodecError):
        return None


def _is_device_of(wrapped: Wrapped, contact: Contact) -> bool:
    try:
        return bundle_of(contact).ratchet_key == wrapped.device
    except BadPrekeys:
        return False


def _hold(store: Store, wrapped: Wrapped, arrived: Arrived) -> Outcome:
    held = Held(arrived.envelope_id, wrapped.sender, arrived.ciphertext, arrived.expires_at_ms)
    if store.hold(held):
        return Outcome(Verdict.HELD, wrapped.sender)
    return Outcome(Verdict.REFUSED, fault=Fault.UNPROVED_SENDER)


class _Reader:
    """Reads one envelope of a writer whose device is proved."""

    def __init__(self, store: Store, me: AccountId, now_ms: EpochMs) -> None:
        self._store = store
        self._me = me
        self._now_ms = now_ms

    def read(self, contact: Contact, wrapped: Wrapped, envelope_id: bytes) -> Outcome:
        """Return what became of it."""
        try:
            decrypted = self._decrypt(contact.id, wrapped)
        except Unreadable:
            known = self._store.sessions(contact.id) or wrapped.olm_type == PREKEY
            fault = Fault.RATCHET if known else Fault.NO_SESSION
            return self._complain(contact.id, envelope_id, fault)
        try:
            content = self._checked(contact.id, decrypted.plaintext)
        except CodecError:
            return self._complain(contact.id, envelope_id, Fault.MALFORMED)
        except WrongDate:
            return self._complain(contact.id, envelope_id, Fault.WRONG_DATE)
        return self._take(content, decrypted)

    def _decrypt(self, peer: AccountId, wrapped: Wrapped) -> _Decrypted:
        message = OlmMessage(wrapped.olm_type, wrapped.olm_body)
        for frozen in self._store.sessions(peer):
            session = Session.thaw(frozen, self._store.pickle_key)
            try:
                return _Decrypted(session.read(message), session, None)
            except Unreadable:
                continue
        device = self._store.device()
        if device is None or wrapped.olm_type != PREKEY:
            raise Unreadable("no session reads it")
        account = Account.thaw(device.account, self._store.pickle_key)
        session, plaintext = account.accept(wrapped.device, message)
        return _Decrypted(plaintext, session, account)

    def _checked(self, sender: AccountId, plaintext: bytes) -> Content:
        content = contents.decode(plaintext)
        if (content.sender, content.recipient) != (sender, self._me):
            raise CodecError("the message was written by or for somebody else")
        contents.check_date(content, self._now_ms)
        conversation = contents.conversation_id(sender, self._me)
        if isinstance(content.kind, Text) and content.kind.conversation != conversation:
            raise CodecError("the message belongs to another conversation")
        return content

    def _take(self, content: Content, decrypted: _Decrypted) -> Outcome:
        seen_id = sha256(b"dchat/seen/v1" + content.sender + content.id).digest()
        # Ids are forgotten in time, texts are not: a writer may date an old id anew
        is_kept = self._store.has_received(content.id, content.sender)
        is_new = not is_kept and not self._store.is_seen(seen_id)
        # A replayed first message must not open a session: that of the fallback key opens always
        if is_new or decrypted.account is None:
            self._keep_step(content.sender, decrypted)
        if isinstance(content.kind, Text):
            self._store.owe(Owed(content.id, content.sender, Fault.NONE))
        if not is_new:
            return Outcome(Verdict.DUPLICATE, content.sender)
        self._store.see(seen_id, contents.remember_until(content))
        self._store.save_rekey(content.sender, 0, self._now_ms)
        return Outcome(Verdict.TAKEN, content.sender, Fault.NONE, content, self._follow_up(content))

    def _keep_step(self, peer: AccountId, decrypted: _Decrypted) -> None:
        session = decrypted.session
        self._store.save_session(peer, session.id, session.freeze(self._store.pickle_key))
        device = self._store.device()
        if decrypted.account is not None and device is not None:
            save_account(self._store, device, decrypted.account)

    def _follow_up(self, content: Content) -> tuple[Outgoing, ...]:
        match content.kind:
            case Text(_, body):
                sender, sent = content.sender, content.sent_at_ms
                letter = Letter(content.id, sender, False, body, sent)  # noqa: FBT003
                self._store.save_letter(letter, self._now_ms)
                return ()
            case Receipt(ids):
                return self._delivered(content.sender, ids)
            case Undecryptable(envelope_ids, reason):
                return self._nacked(content.sender, envelope_ids, fault_numbered(reason))

    def _delivered(self, peer: AccountId, ids: tuple[bytes, ...]) -> tuple[Outgoing, ...]:
        ours = [self._store.outgoing(message_id) for message_id in ids]
        return self._changed(
            [(one, outbox.signalled(one, Signal.RECEIPT)) for one in _written_to(peer, ours)]
        )

    def _nacked(
        self, peer: AccountId, envelope_ids: tuple[bytes, ...], fault: Fault
    ) -> tuple[Outgoing, ...]:
        ours = [self._store.outgoing_by_envelope(envelope_id) for envelope_id in envelope_ids]
        return self._changed([(one, outbox.nacked(one, fault)) for one in _written_to(peer, ours)])

    def _changed(self, pairs: list[tuple[Outgoing, Outgoing]]) -> tuple[Outgoing, ...]:
        changed = tuple([after for before, after in pairs if after != before])
        for message in changed:
            self._store.save_outgoing(message)
        return changed

    def _complain(self, peer: AccountId, envelope_id: bytes, fault: Fault) -> Outcome:
        if self._store.owed_to(peer) < MAX_IDS:
            self._store.owe(Owed(envelope_id, peer, fault))
        return Outcome(Verdict.REFUSED, peer, fault)


def _written_to(peer: AccountId, messages: list[Outgoing | None]) -> list[Outgoing]:
    """Only the one a message was written to may say what became of it."""
    return [one for one in messages if one is not None and one.recipient == peer]
