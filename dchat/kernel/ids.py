"""Names for bare values, so that the type checker refuses a swap."""

from __future__ import annotations

from typing import NewType

AccountId = NewType("AccountId", bytes)
Amount = NewType("Amount", int)
ChainId = NewType("ChainId", str)
Cost = NewType("Cost", int)
EpochMs = NewType("EpochMs", int)
Height = NewType("Height", int)
Nonce = NewType("Nonce", int)
TxHash = NewType("TxHash", bytes)
