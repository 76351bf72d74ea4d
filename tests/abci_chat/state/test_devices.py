from __future__ import annotations

from dataclasses import replace

from abci_chat.state import devices, identities
from abci_chat.state.devices import Device
from abci_chat.txs import device, rotate_key
from abci_chat.txs.device import RevokeDevice
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.rotation import prove
from tests.fakes.guarded import ERIN, NEW, PHONE, Chain, opened, with_device
from tests.fakes.memory import ALICE, BOB, CHAIN, Person


def signs(chain: Chain, key: Person, who: Person = ALICE) -> bool:
    return devices.authorises(chain.state, who.id, key.public_key)


def test_the_accounts_own_key_signs_for_its_identity() -> None:
    assert signs(opened(), ALICE)


def test_a_key_that_is_neither_the_accounts_nor_a_devices_does_not() -> None:
    assert not signs(opened(), PHONE)


def test_a_device_signs_for_the_identity_that_added_it_and_no_other() -> None:
    chain = with_device()

    assert (signs(chain, PHONE), signs(chain, PHONE, BOB)) == (True, False)


def test_a_revoked_device_never_signs_again() -> None:
    chain = with_device()

    chain.send(ALICE, device.REVOKE, RevokeDevice(PHONE.public_key))

    assert not signs(chain, PHONE)


def test_the_key_before_a_rotation_signs_no_more_and_devices_go_on() -> None:
    chain = with_device()

    chain.send(ALICE, rotate_key.FAMILY, prove(NEW.seed, CHAIN, ALICE.id, 1))

    assert [signs(chain, key) for key in (ALICE, NEW, PHONE)] == [False, True, True]


def test_a_device_from_below_the_height_of_a_recovery_signs_no_more() -> None:
    chain = with_device()
    draft = chain.draft()
    record = chain.identity()
    identities.save(draft, ALICE.id, replace(record, devices_from=Height(chain.height + 1)))

    assert not devices.authorises(draft, ALICE.id, PHONE.public_key)


def test_a_device_from_that_very_height_does() -> None:
    chain = with_device()
    draft = chain.draft()
    record = chain.identity()
    identities.save(draft, ALICE.id, replace(record, devices_from=Height(chain.height)))

    assert devices.authorises(draft, ALICE.id, PHONE.public_key)


def test_nothing_signs_for_an_identity_that_was_given_up() -> None:
    chain = with_device()
    draft = chain.draft()
    identities.save(draft, ALICE.id, replace(chain.identity(), deactivated_at=EpochMs(1)))
    chain.keep(draft)

    assert [signs(chain, key) for key in (ALICE, PHONE)] == [False, False]


def test_nothing_signs_for_an_account_without_an_identity() -> None:
    assert not signs(opened(), ERIN, ERIN)


def test_a_record_says_when_the_device_came_and_went() -> None:
    chain = with_device()
    came = devices.load(chain.state, ALICE.id, PHONE.public_key)

    chain.send(ALICE, device.REVOKE, RevokeDevice(PHONE.public_key))

    went = devices.load(chain.state, ALICE.id, PHONE.public_key)
    assert (came, went) == (Device(Height(1)), Device(Height(1), Height(2)))
