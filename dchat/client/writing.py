"""From a thought to a ciphertext: messages queued, sealed and answered for.

Nothing here talks to the network. A ratchet's step and the ciphertext it made reach the disk in one
transaction, before anybody can send the ciphertext.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace

from dchat.client import sealing
from dchat.client.core import content as contents
from dchat.client.core import outbox, prekeys, wrapping
from dchat.client.core.contact import Contact
from dchat.client.core.content import Content, Kind, Receipt, Text, Undecryptable
from dchat.client.core.conversation import MENDED_BY_REKEY, Fault
from dchat.client.core.outbox import Outgoing, Sealed
from dchat.client.core.prekeys import Bundle
from dchat.client.core.wrapping import Wrapped
from dchat.client.ratchet import Account, Session, Unusable
from dchat.client.store import Letter, Owed, Store
from dchat.kernel.ids import AccountId, EpochMs

REKEY_PAUSE_MS = 30_000
LONGEST_REKEY_PAUSE_MS = 3_600_000


def queue_text(
    store: Store, me: AccountId, recipient: AccountId, body: str, now_ms: EpochMs
) -> Letter:
    """Return the text, kept and queued. Raises: CodecError if it is over 16 KiB."""
    conversation = contents.conversation_id(me, recipient)
    with store.transaction():
        message = _queue(store, me, recipient, Text(conversation, body), now_ms)
        letter = Letter(message.id, recipient, True, body, now_ms, message.state)  # noqa: FBT003
        store.save_letter(letter, now_ms)
    return letter


def queue_answers(store: Store, me: AccountId, now_ms: EpochMs) -> None:
    """Queue the receipts and complaints that are owed, many in one message.

    A complaint opens a new session; how often that may be is bounded per account, or anybody who
    claims a friend's name could make us spend the friend's one-time keys.
    """
    with store.transaction():
        for peer, fault, owed in _grouped(store.owed()):
            if _may_answer(store, peer, fault, now_ms):
                _queue(store, me, peer, _answer(owed, fault), now_ms)
                for one in owed:
                    store.pay_owed(one.id)


def needs_key(store: Store, message: Outgoing) -> bool:
    """Tell whether sealing the message takes one of the recipient's one-time keys."""
    return contents.opens_session(contents.decode(message.plaintext)) or not store.sessions(
        message.recipient
    )


def bundle_of(contact: Contact) -> Bundle:
    """Return the contact's keys, checked once more. Raises: BadPrekeys."""
    return prekeys.open_bundle(
        contact.bundle, contact.id, contact.identity_key, contact.prekey_hash
    )


def seal(
    store: Store, me: AccountId, message: Outgoing, contact: Contact, one_time_key: bytes | None
) -> Outgoing:
    """Return the message with its ciphertext; ratchet step and ciphertext are on disk.

    With `one_time_key` a new session is opened, else the last one used goes on.
    Raises: BadPrekeys, BadSealingKey, Unusable.
    """
    bundle = bundle_of(contact)
    with store.transaction():
        present = store.outgoing(message.id) or message
        account, session = _session(store, contact, bundle, one_time_key)
        olm = session.write(present.plaintext)
        wrapped = Wrapped(wrapping.VERSION, me, account.ratchet_key, olm.type, olm.body)
        ciphertext = sealing.seal(
            wrapping.wrap(wrapped, sealing.OVERHEAD), bundle.sealing_key, contact.id
        )
        sealed = Sealed(secrets.token_bytes(32), present.expires_at_ms, ciphertext)
        ready = replace(present, sealed=sealed)
        store.save_session(contact.id, session.id, session.freeze(store.pickle_key))
        store.save_outgoing(ready)
    return ready


def reissue(store: Store, message: Outgoing, expires_at_ms: EpochMs) -> Outgoing:
    """Return the message with the same ciphertext in a fresh envelope of another expiry."""
    if message.sealed is None:
        return message
    sealed = replace(
        message.sealed, envelope_id=secrets.token_bytes(32), expires_at_ms=expires_at_ms
    )
    again = replace(message, sealed=sealed)
    store.save_outgoing(again)
    return again


def write_anew(store: Store, peer: AccountId) -> None:
    """Forget all sessions with an account whose device is another one now, and seal again."""
    with store.transaction():
        store.drop_sessions(peer)
        for message in store.unfinished(peer):
            store.save_outgoing(outbox.nacked(message, Fault.NO_SESSION))


def _queue(
    store: Store, me: AccountId, recipient: AccountId, kind: Kind, now_ms: EpochMs
) -> Outgoing:
    message_id = contents.message_id(me, secrets.token_bytes(32))
    content = Content(me, recipient, message_id, now_ms, kind)
    message = Outgoing(
        message_id, recipient, contents.encode(content), contents.expires_at_ms(now_ms)
    )
    store.save_outgoing(message)
    return message


def _session(
    store: Store, contact: Contact, bundle: Bundle, one_time_key: bytes | None
) -> tuple[Account, Session]:
    device = store.device()
    if device is None:
        raise Unusable("this device has no keys yet")
    account = Account.thaw(device.account, store.pickle_key)
    if one_time_key is not None:
        return account, account.start(bundle.ratchet_key, one_time_key)
    sessions = store.sessions(contact.id)
    if not sessions:
        raise Unusable("there is no session yet")
    return account, Session.thaw(sessions[0], store.pickle_key)


def _grouped(owed: Iterable[Owed]) -> list[tuple[AccountId, Fault, list[Owed]]]:
    groups: dict[tuple[AccountId, Fault], list[Owed]] = {}
    for one in owed:
        groups.setdefault((one.peer, one.fault), []).append(one)
    return [(peer, fault, group[: contents.MAX_IDS]) for (peer, fault), group in groups.items()]


def _answer(owed: list[Owed], fault: Fault) -> Kind:
    ids = tuple([one.id for one in owed])
    return Undecryptable(ids, int(fault)) if fault else Receipt(ids)


def _may_answer(store: Store, peer: AccountId, fault: Fault, now_ms: EpochMs) -> bool:
    if fault not in MENDED_BY_REKEY:
        return True
    tries, next_ms = store.rekey(peer)
    if now_ms < next_ms:
        return False
    pause = min(LONGEST_REKEY_PAUSE_MS, REKEY_PAUSE_MS << min(tries, 16))
    store.save_rekey(peer, tries + 1, EpochMs(now_ms + pause))
    return True
