"""Identities: the families that make somebody reachable, with a handle or without one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import handles, identities, work
from abci_chat.state.identities import Identity, LogKind
from abci_chat.state.work import Proof
from dchat.kernel import codec, signing
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs
from dchat.kernel.store import Draft, State

_RELAY: Final = re.compile(r"/[\x21-\x7e]+/p2p/[1-9A-HJ-NP-Za-km-z]{46,64}", re.ASCII)


class AlreadyRegistered(TxRejected):
    """The account has an identity already."""

    code = 202


class BadHomeRelays(TxRejected):
    """Home relays are one to three different multiaddrs that end in /p2p/ and a peer id."""

    code = 204


class WeakInboxKey(TxRejected):
    """The inbox key is of small order or not canonical, so anybody could open the mailbox."""

    code = 205


@dataclass(frozen=True, slots=True)
class RegisterIdentity:
    """Bind the sender's account to an inbox key, home relays and, if it wants one, a handle."""

    handle: str
    """One that an earlier block has a commitment to, or empty."""
    salt: bytes
    """What the commitment was made with; empty where there is no handle."""
    inbox_key: bytes
    home_relays: tuple[str, ...]
    prekey_hash: bytes
    work: Proof = work.NONE


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Give up the sender's identity for good, and its handle with it."""

    work: Proof = work.NONE


@dataclass(frozen=True, slots=True)
class UpdateRelays:
    """Move the sender's mailboxes to other home relays."""

    home_relays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatePrekeys:
    """Commit the sender to another prekey bundle."""

    prekey_hash: bytes


@dataclass(frozen=True, slots=True)
class IdentityRegistered(Event):
    """An account became reachable, by a handle unless that is empty."""

    owner: AccountId
    handle: str


@dataclass(frozen=True, slots=True)
class IdentityDeactivated(Event):
    """An identity was given up for good; its handle, if it had one, is free from then on."""

    owner: AccountId
    handle: str
    handle_free_from_ms: EpochMs


@dataclass(frozen=True, slots=True)
class RelaysUpdated(Event):
    """An identity has other home relays."""

    owner: AccountId


@dataclass(frozen=True, slots=True)
class PrekeysUpdated(Event):
    """An identity has another prekey bundle."""

    owner: AccountId


def check_register(tx: RegisterIdentity) -> None:
    """Apply the rules that need no state.

    Raises: BadHandle, HandleReserved, HandleNotCommitted, BadHomeRelays, WeakInboxKey.
    """
    if tx.handle:
        handles.check(tx.handle)
    if len(tx.salt) != (handles.SALT_BYTES if tx.handle else 0):
        raise handles.HandleNotCommitted("a handle has a salt of 32 bytes, no handle has none")
    _check_relays(tx.home_relays)
    if not signing.is_strong(tx.inbox_key):
        raise WeakInboxKey("the inbox key is of small order or not canonical")


def check_relays(tx: UpdateRelays) -> None:
    """Apply the rules that need no state. Raises: BadHomeRelays."""
    _check_relays(tx.home_relays)


def check_prekeys(tx: UpdatePrekeys) -> None:
    """Accept every commitment: only its owner can open it."""


def check_deactivate(tx: Deactivate) -> None:
    """Accept every form: there is nothing in it."""


def registering(tx: RegisterIdentity) -> bytes:
    """Return the order without its work: what the work is bound to."""
    return REGISTER.shape.encode(replace(tx, work=work.NONE))


def deactivating(tx: Deactivate) -> bytes:
    """Return the order without its work: what the work is bound to."""
    return DEACTIVATE.shape.encode(replace(tx, work=work.NONE))


def _check_relays(relays: tuple[str, ...]) -> None:
    if not relays or any(not _RELAY.fullmatch(relay) for relay in relays):
        raise BadHomeRelays("each is a multiaddr that ends in /p2p/ and a peer id")
    if len(frozenset(relays)) != len(relays):
        raise BadHomeRelays("one is named twice")


def _check_registrable(state: State, tx: RegisterIdentity, ctx: TxContext) -> None:
    if identities.load(state, ctx.sender) is not None:
        raise AlreadyRegistered("the account has an identity already")
    if tx.handle:
        handles.check_claim(state, tx.handle, tx.salt, ctx)


def work_for_registering(state: State, tx: RegisterIdentity, ctx: TxContext) -> int:
    """Return what was worked for a registration that will not be refused.

    Raises: as register(), and NoWork.
    """
    worked = work.check(state, tx.work, registering(tx), ctx)
    _check_registrable(state, tx, ctx)
    return worked


def register(draft: Draft, tx: RegisterIdentity, ctx: TxContext) -> tuple[Event, ...]:
    """Make the sender reachable, and begin its key log.

    Raises: AlreadyRegistered, HandleTaken, HandleResting, HandleNotCommitted, CommitmentExpired,
    UnknownAnchor, TooLittleWork.
    """
    _check_registrable(draft, tx, ctx)
    work.use(draft, tx.work, registering(tx), ctx)
    record = Identity(
        tx.handle, ctx.public_key, tx.inbox_key, tx.home_relays, tx.prekey_hash, ctx.height
    )
    identities.save(draft, ctx.sender, record)
    identities.log(draft, ctx.sender, LogKind.REGISTERED, ctx.public_key, ctx.height)
    if tx.handle:
        handles.claim(draft, tx.handle, ctx.sender)
    return (IdentityRegistered(ctx.sender, tx.handle),)


def work_for_deactivating(state: State, tx: Deactivate, ctx: TxContext) -> int:
    """Return what was worked for a deactivation that will not be refused.

    Raises: as deactivate(), and NoWork.
    """
    worked = work.check(state, tx.work, deactivating(tx), ctx)
    identities.active(state, ctx.sender)
    return worked


def deactivate(draft: Draft, tx: Deactivate, ctx: TxContext) -> tuple[Event, ...]:
    """End the sender's identity: nothing is signed for it any more, and its handle rests.

    Raises: NotRegistered, Deactivated, UnknownAnchor, TooLittleWork.
    """
    before = identities.active(draft, ctx.sender)
    work.use(draft, tx.work, deactivating(tx), ctx)
    logged = identities.log(draft, ctx.sender, LogKind.DEACTIVATED, before.public_key, ctx.height)
    now = ctx.block_time_ms
    identities.save(draft, ctx.sender, replace(logged, handle="", deactivated_at=now))
    free_from = handles.release(draft, before.handle, now) if before.handle else now
    return (IdentityDeactivated(ctx.sender, before.handle, free_from),)


def update_relays(draft: Draft, tx: UpdateRelays, ctx: TxContext) -> tuple[Event, ...]:
    """Replace the sender's home relays. Raises: NotRegistered, Deactivated."""
    record = identities.active(draft, ctx.sender)
    identities.save(draft, ctx.sender, replace(record, home_relays=tx.home_relays))
    return (RelaysUpdated(ctx.sender),)


def update_prekeys(draft: Draft, tx: UpdatePrekeys, ctx: TxContext) -> tuple[Event, ...]:
    """Replace the sender's prekey commitment. Raises: NotRegistered, Deactivated."""
    record = identities.active(draft, ctx.sender)
    identities.save(draft, ctx.sender, replace(record, prekey_hash=tx.prekey_hash))
    return (PrekeysUpdated(ctx.sender),)


REGISTER: Final = Family(
    type=1,
    name="register_identity",
    shape=codec.Record(
        RegisterIdentity,
        handle=identities.HANDLE,
        salt=codec.Blob(handles.SALT_BYTES),
        inbox_key=identities.PUBLIC_KEY,
        home_relays=identities.HOME_RELAYS,
        prekey_hash=identities.PREKEY_HASH,
        work=work.PROOF,
    ),
    cost=Cost(220),
    check=check_register,
    apply=register,
    waive=work_for_registering,
)

UPDATE_RELAYS: Final = Family(
    type=2,
    name="update_relays",
    shape=codec.Record(UpdateRelays, home_relays=identities.HOME_RELAYS),
    cost=Cost(60),
    check=check_relays,
    apply=update_relays,
)

UPDATE_PREKEYS: Final = Family(
    type=3,
    name="update_prekeys",
    shape=codec.Record(UpdatePrekeys, prekey_hash=identities.PREKEY_HASH),
    cost=Cost(60),
    check=check_prekeys,
    apply=update_prekeys,
)

DEACTIVATE: Final = Family(
    type=9,
    name="deactivate_identity",
    shape=codec.Record(Deactivate, work=work.PROOF),
    cost=Cost(165),
    check=check_deactivate,
    apply=deactivate,
    waive=work_for_deactivating,
)
