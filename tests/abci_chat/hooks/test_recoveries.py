from __future__ import annotations

from dataclasses import replace

import pytest

from abci_chat import keys
from abci_chat.hooks.recoveries import IdentityRecovered
from abci_chat.state import devices, identities
from abci_chat.txs import device, recovery, rotate_key
from abci_chat.txs.recovery import FinishRecovery, VetoRecovery
from dchat.kernel import accounts
from dchat.kernel.ids import EpochMs
from dchat.kernel.rotation import prove
from tests.fakes.guarded import (
    ERIN,
    NEW,
    PHONE,
    RECOVERY_MS,
    Chain,
    added,
    approval,
    approved,
    watched,
)
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, Person

FINISH = FinishRecovery(ALICE.id, NEW.public_key)
OTHER = Person(bytes([95]) * 32)
VETO = VetoRecovery()
FINISH_BYTES = identities.PUBLIC_KEY.encode(NEW.public_key)


def key_of(chain: Chain) -> tuple[bytes, int]:
    """The key that signs for ALICE's account, and which one it is."""
    held = accounts.load(chain.state, ALICE.id)
    return held.public_key, held.key_version


def test_the_block_tells_of_the_recovery() -> None:
    chain = approved()

    result = chain.block(chain.signed(ERIN, recovery.FINISH, FINISH), after_ms=RECOVERY_MS)

    assert result.events == (IdentityRecovered(ALICE.id, NEW.public_key, 1),)


def test_all_devices_of_before_are_revoked_those_of_the_same_block_too() -> None:
    chain = watched()
    chain.send(ALICE, device.ADD, added(ALICE, PHONE))
    approved(chain)
    late = chain.signed(ALICE, device.ADD, added(ALICE, OTHER))

    chain.block(chain.signed(ERIN, recovery.FINISH, FINISH), late, after_ms=RECOVERY_MS)

    keys = (ALICE, PHONE, OTHER, NEW)
    signs = [devices.authorises(chain.state, ALICE.id, key.public_key) for key in keys]
    assert signs == [False, False, False, True]


@pytest.mark.parametrize("veto_first", [True, False])
def test_a_veto_in_the_last_block_still_counts(*, veto_first: bool) -> None:
    chain = approved()
    veto = chain.signed(ALICE, recovery.VETO, VETO)
    last = chain.signed(ERIN, recovery.FINISH, FINISH)

    chain.block(*((veto, last) if veto_first else (last, veto)), after_ms=RECOVERY_MS)

    assert key_of(chain) == (ALICE.public_key, 0)


def test_a_rotation_in_the_last_block_is_the_later_word() -> None:
    chain = approved()
    rotation = chain.signed(ALICE, rotate_key.FAMILY, prove(OTHER.seed, CHAIN, ALICE.id, 1))

    chain.block(chain.signed(ERIN, recovery.FINISH, FINISH), rotation, after_ms=RECOVERY_MS)

    assert key_of(chain) == (OTHER.public_key, 1)


def test_what_the_old_key_signed_in_the_last_block_is_charged() -> None:
    chain = approved()
    before = accounts.load(chain.state, ALICE.id).balance
    late = chain.signed(ALICE, device.ADD, added(ALICE, OTHER))

    chain.block(chain.signed(ERIN, recovery.FINISH, FINISH), late, after_ms=RECOVERY_MS)

    assert accounts.load(chain.state, ALICE.id).balance < before


def test_two_recoveries_in_one_block_give_one_key() -> None:
    chain = approved()
    chain.send(BOB, recovery.APPROVE, approval(new=OTHER))
    chain.send(CAROL, recovery.APPROVE, approval(new=OTHER))
    both = [FINISH, FinishRecovery(ALICE.id, OTHER.public_key)]
    orders = [chain.signed(ERIN, recovery.FINISH, each, at) for at, each in enumerate(both)]

    chain.block(*orders, after_ms=RECOVERY_MS)

    assert key_of(chain) == (OTHER.public_key, 1)


def test_nothing_waits_between_blocks() -> None:
    chain = approved()

    chain.block(chain.signed(ERIN, recovery.FINISH, FINISH), after_ms=RECOVERY_MS)

    assert not [key for key in chain.state.entries if key.startswith(keys.RECOVERING)]


def test_an_identity_given_up_in_the_last_block_stays_as_it_is() -> None:
    chain = approved()
    chain.block(after_ms=RECOVERY_MS)
    draft = chain.draft()
    identities.save(draft, ALICE.id, replace(chain.identity(), deactivated_at=EpochMs(1)))
    draft.put(keys.recovering(ALICE.id), FINISH_BYTES)
    chain.keep(draft)

    chain.block()

    assert key_of(chain) == (ALICE.public_key, 0)


def test_a_key_whose_timelock_runs_is_given_to_nobody() -> None:
    chain = approved()
    draft = chain.draft()
    draft.put(keys.recovering(ALICE.id), FINISH_BYTES)
    chain.keep(draft)

    chain.block()

    assert key_of(chain) == (ALICE.public_key, 0)
