"""The currency chain's rules as one Machine value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_currency import genesis, queries
from abci_currency.hooks import active_set, evidence, fees, maturing, votes
from abci_currency.txs import (
    consensus_key,
    delegate,
    escrow,
    issuer,
    multi_transfer,
    relay,
    rewards,
    rotate_key,
    transfer,
    unjail,
    validator,
    vesting,
)
from dchat.kernel.family import TxFamily
from dchat.kernel.machine import Machine

FAMILIES: Final[Mapping[int, TxFamily]] = MappingProxyType(
    {
        family.type: family
        for family in (
            transfer.FAMILY,
            multi_transfer.FAMILY,
            rotate_key.FAMILY,
            *vesting.FAMILIES,
            *validator.FAMILIES,
            *delegate.FAMILIES,
            consensus_key.FAMILY,
            unjail.FAMILY,
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
    begin_block=(evidence.judge, votes.count, maturing.mature),
    take_fees=fees.take,
    validator_updates=active_set.updates,
)
