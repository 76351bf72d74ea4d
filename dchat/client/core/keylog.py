"""Key logs: what became of the keys of an identity, checked from its first key to its last.

An identity's record names the last entry of its log by hash, and every entry the one before. Who
has the record with its proof can take the entries from anybody: a log that holds is the whole truth
of that height, with nothing left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from abci_chat.state.identities import EMPTY_LOG, Identity, LogEntry, LogKind, entry_hash
from dchat.kernel.errors import RemoteProtocolError

SIGNS: Final = frozenset({LogKind.REGISTERED, LogKind.ROTATED, LogKind.RECOVERED})
"""Entries whose key signs for the account from there on."""

_WORDS: Final = MappingProxyType(
    {
        LogKind.ROTATED: "the key before signed it over",
        LogKind.RECOVERED: "guardians gave it, with all devices revoked,",
    }
)


class BrokenLog(RemoteProtocolError):
    """The entries are not the log that the identity's record names, or contradict each other."""


@dataclass(frozen=True, slots=True)
class History:
    """What a whole log tells."""

    entries: tuple[LogEntry, ...]
    devices: tuple[bytes, ...]
    """Keys that sign beside the account's, in the order in which they came."""

    @property
    def keys(self) -> tuple[LogEntry, ...]:
        """Return the entries by which the account got a key, the first at its registration."""
        return tuple([entry for entry in self.entries if entry.kind in SIGNS])

    def since(self, public_key: bytes) -> tuple[LogEntry, ...]:
        """Return the keys that came after that one; all where it never was the account's."""
        known = [at for at, entry in enumerate(self.keys) if entry.key == public_key]
        return self.keys[known[-1] + 1 :] if known else self.keys


def audit(record: Identity, entries: Sequence[LogEntry]) -> History:
    """Return what the whole log of a proved record tells. Raises: BrokenLog."""
    _check_chain(record, entries)
    _check_order(entries)
    history = History(tuple(entries), _devices(entries))
    if not history.keys or history.keys[-1].key != record.public_key:
        raise BrokenLog("the log's last key is not the identity's")
    return history


def in_words(entries: Sequence[LogEntry]) -> str:
    """Return how an account came by keys that were new to us; these are what `since` returns."""
    if not entries or entries[0].kind is LogKind.REGISTERED:
        return "the key that we knew never was this account's"
    return ", then ".join([f"{_WORDS[entry.kind]} in block {entry.height}" for entry in entries])


def _check_chain(record: Identity, entries: Sequence[LogEntry]) -> None:
    if len(entries) != record.log_length:
        raise BrokenLog(f"{len(entries)} entries of {record.log_length}")
    head = EMPTY_LOG
    for number, entry in enumerate(entries):
        if entry.previous != head:
            raise BrokenLog(f"entry {number} does not follow on the one before")
        head = entry_hash(entry)
    if head != record.log_head:
        raise BrokenLog("the last entry is not the one that the identity names")


def _check_order(entries: Sequence[LogEntry]) -> None:
    for number, entry in enumerate(entries):
        if (entry.kind is LogKind.REGISTERED) != (number == 0):
            raise BrokenLog(f"entry {number}: an identity registers once, at first")
        if number and entry.height < entries[number - 1].height:
            raise BrokenLog(f"entry {number} is older than the one before")
        if number and entries[number - 1].kind is LogKind.DEACTIVATED:
            raise BrokenLog(f"entry {number} comes after the identity was given up")


def _devices(entries: Sequence[LogEntry]) -> tuple[bytes, ...]:
    """Return the devices that are left. Raises: BrokenLog."""
    left: dict[bytes, bool] = {}
    for number, entry in enumerate(entries):
        if entry.kind is LogKind.DEVICE_ADDED and entry.key not in left:
            left[entry.key] = True
        elif entry.kind is LogKind.DEVICE_REVOKED and left.get(entry.key):
            left[entry.key] = False
        elif entry.kind in (LogKind.DEVICE_ADDED, LogKind.DEVICE_REVOKED):
            raise BrokenLog(f"entry {number}: a device comes once and goes once")
        elif entry.kind in (LogKind.RECOVERED, LogKind.DEACTIVATED):
            left = dict.fromkeys(left, False)
    return tuple([key for key, signs in left.items() if signs])
