"""What rotations do on either chain is in tests/dchat/kernel/test_rotation.py."""

from __future__ import annotations

from abci_currency.machine import MACHINE
from abci_currency.txs.rotate_key import FAMILY
from dchat.kernel import accounts, signing
from dchat.kernel.rotation import prove
from tests.fakes.memory import ALICE, CHAIN, opened, run, signed

NEXT = bytes([71]) * 32


def test_a_rotation_changes_one_account_and_no_balance() -> None:
    raw = signed(ALICE, FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 1)))

    result = run(MACHINE, opened(MACHINE, alice=10_000), raw)

    written = result.writes[accounts.key(ALICE.id)]
    assert FAMILY.type == 3
    assert written is not None
    assert accounts.decode(written).public_key == signing.public_key(NEXT)
    assert accounts.decode(written).balance == 10_000 - 2000


def test_its_cost_is_fixed() -> None:
    assert FAMILY.price(FAMILY.body(prove(NEXT, CHAIN, ALICE.id, 1))[1:]) == FAMILY.cost
