"""Devices: families that let another key sign for an identity, and take that back.

Who has no credits revokes by work in place of the fee, so that it is possible always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat.params import IDENTITIES
from abci_chat.state import devices, identities, work
from abci_chat.state.identities import LogKind
from abci_chat.state.work import Proof
from dchat.kernel import codec, signing
from dchat.kernel.errors import TxRejected, WeakKey
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.store import Draft, State


class UnknownDevice(TxRejected):
    """The key is no device of the identity, or none any more."""

    code = 230


class DeviceKnown(TxRejected):
    """The key is a device of the identity, or was one, or is the account's own."""

    code = 231


class TooManyDevices(TxRejected):
    """The identity has as many devices as it may. Attribute: limit."""

    code = 232

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} devices are the most at a time")
        self.limit = limit


class BadDeviceProof(TxRejected):
    """The device's key has not signed that it is this account's device on this chain."""

    code = 233


@dataclass(frozen=True, slots=True)
class AddDevice:
    """Let a device sign for the sender's identity."""

    device_key: bytes
    """Ed25519."""
    proof: bytes
    """The device's signature over `devices.statement`."""


@dataclass(frozen=True, slots=True)
class RevokeDevice:
    """Let a device of the sender's sign no more."""

    device_key: bytes
    work: Proof = work.NONE
    """In place of a fee."""


@dataclass(frozen=True, slots=True)
class DeviceAdded(Event):
    """A device signs for an identity."""

    owner: AccountId
    device_key: bytes


@dataclass(frozen=True, slots=True)
class DeviceRevoked(Event):
    """A device signs for an identity no more."""

    owner: AccountId
    device_key: bytes


def check_add(tx: AddDevice) -> None:
    """Apply the rules that need no state. Raises: WeakKey."""
    if not signing.is_strong(tx.device_key):
        raise WeakKey("small order or not canonical")


def check_revoke(tx: RevokeDevice) -> None:
    """Accept every key: only the state knows which are devices."""


def add(draft: Draft, tx: AddDevice, ctx: TxContext) -> tuple[Event, ...]:
    """Add the device and log it.

    Raises: NotRegistered, Deactivated, DeviceKnown, TooManyDevices, BadDeviceProof.
    """
    owner, key = ctx.sender, tx.device_key
    identity = identities.active(draft, owner)
    if key == identity.public_key or devices.load(draft, owner, key) is not None:
        raise DeviceKnown("a device key is added once, and the account's own needs not be")
    limit = IDENTITIES.load(draft).max_devices
    if devices.count(draft, owner, identity) >= limit:
        raise TooManyDevices(limit)
    _check_proof(tx, ctx)
    devices.add(draft, owner, key, ctx.height)
    identities.log(draft, owner, LogKind.DEVICE_ADDED, key, ctx.height)
    return (DeviceAdded(owner, key),)


def _check_proof(tx: AddDevice, ctx: TxContext) -> None:
    statement = devices.statement(ctx.chain_id, ctx.sender, tx.device_key)
    try:
        signing.verify(tx.device_key, devices.DOMAIN, statement, tx.proof)
    except signing.SignatureInvalid:
        raise BadDeviceProof(
            f"not the device's signature as one of this account on {ctx.chain_id}"
        ) from None


def revocation(device_key: bytes) -> bytes:
    """Return what work in place of the fee is done over; see `work.task`."""
    return codec.pack(("revoke_device", device_key))


def worked(state: State, tx: RevokeDevice, ctx: TxContext) -> int:
    """Return what was worked for a revocation that will not be refused.

    Raises: as revoke(), and NoWork.
    """
    done = work.check(state, tx.work, revocation(tx.device_key), ctx)
    _check_signs(state, tx, ctx)
    return done


def _check_signs(state: State, tx: RevokeDevice, ctx: TxContext) -> None:
    identity = identities.active(state, ctx.sender)
    found = devices.load(state, ctx.sender, tx.device_key)
    if found is None or not found.signs_for(identity):
        raise UnknownDevice("it is no device of this identity, or none any more")


def revoke(draft: Draft, tx: RevokeDevice, ctx: TxContext) -> tuple[Event, ...]:
    """Revoke the device and log it.

    Raises: NotRegistered, Deactivated, UnknownDevice, UnknownAnchor, TooLittleWork.
    """
    owner, key = ctx.sender, tx.device_key
    _check_signs(draft, tx, ctx)
    work.use(draft, tx.work, revocation(key), ctx)
    devices.revoke(draft, owner, key, ctx.height)
    identities.log(draft, owner, LogKind.DEVICE_REVOKED, key, ctx.height)
    return (DeviceRevoked(owner, key),)


ADD: Final = Family(
    type=11,
    name="add_device",
    shape=codec.Record(
        AddDevice, device_key=devices.DEVICE_KEY, proof=codec.Fixed(signing.SIGNATURE_BYTES)
    ),
    cost=Cost(250),
    check=check_add,
    apply=add,
)

REVOKE: Final = Family(
    type=12,
    name="revoke_device",
    shape=codec.Record(RevokeDevice, device_key=devices.DEVICE_KEY, work=work.PROOF),
    cost=Cost(130),
    check=check_revoke,
    apply=revoke,
    waive=worked,
)

FAMILIES: Final = (ADD, REVOKE)
