from __future__ import annotations

from pathlib import Path

import pytest

from abci_currency.genesis import Terms
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount
from dchat.node import identity
from dchat.operator.founding import Wish, offer_of
from dchat.operator.plan import keys_of
from genesis import entry
from genesis.entry import BadEntry
from tests.genesis.test_build import SETTINGS

WISH = Wish("first", Terms(500), Amount(1), Amount(UNIT))


def test_an_offer_is_signed_by_the_identitys_own_keys(tmp_path: Path) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    offer, content = offer_of(owner, SETTINGS, WISH)

    assert entry.decode(content) == offer
    assert (offer.account, offer.chain_id) == (owner.account_id, SETTINGS.chain_id)
    assert offer.chat_key == keys_of(owner, "chat").consensus_key
    assert offer.currency_key == keys_of(owner, "currency").consensus_key


def test_a_stake_below_the_networks_minimum_is_refused(tmp_path: Path) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    with pytest.raises(BadEntry, match="stake of 999999 is below the minimum of 1000000"):
        offer_of(owner, SETTINGS, Wish("first", Terms(), Amount(1), Amount(UNIT - 1)))


def test_an_identity_with_a_later_key_founds_nothing(tmp_path: Path) -> None:
    """Its account would be named after that key, and be another one than on other networks."""
    owner = identity.renew(identity.create(tmp_path / "old.json", "node"), tmp_path / "id.json")

    with pytest.raises(BadEntry, match="rotated"):
        offer_of(owner, SETTINGS, WISH)
