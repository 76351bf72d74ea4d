"""Identities: the families that make somebody reachable by a handle."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import handles, identities
from abci_chat.state.identities import Identity
from dchat.kernel import codec, signing
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.machine import Event, Family, TxContext
from dchat.kernel.store import Draft

_HANDLE: Final = re.compile(r"[a-z0-9_]{3,32}", re.ASCII)
_RELAY: Final = re.compile(r"/[\x21-\x7e]+/p2p/[1-9A-HJ-NP-Za-km-z]{46,64}", re.ASCII)


class BadHandle(TxRejected):
    """A handle is 3 to 32 of a-z, 0-9 and the underscore."""

    code = 200


class HandleTaken(TxRejected):
    """Somebody else registered the handle."""

    code = 201


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
    """Bind the sender's account to a handle, an inbox key and home relays."""

    handle: str
    inbox_key: bytes
    home_relays: tuple[str, ...]
    prekey_hash: bytes


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
    """An account became reachable by a handle."""

    owner: AccountId
    handle: str


@dataclass(frozen=True, slots=True)
class RelaysUpdated(Event):
    """An identity has other home relays."""

    owner: AccountId


@dataclass(frozen=True, slots=True)
class PrekeysUpdated(Event):
    """An identity has another prekey bundle."""

    owner: AccountId


def check_handle(handle: str) -> None:
    """Return if the handle has an allowed form. Raises: BadHandle."""
    if not _HANDLE.fullmatch(handle):
        raise BadHandle(f"{handle!r} is no handle")


def check_register(tx: RegisterIdentity) -> None:
    """Apply the rules that need no state. Raises: BadHandle, BadHomeRelays, WeakInboxKey."""
    check_handle(tx.handle)
    _check_relays(tx.home_relays)
    if not signing.is_strong(tx.inbox_key):
        raise WeakInboxKey("the inbox key is of small order or not canonical")


def check_relays(tx: UpdateRelays) -> None:
    """Apply the rules that need no state. Raises: BadHomeRelays."""
    _check_relays(tx.home_relays)


def check_prekeys(tx: UpdatePrekeys) -> None:
    """Accept every commitment: only its owner can open it."""


def _check_relays(relays: tuple[str, ...]) -> None:
    if not relays or any(not _RELAY.fullmatch(relay) for relay in relays):
        raise BadHomeRelays("each is a multiaddr that ends in /p2p/ and a peer id")
    if len(frozenset(relays)) != len(relays):
        raise BadHomeRelays("one is named twice")


def register(draft: Draft, tx: RegisterIdentity, ctx: TxContext) -> tuple[Event, ...]:
    """Make the sender reachable by the handle. Raises: AlreadyRegistered, HandleTaken."""
    if identities.load(draft, ctx.sender) is not None:
        raise AlreadyRegistered("the account has an identity already")
    if handles.owner(draft, tx.handle) is not None:
        raise HandleTaken(f"{tx.handle!r} belongs to somebody else")
    record = Identity(
        tx.handle, ctx.public_key, tx.inbox_key, tx.home_relays, tx.prekey_hash, ctx.height
    )
    identities.save(draft, ctx.sender, record)
    handles.claim(draft, tx.handle, ctx.sender)
    return (IdentityRegistered(ctx.sender, tx.handle),)


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
        inbox_key=identities.PUBLIC_KEY,
        home_relays=identities.HOME_RELAYS,
        prekey_hash=identities.PREKEY_HASH,
    ),
    cost=Cost(150),
    check=check_register,
    apply=register,
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
