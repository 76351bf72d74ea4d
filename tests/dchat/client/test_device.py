from __future__ import annotations

from pathlib import Path

import pytest

from dchat.client import device
from dchat.client.core import prekeys
from dchat.client.ratchet import Unusable
from dchat.client.store import Store
from dchat.kernel import signing
from dchat.node.identity import Identity
from tests.fakes.people import NOW, Person, identity_of


def test_a_device_has_the_same_keys_after_a_restart(alice: Person) -> None:
    before = alice.bundle

    alice.restart()

    assert alice.bundle == before


def test_a_new_data_directory_has_other_keys(alice: Person, tmp_path: Path) -> None:
    elsewhere = Store.open(tmp_path / "elsewhere", alice.identity.child("store"))

    made = device.prepare(elsewhere, alice.identity, NOW)

    assert made.bundle != alice.contact.bundle
    elsewhere.close()


def test_the_bundle_opens_as_the_accounts_own(alice: Person) -> None:
    assert alice.bundle.identity_key == alice.identity.public_key


def test_another_account_key_signs_the_same_keys_anew_once(alice: Person) -> None:
    old, before = alice.identity, alice.bundle
    fresh = b"n" * 32
    new = Identity(old.kind, signing.public_key(fresh), old.seed, 1, fresh)

    made = device.prepare(alice.store, new, NOW)
    again = device.prepare(alice.store, new, NOW)

    commitment = prekeys.commitment(made.bundle)
    opened = prekeys.open_bundle(made.bundle, alice.id, new.public_key, commitment)
    assert again == made
    assert (opened.device_key, opened.made_at_ms) == (before.device_key, before.made_at_ms)


def test_one_time_keys_open_under_the_bundle(alice: Person) -> None:
    keys = device.one_time_keys(alice.store, alice.id, 50)

    opened = {prekeys.open_one_time_key(key, alice.bundle) for key in keys}

    assert len(opened) == 50


def test_keys_not_known_to_be_published_come_again_after_a_restart(alice: Person) -> None:
    before = device.one_time_keys(alice.store, alice.id, 50)

    alice.restart()

    assert device.one_time_keys(alice.store, alice.id, 50) == before


def test_published_keys_never_come_again(alice: Person) -> None:
    before = device.one_time_keys(alice.store, alice.id, 50)

    device.mark_published(alice.store)

    assert set(before).isdisjoint(device.one_time_keys(alice.store, alice.id, 50))


def test_a_store_without_a_device_has_no_keys_to_give(tmp_path: Path) -> None:
    store = Store.open(tmp_path, bytes(32))

    with pytest.raises(Unusable):
        device.one_time_keys(store, identity_of("alice").account_id, 1)

    store.close()


def test_secrets_are_not_shown(alice: Person) -> None:
    kept = alice.store.device()

    assert kept is not None
    assert kept.account not in repr(kept)
    assert repr(kept.sealing_seed) not in repr(kept)
