"""Guardians: families that name who may recover an identity, and take a change of them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.params import IDENTITIES
from abci_chat.state import guardians, identities
from abci_chat.state.guardians import Panel
from abci_chat.state.identities import LogKind
from dchat.kernel import codec
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs
from dchat.kernel.store import Draft


class BadGuardians(TxRejected):
    """Guardians are up to 15 other accounts in ascending order, of whom one or more is enough."""

    code = 234


class NoChangePending(TxRejected):
    """No change of guardians waits."""

    code = 235


@dataclass(frozen=True, slots=True)
class SetGuardians:
    """Let these accounts recover the sender's identity once the delay is over, and no others."""

    members: tuple[AccountId, ...]
    """In strictly ascending order; nobody for no recovery at all."""
    threshold: int
    """How many of them it takes; 0 where there are none."""


@dataclass(frozen=True, slots=True)
class CancelGuardians:
    """Keep the sender's guardians in place of those that wait."""


@dataclass(frozen=True, slots=True)
class GuardiansAnnounced(Event):
    """An identity will have these guardians unless its owner cancels the change."""

    owner: AccountId
    panel: bytes
    """As its key log calls them."""
    at: EpochMs


@dataclass(frozen=True, slots=True)
class GuardiansKept(Event):
    """An identity keeps its guardians: a change was cancelled."""

    owner: AccountId
    panel: bytes


def check_set(tx: SetGuardians) -> None:
    """Apply the rules that need no state. Raises: BadGuardians."""
    if not guardians.is_sound(Panel(tx.members, tx.threshold)):
        raise BadGuardians("each once, in ascending order; the threshold is 1 to their number")


def check_cancel(tx: CancelGuardians) -> None:
    """Accept it: only the state knows whether anything waits."""


def set_(draft: Draft, tx: SetGuardians, ctx: TxContext) -> tuple[Event, ...]:
    """Announce the guardians and log them. Raises: NotRegistered, Deactivated, BadGuardians."""
    owner, panel = ctx.sender, Panel(tx.members, tx.threshold)
    if owner in panel.members:
        raise BadGuardians("nobody guards himself: who lost his key cannot approve")
    named = guardians.commitment(owner, panel)
    identities.log(draft, owner, LogKind.GUARDIANS_SET, named, ctx.height)
    at = EpochMs(ctx.block_time_ms + IDENTITIES.load(draft).guardian_delay_ms)
    guardians.announce(draft, owner, panel, ctx.block_time_ms, at)
    return (GuardiansAnnounced(owner, named, at),)


def cancel(draft: Draft, _: CancelGuardians, ctx: TxContext) -> tuple[Event, ...]:
    """Drop the change that waits, and log who stays.

    Raises: NotRegistered, Deactivated, NoChangePending.
    """
    owner, now = ctx.sender, ctx.block_time_ms
    identities.active(draft, owner)
    if not guardians.load(draft, owner, now).pending_at:
        raise NoChangePending("the guardians of this identity stay as they are")
    kept = guardians.commitment(owner, guardians.cancel(draft, owner, now))
    identities.log(draft, owner, LogKind.GUARDIANS_SET, kept, ctx.height)
    return (GuardiansKept(owner, kept),)


SET: Final = Family(
    type=13,
    name="set_guardians",
    shape=codec.Record(SetGuardians, members=guardians.MEMBERS, threshold=codec.U64),
    cost=Cost(130),
    check=check_set,
    apply=set_,
    cost_per_entry=Cost(1),
)

CANCEL: Final = Family(
    type=14,
    name="cancel_guardians",
    shape=codec.Record(CancelGuardians),
    cost=Cost(120),
    check=check_cancel,
    apply=cancel,
)

FAMILIES: Final = (SET, CANCEL)
