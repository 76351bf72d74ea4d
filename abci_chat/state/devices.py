"""Devices: keys that sign for an identity beside the account's own.

    ("device", id, device_key)  [added_at, revoked_at]
    ("device_roll", id)         [count, since]

A device key is added once: it signs that it is this account's device, the account's key signs the
transaction. Who was revoked stays so, and a recovery revokes all devices there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_chat import keys
from abci_chat.state import identities
from abci_chat.state.identities import Identity
from dchat.kernel import codec, signing
from dchat.kernel.ids import AccountId, ChainId, Height
from dchat.kernel.store import Draft, State, read

DOMAIN: Final = b"dchat/device/v1"
DEVICE_KEY: Final = codec.Fixed(signing.PUBLIC_KEY_BYTES)
_NEVER: Final = Height(0)


@dataclass(frozen=True, slots=True)
class Device:
    """When a device came, and when it went."""

    added_at: Height
    revoked_at: Height = _NEVER
    """0 for never."""

    def signs_for(self, identity: Identity) -> bool:
        """Tell whether its key counts as the identity's."""
        lasts = not self.revoked_at and self.added_at >= identity.devices_from
        return lasts and not identity.deactivated_at


@dataclass(frozen=True, slots=True)
class _Roll:
    """How many devices there are that were added from a height on and not revoked one by one."""

    count: int
    since: Height


DEVICE: Final = codec.Record(Device, added_at=codec.U64, revoked_at=codec.U64)
_ROLL: Final = codec.Record(_Roll, count=codec.U64, since=codec.U64)


def statement(chain_id: ChainId, account: AccountId, device_key: bytes) -> bytes:
    """Return what a device signs under DOMAIN to become the account's."""
    return codec.pack((chain_id, account, device_key))


def authorises(state: State, account: AccountId, device_key: bytes) -> bool:
    """Tell whether this key signs for the account's identity now.

    The account's own present key does, and every device that is not revoked. For whoever has no
    identity, or gave it up, nothing does.
    """
    identity = identities.load(state, account)
    if identity is None or identity.deactivated_at:
        return False
    if device_key == identity.public_key:
        return True
    device = load(state, account, device_key)
    return device is not None and device.signs_for(identity)


def load(state: State, account: AccountId, device_key: bytes) -> Device | None:
    """Return a device, revoked or not, None where the key never was one."""
    return read(state, keys.device(account, device_key), DEVICE)


def count(state: State, account: AccountId, identity: Identity) -> int:
    """Return how many devices sign for the account's identity, which is this one."""
    roll = read(state, keys.device_roll(account), _ROLL)
    return roll.count if roll and roll.since == identity.devices_from else 0


def add(draft: Draft, account: AccountId, device_key: bytes, height: Height) -> None:
    """Let a key that never was a device sign from now on. Raises: NotRegistered, Deactivated."""
    draft.put(keys.device(account, device_key), DEVICE.encode(Device(height)))
    _count_on(draft, account, 1)


def revoke(draft: Draft, account: AccountId, device_key: bytes, height: Height) -> None:
    """Let a device that signs now do so no more. Raises: NotRegistered, Deactivated."""
    found = load(draft, account, device_key)
    added_at = found.added_at if found else height
    draft.put(keys.device(account, device_key), DEVICE.encode(Device(added_at, height)))
    _count_on(draft, account, -1)


def _count_on(draft: Draft, account: AccountId, by: int) -> None:
    identity = identities.active(draft, account)
    roll = _Roll(count(draft, account, identity) + by, identity.devices_from)
    draft.put(keys.device_roll(account), _ROLL.encode(roll))
