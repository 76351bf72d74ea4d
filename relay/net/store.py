"""The relay's disk: jobs in, outcomes out, a whole batch in one synced transaction.

Synchronous and for one thread at a time; `pump.py` is what calls it from trio.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from dchat.kernel.ids import EpochMs
from dchat.node import log
from relay.core.envelope import Place
from relay.core.jobs import (
    Clear,
    Cleared,
    Failed,
    IdTaken,
    Job,
    Keep,
    Kept,
    Outcome,
    PageRead,
    Prune,
    Pruned,
    ReadPage,
)
from relay.core.limits import Limits
from relay.core.messages import MAX_PAGE_BYTES, Item
from relay.net import schema
from relay.net.keys import KeyRack

_log = log.get(__name__)

VACUUM_PAGES = 4_096
"""Free pages given back to the file system per pruning, so that one sweep stays short."""


class Store:
    """Envelopes, tombstones, bundles and one-time keys in one SQLite file.

    The file is checked on opening and created where absent. Raises: DatabaseUnusable.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        connection = schema.open_database(path)
        self._path = path
        self._db = connection
        self._limits = limits
        self._rack = KeyRack(connection, limits)

    def close(self) -> None:
        """Close the file; nothing is pending."""
        self._db.close()

    def places(self) -> Iterator[tuple[Place, int]]:
        """Yield the place and size class of every envelope."""
        rows = self._db.execute("SELECT mailbox_id, message_id, size_class FROM envelopes")
        for mailbox, message, size_class in rows:
            yield (mailbox, message), size_class

    def run(self, batch: Sequence[Job]) -> list[Outcome]:
        """Do all jobs, or none where the disk refuses; what they wrote is on disk on return.

        Raises: DatabaseUnusable if the file turns out to be damaged.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = [self._do(job) for job in batch]
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as fault:
            _log.error("store_failed", jobs=len(batch), fault=str(fault))
            self._roll_back()
            return [Failed() for _ in batch]
        except sqlite3.DatabaseError as fault:
            raise schema.damaged(self._path, str(fault)) from fault
        if any(isinstance(job, Prune) for job in batch):
            self._shrink()
        return outcomes

    def _roll_back(self) -> None:
        # SQLite has already rolled back by itself after some faults, among them a full disk.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _shrink(self) -> None:
        try:
            # execute() would free one page: this pragma goes on only while it is stepped.
            self._db.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES:d})")
        except sqlite3.OperationalError as fault:
            _log.warning("vacuum_failed", fault=str(fault))

    def _do(self, job: Job) -> Outcome:
        match job:
            case Keep():
                return self._keep(job)
            case ReadPage():
                return self._read_page(job)
            case Clear():
                acked = sum(self._bury(job.mailbox_id, name) for name in job.acked)
                nacked = sum(self._bury(job.mailbox_id, name) for name in job.nacked)
                return Cleared(acked, nacked)
            case Prune():
                return self._prune(job.now)
            case _:
                return self._rack.do(job)

    def _keep(self, job: Keep) -> Kept | IdTaken:
        envelope = job.envelope
        known = self._find(job)
        if known is not None:
            return known
        self._db.execute(
            "INSERT INTO envelopes(mailbox_id, message_id, expires_at_ms, accepted_at_ms,"
            " size_class, ciphertext_hash, ciphertext) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (
                envelope.mailbox_id,
                envelope.message_id,
                envelope.expires_at_ms,
                job.accepted_at_ms,
                envelope.size_class,
                job.ciphertext_hash,
                envelope.ciphertext,
            ),
        )
        return Kept(job.accepted_at_ms, is_new=True, is_present=True)

    def _find(self, job: Keep) -> Kept | IdTaken | None:
        wanted = job.envelope.expires_at_ms, job.ciphertext_hash
        row = self._db.execute(
            "SELECT expires_at_ms, ciphertext_hash, accepted_at_ms FROM envelopes"
            " WHERE mailbox_id = ? AND message_id = ?",
            job.place,
        ).fetchone()
        is_present = row is not None
        if row is None:
            row = self._db.execute(
                "SELECT expires_at_ms, ciphertext_hash, accepted_at_ms FROM tombstones"
                " WHERE mark = ?",
                (_mark(job.place),),
            ).fetchone()
        if row is None:
            return None
        if row[:2] != wanted:
            return IdTaken(is_present)
        return Kept(EpochMs(row[2]), is_new=False, is_present=is_present)

    def _read_page(self, job: ReadPage) -> PageRead:
        rows = self._db.execute(
            "SELECT sequence, message_id, expires_at_ms, ciphertext FROM envelopes"
            " WHERE mailbox_id = ? AND sequence > ? AND expires_at_ms > ?"
            " ORDER BY sequence LIMIT ?",
            (job.mailbox_id, job.cursor, job.now, job.limit + 1),
        )
        items: list[Item] = []
        cursor, size = job.cursor, 0
        for sequence, message_id, expires_at_ms, ciphertext in rows:
            size += len(ciphertext)
            if len(items) == job.limit or size > MAX_PAGE_BYTES:
                return PageRead(tuple(items), cursor, more=True)
            items.append(Item(message_id, expires_at_ms, ciphertext))
            cursor = sequence
        return PageRead(tuple(items), cursor, more=False)

    def _bury(self, mailbox: bytes, message: bytes) -> bool:
        row = self._db.execute(
            "DELETE FROM envelopes WHERE mailbox_id = ? AND message_id = ?"
            " RETURNING expires_at_ms, accepted_at_ms, ciphertext_hash",
            (mailbox, message),
        ).fetchone()
        if row is None:
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO tombstones(mark, expires_at_ms, accepted_at_ms,"
            " ciphertext_hash) VALUES(?, ?, ?, ?)",
            (_mark((mailbox, message)), *row),
        )
        return True

    def _prune(self, now: EpochMs) -> Pruned:
        gone = self._db.execute(
            "DELETE FROM envelopes WHERE expires_at_ms <= ? RETURNING mailbox_id, message_id",
            (now,),
        ).fetchall()
        # From its expiry on an envelope is refused at the door, so its tombstone has no more use.
        self._db.execute("DELETE FROM tombstones WHERE expires_at_ms <= ?", (now,))
        self._db.execute(
            "DELETE FROM tombstones WHERE mark IN (SELECT mark FROM tombstones"
            " ORDER BY expires_at_ms DESC LIMIT -1 OFFSET ?)",
            (self._limits.tombstones_per_message * self._limits.max_queue_size,),
        )
        self._rack.forget(EpochMs(now - self._limits.key_memory_ms))
        return Pruned(tuple((mailbox, message) for mailbox, message in gone))


def _mark(place: Place) -> bytes:
    """Name a place without naming its mailbox."""
    return hashlib.sha256(b"dchat/tombstone/v1" + place[0] + place[1]).digest()
