"""The chat chain's rules as one Machine value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_chat import queries
from abci_chat.txs import identity, rotate_key
from dchat.kernel import genesis
from dchat.kernel.machine import Machine, TxFamily

FAMILIES: Final[Mapping[int, TxFamily]] = MappingProxyType(
    {
        family.type: family
        for family in (
            identity.REGISTER,
            identity.UPDATE_RELAYS,
            identity.UPDATE_PREKEYS,
            rotate_key.FAMILY,
        )
    }
)


MACHINE: Final = Machine(
    name="chat",
    families=FAMILIES,
    genesis=genesis.init,
    queries=queries.PATHS,
)
