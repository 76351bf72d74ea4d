"""Guardians: who may give an identity another key together, when its owner lost the old one.

    ("guardians", id)  [panel, since, next panel, next_at, vetoed_at]
    a panel            [[guardian, …], threshold]

Every change of guardians waits for a delay, the first one too: whoever finds an unlocked machine
cannot put his friends in the place of the owner's before the owner sees it. When a change comes
into force follows from the block time; nothing is written then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import Final

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.ids import AccountId, EpochMs, Height
from dchat.kernel.store import Draft, State, read

MAX_GUARDIANS: Final = 15
MEMBERS: Final = codec.ListOf(ACCOUNT_ID, MAX_GUARDIANS)
_TAG: Final = b"dchat/guardians/v1"
_NEVER: Final = EpochMs(0)
_NO_HEIGHT: Final = Height(0)


@dataclass(frozen=True, slots=True)
class Panel:
    """Guardians, and how many of them it takes; nobody and 0 where there are none."""

    members: tuple[AccountId, ...]
    """In strictly ascending order."""
    threshold: int


PANEL: Final = codec.Record(Panel, members=MEMBERS, threshold=codec.U64)
NOBODY: Final = Panel((), 0)


@dataclass(frozen=True, slots=True)
class Guardians:
    """An identity's guardians, now and soon."""

    panel: Panel = NOBODY
    since: EpochMs = _NEVER
    """From when on the panel is in force: what guardians approved before counts no more."""
    pending: Panel = NOBODY
    pending_at: EpochMs = _NEVER
    """When the pending panel takes its place; 0 where none is pending."""
    vetoed_at: Height = _NO_HEIGHT
    """What was approved in this block or before counts no more."""

    def encode(self) -> bytes:
        """Return the record as the state keeps it."""
        return GUARDIANS.encode(self)

    def at(self, now: EpochMs) -> Guardians:
        """Return the same with what is in force at that time."""
        if not self.pending_at or self.pending_at > now:
            return self
        return Guardians(self.pending, self.pending_at, vetoed_at=self.vetoed_at)


GUARDIANS: Final = codec.Record(
    Guardians,
    panel=PANEL,
    since=codec.U64,
    pending=PANEL,
    pending_at=codec.U64,
    vetoed_at=codec.U64,
)
_NONE: Final = Guardians()


def is_sound(panel: Panel) -> bool:
    """Tell whether members ascend and are as many as it takes at least, or there are none."""
    members = panel.members
    if not members:
        return panel.threshold == 0
    ascending = all(a < b for a, b in pairwise(members))
    return ascending and 1 <= panel.threshold <= len(members)


def commitment(owner: AccountId, panel: Panel) -> bytes:
    """Return what the key log calls a panel of the owner's."""
    return sha256(_TAG + codec.pack((owner, panel.members, panel.threshold))).digest()


def load(state: State, owner: AccountId, now: EpochMs) -> Guardians:
    """Return the owner's guardians as they are in force now, and what is pending."""
    return (read(state, keys.guardians(owner), GUARDIANS) or _NONE).at(now)


def announce(draft: Draft, owner: AccountId, panel: Panel, now: EpochMs, at: EpochMs) -> None:
    """Let the panel be in force from `at` on, in place of whatever is pending."""
    held = load(draft, owner, now)
    draft.put(keys.guardians(owner), replace(held, pending=panel, pending_at=at))


def cancel(draft: Draft, owner: AccountId, now: EpochMs) -> Panel:
    """Drop what is pending; return the panel that stays."""
    held = load(draft, owner, now)
    draft.put(keys.guardians(owner), replace(held, pending=NOBODY, pending_at=_NEVER))
    return held.panel


def veto(draft: Draft, owner: AccountId, now: EpochMs, height: Height) -> None:
    """Let nothing count that was approved up to this height."""
    held = load(draft, owner, now)
    draft.put(keys.guardians(owner), replace(held, vetoed_at=height))
