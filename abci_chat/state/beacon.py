"""Randomness that no proposer can choose: preimages of chains to which validators are bound.

A draw that is pending opens a window of blocks. In each of them the proposer owes the next
preimage of its chain, and everybody rejects a block without it. When the window is over, the seed
is the hash of all preimages of the window in their order. Who proposes last can hide one, and so
choose between two seeds; m such proposers in a row choose among 2^m.
"""

from __future__ import annotations

from dchat.kernel.ids import Height
from dchat.kernel.store import Draft


def request(draft: Draft, entry: bytes, height: Height) -> None:
    """Ask for a seed for this entry, the key of whatever waits for it.

    The window opens with the next block; the hook `hooks/draws.py` hands over the seed.
    """
    raise NotImplementedError
