"""The currency chain's rules as one Machine value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_currency import queries
from abci_currency.txs import multi_transfer, transfer
from dchat.kernel import genesis
from dchat.kernel.machine import Machine, TxFamily

FAMILIES: Final[Mapping[int, TxFamily]] = MappingProxyType(
    {family.type: family for family in (transfer.FAMILY, multi_transfer.FAMILY)}
)


MACHINE: Final = Machine(
    name="currency",
    families=FAMILIES,
    genesis=genesis.init,
    queries=queries.PATHS,
)
