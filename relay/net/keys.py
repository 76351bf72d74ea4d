"""Prekey bundles and one-time keys on disk; each one-time key is given away exactly once."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

from dchat.kernel.ids import EpochMs
from relay.core.jobs import (
    AddKeys,
    Found,
    GetBundle,
    KeysHeld,
    NoRoom,
    NotThere,
    PutBundle,
    TakeKey,
)
from relay.core.limits import Limits
from relay.core.refusals import Refusal

KeyJob = PutBundle | AddKeys | GetBundle | TakeKey
KeyOutcome = KeysHeld | NoRoom | Found | NotThere

MEMORY_PER_KEY: Final = 10
"""Keys given away that an inbox remembers, so that a repeated put does not bring them back, as a
multiple of `max_one_time_keys`; the oldest are forgotten first."""


class KeyRack:
    """The part of the store that serves keys; runs inside the store's transactions."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._db = connection
        self._limits = limits

    def do(self, job: KeyJob) -> KeyOutcome:
        """Do one job in the open transaction."""
        match job:
            case PutBundle():
                return self._put_bundle(job)
            case AddKeys():
                return self._add_keys(job)
            case GetBundle():
                return self._get_bundle(job)
            case TakeKey():
                return self._take_key(job)

    def forget(self, before: EpochMs) -> None:
        """Delete inboxes not touched since `before`, and the memory of keys taken before it."""
        self._db.execute(
            "DELETE FROM one_time_keys WHERE inbox_key IN"
            " (SELECT inbox_key FROM inboxes WHERE touched_at_ms < ?)",
            (before,),
        )
        self._db.execute("DELETE FROM inboxes WHERE touched_at_ms < ?", (before,))
        self._db.execute("DELETE FROM one_time_keys WHERE taken_at_ms < ?", (before,))

    def _put_bundle(self, job: PutBundle) -> KeysHeld | NoRoom:
        if not self._touch(job.inbox_key, job.now):
            return NoRoom(Refusal.TOO_MANY_INBOXES)
        self._db.execute(
            "UPDATE inboxes SET bundle = ? WHERE inbox_key = ?", (job.bundle, job.inbox_key)
        )
        return KeysHeld(self._left(job.inbox_key))

    def _add_keys(self, job: AddKeys) -> KeysHeld | NoRoom:
        marks = {_mark(key): key for key in job.keys}
        fresh = {mark: key for mark, key in marks.items() if not self._knows(job.inbox_key, mark)}
        if self._left(job.inbox_key) + len(fresh) > self._limits.max_one_time_keys:
            return NoRoom(Refusal.TOO_MANY_KEYS)
        if not self._touch(job.inbox_key, job.now):
            return NoRoom(Refusal.TOO_MANY_INBOXES)
        self._db.executemany(
            "INSERT INTO one_time_keys(inbox_key, mark, one_time_key) VALUES(?, ?, ?)",
            [(job.inbox_key, mark, key) for mark, key in fresh.items()],
        )
        self._forget_oldest(job.inbox_key)
        return KeysHeld(self._left(job.inbox_key))

    def _get_bundle(self, job: GetBundle) -> Found | NotThere:
        row = self._db.execute(
            "SELECT bundle FROM inboxes WHERE inbox_key = ? AND bundle IS NOT NULL",
            (job.inbox_key,),
        ).fetchone()
        return Found(row[0]) if row else NotThere()

    def _take_key(self, job: TakeKey) -> Found | NotThere:
        row = self._db.execute(
            "SELECT sequence, one_time_key FROM one_time_keys"
            " WHERE inbox_key = ? AND one_time_key IS NOT NULL ORDER BY sequence LIMIT 1",
            (job.inbox_key,),
        ).fetchone()
        if row is None:
            return NotThere()
        self._db.execute(
            "UPDATE one_time_keys SET one_time_key = NULL, taken_at_ms = ? WHERE sequence = ?",
            (job.now, row[0]),
        )
        return Found(row[1])

    def _touch(self, inbox_key: bytes, now: EpochMs) -> bool:
        touched = self._db.execute(
            "UPDATE inboxes SET touched_at_ms = ? WHERE inbox_key = ?", (now, inbox_key)
        )
        if touched.rowcount:
            return True
        (inboxes,) = self._db.execute("SELECT count(*) FROM inboxes").fetchone()
        if inboxes >= self._limits.max_inboxes:
            return False
        self._db.execute(
            "INSERT INTO inboxes(inbox_key, touched_at_ms) VALUES(?, ?)", (inbox_key, now)
        )
        return True

    def _knows(self, inbox_key: bytes, mark: bytes) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM one_time_keys WHERE inbox_key = ? AND mark = ?", (inbox_key, mark)
        ).fetchone()
        return row is not None

    def _forget_oldest(self, inbox_key: bytes) -> None:
        self._db.execute(
            "DELETE FROM one_time_keys WHERE sequence IN (SELECT sequence FROM one_time_keys"
            " WHERE inbox_key = ? AND one_time_key IS NULL ORDER BY sequence DESC LIMIT -1"
            " OFFSET ?)",
            (inbox_key, self._limits.max_one_time_keys * MEMORY_PER_KEY),
        )

    def _left(self, inbox_key: bytes) -> int:
        (left,) = self._db.execute(
            "SELECT count(*) FROM one_time_keys WHERE inbox_key = ? AND one_time_key IS NOT NULL",
            (inbox_key,),
        ).fetchone()
        return int(left)


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"dchat/one-time-key/v1" + key).digest()
