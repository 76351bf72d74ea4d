"""A validator's chain of preimages for the chat chain's draws: its identity gives the secret."""

from __future__ import annotations

from typing import Final

from abci_chat.state import beacon
from dchat.kernel.ids import ChainId
from dchat.node.identity import Identity

LABEL: Final = "beacon/chat"
LENGTH: Final = beacon.MAX_LENGTH
"""Preimages of every chain."""
FIRST: Final = 1


def secret(owner: Identity) -> bytes:
    """Return what the validator's preimages are made of: whoever knows it knows every draw."""
    return owner.child(LABEL)


def head(owner: Identity, chain_id: str, number: int = FIRST) -> bytes:
    """Return the head of a validator's chain of that number; genesis names the first one's."""
    return beacon.value(secret(owner), ChainId(chain_id), number, LENGTH)
