from __future__ import annotations

from abci_currency import keys
from dchat.kernel import codec
from tests.fakes.memory import ALICE


def test_an_account_is_kept_under_its_canonical_tuple() -> None:
    assert codec.unpack(keys.account(ALICE.id)) == ["account", ALICE.id]
