"""What the client remembers: device keys, contacts, ratchets, messages, and what is on its way.

Every method is one transaction; `transaction()` makes several one. Ratchets are kept twice
encrypted, so that a copy of the open database's memory alone reveals none.
"""

from __future__ import annotations

import hmac
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from dchat.client.core.contact import CONTACT, Contact
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.outbox import Outgoing, Sealed
from dchat.client.database import Database, Row, Value
from dchat.kernel.ids import AccountId, EpochMs

MAX_SESSIONS: Final = 5
"""Sessions kept per contact; the least recently used goes first."""
MAX_HELD: Final = 1_000
"""Envelopes of strangers kept until their writer is looked up."""

SCHEMA: Final = (
    """
    CREATE TABLE device(id INTEGER PRIMARY KEY CHECK(id = 1), account TEXT NOT NULL,
        sealing_seed BLOB NOT NULL, bundle BLOB NOT NULL);
    CREATE TABLE contacts(id BLOB PRIMARY KEY, handle TEXT NOT NULL, record BLOB NOT NULL);
    CREATE INDEX contacts_by_handle ON contacts(handle);
    CREATE TABLE sessions(peer BLOB NOT NULL, id TEXT NOT NULL, frozen TEXT NOT NULL,
        used INTEGER NOT NULL, PRIMARY KEY(peer, id));
    CREATE TABLE rekeys(peer BLOB PRIMARY KEY, tries INTEGER NOT NULL, next_ms INTEGER NOT NULL);
    CREATE TABLE outbox(id BLOB PRIMARY KEY, recipient BLOB NOT NULL, plaintext BLOB NOT NULL,
        expires_ms INTEGER NOT NULL, state INTEGER NOT NULL, fault INTEGER NOT NULL,
        reseals INTEGER NOT NULL, tries INTEGER NOT NULL, next_try_ms INTEGER NOT NULL,
        envelope_id BLOB, envelope_expires_ms INTEGER, ciphertext BLOB);
    CREATE INDEX outbox_by_state ON outbox(state, next_try_ms);
    CREATE INDEX outbox_by_envelope ON outbox(envelope_id);
    CREATE TABLE messages(number INTEGER PRIMARY KEY, id BLOB NOT NULL,
        peer BLOB NOT NULL, outgoing INTEGER NOT NULL, body TEXT NOT NULL,
        sent_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL, UNIQUE(id, peer, outgoing));
    CREATE INDEX messages_by_peer ON messages(peer, number);
    CREATE TABLE seen(id BLOB PRIMARY KEY, until_ms INTEGER NOT NULL);
    CREATE INDEX seen_by_time ON seen(until_ms);
    CREATE TABLE held(envelope_id BLOB PRIMARY KEY, sender BLOB NOT NULL,
        ciphertext BLOB NOT NULL, expires_ms INTEGER NOT NULL);
    CREATE TABLE owed(id BLOB PRIMARY KEY, peer BLOB NOT NULL, fault INTEGER NOT NULL);
    CREATE TABLE headers(name BLOB PRIMARY KEY, header BLOB NOT NULL)
    """,
)


@dataclass(frozen=True, slots=True)
class Device:
    """This device's secrets: its frozen Olm account, the X-Wing seed, and its published bundle."""

    account: str = field(repr=False)
    sealing_seed: bytes = field(repr=False)
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One text of a conversation, as shown. `state` and `fault` speak of what we wrote."""

    id: bytes
    peer: AccountId
    outgoing: bool
    body: str = field(repr=False)
    sent_at_ms: EpochMs
    state: Delivery = Delivery.DELIVERED
    fault: Fault = Fault.NONE


@dataclass(frozen=True, slots=True)
class Held:
    """A sealed envelope whose writer is not looked up yet."""

    envelope_id: bytes
    sender: AccountId
    ciphertext: bytes = field(repr=False)
    expires_at_ms: EpochMs


@dataclass(frozen=True, slots=True)
class Owed:
    """An answer to write to `peer`: a receipt for message `id`, or with a fault, a complaint."""

    id: bytes
    peer: AccountId
    fault: Fault


class Store:
    """The client's memory on disk."""

    def __init__(self, database: Database, pickle_key: bytes) -> None:
        self._database = database
        self.pickle_key = pickle_key

    @classmethod
    def open(cls, folder: Path, seed: bytes) -> Store:
        """Open what `folder` remembers under the identity's `store` seed, or begin anew.

        Raises: StoreInUse, StoreUnreadable, StoreTooNew.
        """
        database = Database.open(folder, hmac.digest(seed, b"dchat/store/v1", "sha256"), SCHEMA)
        return cls(database, hmac.digest(seed, b"dchat/pickle/v1", "sha256"))

    def close(self) -> None:
        """Let go of the folder."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside takes effect together or not at all."""
        return self._database.transaction()

    def device(self) -> Device | None:
        """Return this device's keys, None before they are made."""
        found = self._database.row("SELECT account, sealing_seed, bundle FROM device")
        return None if found is None else Device(*cast("tuple[str, bytes, bytes]", found))

    def save_device(self, device: Device) -> None:
        """Keep this device's keys."""
        self._database.change(
            "INSERT OR REPLACE INTO device VALUES(1, ?, ?, ?)",
            device.account,
            device.sealing_seed,
            device.bundle,
        )

    def contact(self, peer: AccountId) -> Contact | None:
        """Return what is known of an account."""
        found = self._database.row("SELECT record FROM contacts WHERE id = ?", peer)
        return None if found is None else CONTACT.decode_own(cast("bytes", found[0]))

    def contact_by_handle(self, handle: str) -> Contact | None:
        """Return the account last proved to have the handle."""
        query = "SELECT record FROM contacts WHERE handle = ? ORDER BY rowid DESC"
        found = self._database.row(query, handle)
        return None if found is None else CONTACT.decode_own(cast("bytes", found[0]))

    def contacts(self) -> tuple[Contact, ...]:
        """Return everybody known, by handle."""
        rows = self._database.rows("SELECT record FROM contacts ORDER BY handle")
        return tuple([CONTACT.decode_own(cast("bytes", row[0])) for row in rows])

    def save_contact(self, contact: Contact) -> None:
        """Keep what is known of an account."""
        self._database.change(
            "INSERT OR REPLACE INTO contacts VALUES(?, ?, ?)",
            contact.id,
            contact.handle,
            CONTACT.encode(contact),
        )

    def sessions(self, peer: AccountId) -> tuple[str, ...]:
        """Return the frozen sessions with an account, the one to write in first."""
        query = "SELECT frozen FROM sessions WHERE peer = ? ORDER BY used DESC"
        return tuple([cast("str", row[0]) for row in self._database.rows(query, peer)])

    def save_session(self, peer: AccountId, session_id: str, frozen: str) -> None:
        """Keep a session's step; the next message to this account is written in it."""
        with self.transaction():
            self._database.change(
                "INSERT OR REPLACE INTO sessions SELECT ?, ?, ?, coalesce(max(used), 0) + 1"
                " FROM sessions WHERE peer = ?",
                peer,
                session_id,
                frozen,
                peer,
            )
            self._database.change(
                "DELETE FROM sessions WHERE peer = ? AND id NOT IN"
                " (SELECT id FROM sessions WHERE peer = ? ORDER BY used DESC LIMIT ?)",
                peer,
                peer,
                MAX_SESSIONS,
            )

    def drop_sessions(self, peer: AccountId) -> None:
        """Forget all ratchets with an account: its device is another one now."""
        self._database.change("DELETE FROM sessions WHERE peer = ?", peer)

    def rekey(self, peer: AccountId) -> tuple[int, EpochMs]:
        """Return how often in a row a new session was tried, and when the next may be."""
        found = self._database.row("SELECT tries, next_ms FROM rekeys WHERE peer = ?", peer)
        return (0, EpochMs(0)) if found is None else cast("tuple[int, EpochMs]", found)

    def save_rekey(self, peer: AccountId, tries: int, next_ms: EpochMs) -> None:
        """Keep how often a new session was tried; 0 tries forgets it."""
        self._database.change("DELETE FROM rekeys WHERE peer = ?", peer)
        if tries:
            self._database.change("INSERT INTO rekeys VALUES(?, ?, ?)", peer, tries, next_ms)

    def save_outgoing(self, message: Outgoing) -> None:
        """Keep a message on its way; of one that has ended, only how."""
        ended = message.state not in (Delivery.QUEUED, Delivery.SENT)
        sealed = None if ended else message.sealed
        self._database.change(
            "INSERT INTO outbox VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT(id) DO UPDATE SET plaintext = excluded.plaintext,"
            " expires_ms = excluded.expires_ms,"
            " state = excluded.state, fault = excluded.fault, reseals = excluded.reseals,"
            " tries = excluded.tries, next_try_ms = excluded.next_try_ms,"
            " envelope_id = excluded.envelope_id, ciphertext = excluded.ciphertext,"
            " envelope_expires_ms = excluded.envelope_expires_ms",
            message.id,
            message.recipient,
            b"" if ended else message.plaintext,
            message.expires_at_ms,
            message.state,
            message.fault,
            message.reseals,
            message.tries,
            message.next_try_ms,
            *_sealed_columns(sealed),
        )

    def outgoing(self, message_id: bytes) -> Outgoing | None:
        """Return a message we wrote."""
        return _outgoing(self._database.row("SELECT * FROM outbox WHERE id = ?", message_id))

    def outgoing_by_envelope(self, envelope_id: bytes) -> Outgoing | None:
        """Return the message that is on its way in this envelope."""
        query = "SELECT * FROM outbox WHERE envelope_id = ?"
        return _outgoing(self._database.row(query, envelope_id))

    def due(self, now_ms: EpochMs, limit: int) -> tuple[Outgoing, ...]:
        """Return messages to seal, deposit or end now, in the order they were written."""
        rows = self._database.rows(
            "SELECT * FROM outbox WHERE state = 0 AND (next_try_ms <= ?1 OR expires_ms <= ?1)"
            " OR state = 1 AND expires_ms <= ?1 ORDER BY rowid LIMIT ?2",
            now_ms,
            limit,
        )
        return tuple([_as_outgoing(row) for row in rows])

    def next_try(self) -> EpochMs | None:
        """Return when the next queued message is due, None where none is queued."""
        found = self._database.row("SELECT min(next_try_ms) FROM outbox WHERE state = 0")
        return None if found is None else cast("EpochMs | None", found[0])

    def wake_outbox(self) -> None:
        """Make every queued message due at once."""
        self._database.change("UPDATE outbox SET next_try_ms = 0 WHERE state = 0")

    def drop_outgoing(self, message_id: bytes) -> None:
        """Forget a message nobody needs to hear of again: a receipt or a complaint."""
        self._database.change("DELETE FROM outbox WHERE id = ?", message_id)

    def save_letter(self, letter: Letter, now_ms: EpochMs) -> None:
        """Keep a text of a conversation."""
        self._database.change(
            "INSERT INTO messages(id, peer, outgoing, body, sent_ms, stored_ms)"
            " VALUES(?, ?, ?, ?, ?, ?)",
            letter.id,
            letter.peer,
            int(letter.outgoing),
            letter.body,
            letter.sent_at_ms,
            now_ms,
        )

    def letter(self, message_id: bytes) -> Letter | None:
        """Return one text that we wrote."""
        found = self._database.row(_LETTERS + " WHERE m.id = ? AND m.outgoing = 1", message_id)
        return None if found is None else _letter(found)

    def has_received(self, message_id: bytes, peer: AccountId) -> bool:
        """Tell whether a text of that id by an account is kept."""
        query = "SELECT 1 FROM messages WHERE id = ? AND peer = ? AND outgoing = 0"
        return self._database.row(query, message_id, peer) is not None

    def history(self, peer: AccountId, limit: int) -> tuple[Letter, ...]:
        """Return the last texts exchanged with an account, the oldest first."""
        query = _LETTERS + " WHERE m.peer = ? ORDER BY m.number DESC LIMIT ?"
        rows = self._database.rows(query, peer, limit)
        return tuple([_letter(row) for row in reversed(rows)])

    def is_seen(self, seen_id: bytes) -> bool:
        """Tell whether a message or ciphertext was handled before."""
        return self._database.row("SELECT 1 FROM seen WHERE id = ?", seen_id) is not None

    def see(self, seen_id: bytes, until_ms: EpochMs) -> None:
        """Remember that a message or ciphertext was handled."""
        self._database.change("INSERT OR REPLACE INTO seen VALUES(?, ?)", seen_id, until_ms)

    def hold(self, held: Held) -> bool:
        """Keep a stranger's envelope; tell whether there was room."""
        with self.transaction():
            count = self._database.row("SELECT count(*) FROM held")
            if count is None or cast("int", count[0]) >= MAX_HELD:
                return False
            self._database.change(
                "INSERT OR IGNORE INTO held VALUES(?, ?, ?, ?)",
                held.envelope_id,
                held.sender,
                held.ciphertext,
                held.expires_at_ms,
            )
        return True

    def held_senders(self) -> tuple[AccountId, ...]:
        """Return whose envelopes are held, who has waited longest first."""
        rows = self._database.rows("SELECT sender FROM held GROUP BY sender ORDER BY min(rowid)")
        return tuple([AccountId(cast("bytes", row[0])) for row in rows])

    def release(self, sender: AccountId) -> tuple[Held, ...]:
        """Return the envelopes held for a sender, in order of arrival; they stay until let go."""
        rows = self._database.rows("SELECT * FROM held WHERE sender = ? ORDER BY rowid", sender)
        return tuple([Held(*cast("tuple[bytes, AccountId, bytes, EpochMs]", row)) for row in rows])

    def let_go(self, envelope_id: bytes) -> None:
        """Forget a held envelope."""
        self._database.change("DELETE FROM held WHERE envelope_id = ?", envelope_id)

    def owe(self, owed: Owed) -> None:
        """Remember an answer to write."""
        self._database.change(
            "INSERT OR IGNORE INTO owed VALUES(?, ?, ?)", owed.id, owed.peer, owed.fault
        )

    def owed_to(self, peer: AccountId) -> int:
        """Return how many answers to an account wait to be written."""
        found = self._database.row("SELECT count(*) FROM owed WHERE peer = ?", peer)
        return 0 if found is None else cast("int", found[0])

    def unfinished(self, peer: AccountId) -> tuple[Outgoing, ...]:
        """Return the messages to an account that it has not confirmed and that have not ended."""
        query = "SELECT * FROM outbox WHERE recipient = ? AND state IN (0, 1) ORDER BY rowid"
        return tuple([_as_outgoing(row) for row in self._database.rows(query, peer)])

    def owed(self) -> tuple[Owed, ...]:
        """Return the answers to write, oldest first."""
        rows = self._database.rows("SELECT id, peer, fault FROM owed ORDER BY rowid LIMIT 1000")
        return tuple([_owed(row) for row in rows])

    def pay_owed(self, owed_id: bytes) -> None:
        """Forget an answer: it is in the outbox now."""
        self._database.change("DELETE FROM owed WHERE id = ?", owed_id)

    def header(self, name: bytes) -> bytes | None:
        """Return the newest header verified from a root of trust, as the reader encoded it."""
        found = self._database.row("SELECT header FROM headers WHERE name = ?", name)
        return None if found is None else cast("bytes", found[0])

    def save_header(self, name: bytes, header: bytes) -> None:
        """Keep the newest header verified from a root of trust."""
        self._database.change("INSERT OR REPLACE INTO headers VALUES(?, ?)", name, header)

    def prune(self, now_ms: EpochMs) -> None:
        """Forget what no longer matters: ids whose replays are refused by date, expired holds."""
        with self.transaction():
            self._database.change("DELETE FROM seen WHERE until_ms < ?", now_ms)
            self._database.change("DELETE FROM held WHERE expires_ms < ?", now_ms)


_LETTERS: Final = (
    "SELECT m.id, m.peer, m.outgoing, m.body, m.sent_ms, o.state, o.fault"
    " FROM messages m LEFT JOIN outbox o ON o.id = m.id AND m.outgoing = 1"
)


def _letter(row: Row) -> Letter:
    message_id, peer, outgoing, body, sent_ms, state, fault = cast(
        "tuple[bytes, bytes, int, str, int, int | None, int | None]", row
    )
    return Letter(
        message_id,
        AccountId(peer),
        bool(outgoing),
        body,
        EpochMs(sent_ms),
        Delivery.DELIVERED if state is None else Delivery(state),
        Fault(fault or 0),
    )


def _owed(row: Row) -> Owed:
    owed_id, peer, fault = cast("tuple[bytes, bytes, int]", row)
    return Owed(owed_id, AccountId(peer), Fault(fault))


def _sealed_columns(sealed: Sealed | None) -> tuple[Value, Value, Value]:
    if sealed is None:
        return (None, None, None)
    return (sealed.envelope_id, sealed.expires_at_ms, sealed.ciphertext)


def _outgoing(row: Row | None) -> Outgoing | None:
    return None if row is None else _as_outgoing(row)


def _as_outgoing(row: Row) -> Outgoing:
    message_id, recipient, plaintext, expires_ms, state, fault, reseals, tries, next_try_ms = cast(
        "tuple[bytes, bytes, bytes, int, int, int, int, int, int]", row[:9]
    )
    return Outgoing(
        message_id,
        AccountId(recipient),
        plaintext,
        EpochMs(expires_ms),
        Delivery(state),
        Fault(fault),
        reseals,
        tries,
        EpochMs(next_try_ms),
        None if row[9] is None else Sealed(*cast("tuple[bytes, EpochMs, bytes]", row[9:])),
    )
