"""This device's keys: made once, published, topped up.

The bundle is signed when the keys are made, and anew when the account has another key. The chain's
commitment to it holds until then, or until the data directory is lost or a new device takes over.
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
    """Return this device's keys, which the account's present key vouches for.

    They are made and kept if there were none, and signed anew if the account has another key.
    """
    with store.transaction():
        kept = store.device()
        device = _make(store, identity, now_ms) if kept is None else _renewed(kept, identity)
        if device != kept:
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


def _renewed(kept: Device, identity: Identity) -> Device:
    seed = identity.account_seed
    bundle = prekeys.renew_bundle(kept.bundle, identity.public_key, seed)
    return Device(kept.account, kept.sealing_seed, bundle)


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
    bundle = prekeys.encode_bundle(prekeys.sign_bundle(unsigned, identity.account_seed))
    return Device(account.freeze(store.pickle_key), seed, bundle)
