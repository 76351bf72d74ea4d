from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat.machine import MACHINE
from abci_chat.state import devices, identities, work
from abci_chat.state.identities import Deactivated, LogKind, NotRegistered
from abci_chat.state.work import NoWork, Proof, TooLittleWork, UnknownAnchor
from abci_chat.txs import device
from abci_chat.txs.device import (
    AddDevice,
    BadDeviceProof,
    DeviceAdded,
    DeviceKnown,
    DeviceRevoked,
    RevokeDevice,
    TooManyDevices,
    UnknownDevice,
)
from dchat.kernel import accounts, signing
from dchat.kernel.errors import MalformedBody, NonceMismatch, WeakKey
from dchat.kernel.family import Family
from dchat.kernel.ids import ChainId, EpochMs
from tests.fakes import toil
from tests.fakes.guarded import ERIN, PHONE, Chain, added, begun, opened, with_device
from tests.fakes.memory import ALICE, BOB, CHAIN, Person, run, signed

THINGS = [Person(bytes([each]) * 32) for each in (61, 62, 63)]
REVOKE = RevokeDevice(PHONE.public_key)


def proof(chain_id: str, account: Person, key: Person) -> bytes:
    statement = devices.statement(ChainId(chain_id), account.id, key.public_key)
    return signing.sign(key.seed, devices.DOMAIN, statement)


def full() -> Chain:
    chain = with_device()
    chain.block(*(chain.signed(ALICE, device.ADD, added(ALICE, THINGS[n]), n) for n in (0, 1)))
    return chain


def test_a_device_is_added_and_logged() -> None:
    chain = opened()

    outcome = chain.send(ALICE, device.ADD, added(ALICE, PHONE))

    assert outcome.events == (DeviceAdded(ALICE.id, PHONE.public_key),)
    assert chain.log() == [
        (LogKind.REGISTERED, ALICE.public_key),
        (LogKind.DEVICE_ADDED, PHONE.public_key),
    ]


def test_a_device_is_revoked_and_logged() -> None:
    chain = with_device()

    outcome = chain.send(ALICE, device.REVOKE, REVOKE)

    assert outcome.events == (DeviceRevoked(ALICE.id, PHONE.public_key),)
    assert chain.log()[2:] == [(LogKind.DEVICE_REVOKED, PHONE.public_key)]


@pytest.mark.parametrize(
    ("who", "order", "code"),
    [
        (ERIN, added(ERIN, THINGS[0]), NotRegistered.code),
        (ALICE, added(ALICE, PHONE), DeviceKnown.code),
        (ALICE, added(ALICE, ALICE), DeviceKnown.code),
        (ALICE, added(BOB, THINGS[0]), BadDeviceProof.code),
        (ALICE, AddDevice(THINGS[0].public_key, proof("other-1", ALICE, THINGS[0])), 233),
        (ALICE, AddDevice(THINGS[0].public_key, proof(CHAIN, ALICE, THINGS[1])), 233),
        (ALICE, AddDevice(THINGS[0].public_key, bytes(64)), BadDeviceProof.code),
        (ALICE, AddDevice(bytes(32), bytes(64)), WeakKey.code),
        (ALICE, AddDevice(bytes([1, *[0] * 31]), bytes(64)), WeakKey.code),
    ],
)
def test_a_device_is_refused_and_changes_nothing(who: Person, order: AddDevice, code: int) -> None:
    chain = with_device()

    outcome = chain.send(who, device.ADD, order)

    assert (outcome.code, len(chain.log())) == (code, 2)
    assert not devices.authorises(chain.state, who.id, THINGS[0].public_key)


def test_more_devices_than_the_limit_are_refused() -> None:
    chain = full()

    outcome = chain.send(ALICE, device.ADD, added(ALICE, THINGS[2]))

    assert outcome.code == TooManyDevices.code


def test_a_revoked_device_makes_room_for_another() -> None:
    chain = full()
    chain.send(ALICE, device.REVOKE, REVOKE)

    outcome = chain.send(ALICE, device.ADD, added(ALICE, THINGS[2]))

    assert outcome.code == 0


def test_the_devices_of_before_a_recovery_take_no_room() -> None:
    chain = full()
    draft = chain.draft()
    since = replace(chain.identity(), devices_from=chain.height + 1)
    identities.save(draft, ALICE.id, since)
    chain.keep(draft)

    outcome = chain.send(ALICE, device.ADD, added(ALICE, THINGS[2]))

    assert (outcome.code, devices.count(chain.state, ALICE.id, chain.identity())) == (0, 1)


def test_a_revoked_device_never_comes_back() -> None:
    chain = with_device()
    chain.send(ALICE, device.REVOKE, REVOKE)

    outcome = chain.send(ALICE, device.ADD, added(ALICE, PHONE))

    assert outcome.code == DeviceKnown.code
    assert not devices.authorises(chain.state, ALICE.id, PHONE.public_key)


def test_one_device_may_be_of_two_identities() -> None:
    chain = with_device()

    assert chain.send(BOB, device.ADD, added(BOB, PHONE)).code == 0


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_whoever_has_no_such_device_revokes_nothing(who: Person) -> None:
    chain = opened()

    assert chain.send(who, device.REVOKE, REVOKE).code == UnknownDevice.code


def test_nobody_revokes_the_device_of_another() -> None:
    chain = with_device()

    outcome = chain.send(BOB, device.REVOKE, REVOKE)

    assert outcome.code == UnknownDevice.code
    assert devices.authorises(chain.state, ALICE.id, PHONE.public_key)


def test_a_device_is_revoked_once() -> None:
    chain = with_device()
    chain.send(ALICE, device.REVOKE, REVOKE)

    assert chain.send(ALICE, device.REVOKE, REVOKE).code == UnknownDevice.code


@pytest.mark.parametrize(
    ("family", "order"), [(device.ADD, added(ALICE, THINGS[0])), (device.REVOKE, REVOKE)]
)
def test_an_identity_that_was_given_up_has_devices_no_more(
    family: Family[object], order: object
) -> None:
    chain = with_device()
    draft = chain.draft()
    identities.save(draft, ALICE.id, replace(chain.identity(), deactivated_at=EpochMs(1)))
    chain.keep(draft)

    assert chain.send(ALICE, family, order).code == Deactivated.code


def test_a_replayed_order_is_refused() -> None:
    chain = opened()
    raw = chain.signed(ALICE, device.ADD, added(ALICE, PHONE))
    chain.block(raw)

    assert chain.block(raw).outcomes[0].code == NonceMismatch.code


def worked_for(chain: Chain, order: RevokeDevice = REVOKE) -> Proof:
    body = device.revocation(order.device_key)
    return toil.proof(chain.state, ALICE, body, 1, chain.height + 1)


def free(chain: Chain, order: RevokeDevice) -> bytes:
    return chain.signed(ALICE, device.REVOKE, order, fee=0)


def test_who_has_no_credits_revokes_by_work() -> None:
    chain = with_device()
    before = work.load(chain.state).level

    outcome = chain.block(free(chain, replace(REVOKE, work=worked_for(chain)))).outcomes[0]

    assert (outcome.code, work.load(chain.state).level) == (0, before + 1)
    assert not devices.authorises(chain.state, ALICE.id, PHONE.public_key)


def test_a_revocation_with_neither_fee_nor_work_is_refused() -> None:
    chain = with_device()

    assert chain.block(free(chain, REVOKE)).outcomes[0].code == NoWork.code


def test_a_revocation_of_nothing_is_not_to_be_had_by_work() -> None:
    chain = with_device()
    order = RevokeDevice(THINGS[0].public_key)

    result = chain.block(free(chain, replace(order, work=worked_for(chain, order))))

    nonce = accounts.load(chain.state, ALICE.id).nonce
    assert (result.outcomes[0].code, nonce) == (UnknownDevice.code, 1)


def test_work_for_another_device_revokes_nothing() -> None:
    chain = with_device()
    elsewhere = worked_for(chain, RevokeDevice(THINGS[0].public_key))

    outcome = chain.block(free(chain, replace(REVOKE, work=elsewhere))).outcomes[0]

    assert outcome.code == TooLittleWork.code


def test_work_over_an_anchor_that_is_none_revokes_nothing() -> None:
    chain = with_device()
    order = replace(REVOKE, work=Proof(b"a" * 32, b""))

    assert chain.block(free(chain, order)).outcomes[0].code == UnknownAnchor.code


fields = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(device.FAMILIES), st.lists(fields, max_size=4))
def test_arbitrary_fields_are_refused(family: Family[object], odd: list[str]) -> None:
    raw = signed(ALICE, (family.type, *odd))

    assert run(MACHINE, begun(), raw).outcomes[0].code == MalformedBody.code
