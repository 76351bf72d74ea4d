"""This device's keys: made once, published, topped up.

The bundle is signed when the keys are made and never changes after, so the chain's commitment to
it holds until the data directory is lost or a new device takes over.
"""

from __future__ import annotations

import secrets

from dchat.client import sealing
from dchat.client.core import prekeys
from dchat.client.core.prekeys import Bundle
from dchat.client.ratchet import Account, Unusable
from dchat.client.store import Device, Store
from dchat.kernel.ids import AccountId, EpochMs
from dchat.node.identity import Identity


def prepare(store: Store, identity: Identity, now_ms: EpochMs) -> Device:
    """Return this device's keys, made and kept if there were none."""
    with store.transaction():
        device = store.device()
        if device is None:
            device = _make(store, identity, now_ms)
            store.save_device(device)
        return device


def one_time_keys(store: Store, owner: AccountId, count: int) -> tuple[bytes, ...]:
    """Return signed one-time keys to publish, at least `count` up to 50; their secrets are kept."""
    with store.transaction():
        device = _own(store)
        account = Account.thaw(device.account, store.pickle_key)
        keys = account.one_time_keys(owner, count)
        save_account(store, device, account)
        return keys


def mark_published(store: Store) -> None:
    """Remember that a relay has every one-time key that was made so far."""
    with store.transaction():
        device = _own(store)
        account = Account.thaw(device.account, store.pickle_key)
        account.mark_published()
        save_account(store, device, account)


def save_account(store: Store, device: Device, account: Account) -> None:
    """Keep the account's present state."""
    frozen = account.freeze(store.pickle_key)
    store.save_device(Device(frozen, device.sealing_seed, device.bundle))


def _own(store: Store) -> Device:
    device = store.device()
    if device is None:
        raise Unusable("this device has no keys yet")
    return device


def _make(store: Store, identity: Identity, now_ms: EpochMs) -> Device:
    account = Account.create()
    seed = secrets.token_bytes(sealing.SEED_BYTES)
    unsigned = Bundle(
        version=prekeys.VERSION,
        identity=identity.account_id,
        identity_key=identity.public_key,
        device_key=account.device_key,
        ratchet_key=account.ratchet_key,
        fallback_key=account.fallback_key or b"",
        sealing_key=sealing.public_key(seed),
        made_at_ms=now_ms,
        signature=bytes(64),
    )
    account.mark_published()
    bundle = prekeys.encode_bundle(prekeys.sign_bundle(unsigned, identity.child("account")))
    return Device(account.freeze(store.pickle_key), seed, bundle)
