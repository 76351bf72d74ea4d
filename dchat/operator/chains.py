"""The two chains that one validator runs, and what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dchat.kernel.ids import ChainId
from dchat.node.address import Address

Name = Literal["chat", "currency"]
SUFFIX: Final = "-currency"
PORT_STEP: Final = 10


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain: its short name, its id, and how far its ports lie above the chat chain's."""

    name: Name
    chain_id: ChainId
    port_step: int

    @property
    def module(self) -> str:
        """The Python package that is its application."""
        return f"abci_{self.name}"

    def port(self, address: Address) -> Address:
        """Return this chain's address, given the chat chain's; port 0 stays 0."""
        return Address(address.host, address.port + self.port_step) if address.port else address


def both(chain_id: str) -> tuple[Chain, Chain]:
    """Return (currency, chat), the order in which they start."""
    currency = Chain("currency", ChainId(chain_id + SUFFIX), PORT_STEP)
    return currency, Chain("chat", ChainId(chain_id), 0)
