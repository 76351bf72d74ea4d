"""The currency chain's rules as one Machine value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_currency import genesis, queries
from abci_currency.hooks import fees
from abci_currency.txs import escrow, issuer, multi_transfer, relay, rewards, rotate_key, transfer
from dchat.kernel.machine import Machine, TxFamily

FAMILIES: Final[Mapping[int, TxFamily]] = MappingProxyType(
    {
        family.type: family
        for family in (
            transfer.FAMILY,
            multi_transfer.FAMILY,
            rotate_key.FAMILY,
            *rewards.FAMILIES,
            *relay.FAMILIES,
            *escrow.FAMILIES,
            *issuer.FAMILIES,
        )
    }
)


MACHINE: Final = Machine(
    name="currency",
    families=FAMILIES,
    genesis=genesis.init,
    queries=queries.PATHS,
    take_fees=fees.take,
)
