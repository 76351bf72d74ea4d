"""Contributions: what a chain may ask of whoever proposes a block, besides transactions.

    [kind 2, version 1, data]          the first of CometBFT's transactions in a block, or nowhere

A contribution has no sender, nonce, fee or signature: no mempool takes one, and that it came from
the proposer is for the data to show. Which data is owed, the chain's `Duty` says; a proposal that
lacks it, or has it unasked, is rejected by everybody, and the next round has another proposer.
Source: ADR 18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dchat.kernel import codec
from dchat.kernel.family import Event
from dchat.kernel.store import Draft, State

KIND: Final = 2
VERSION: Final = 1
MAX_DATA_BYTES: Final = 256
_HEAD: Final = codec.pack([KIND, VERSION, b""])[:2]
"""An array of three of which the first is the kind."""
_OURS: Final = [KIND, VERSION]
_PARTS: Final = 3
_DATA: Final = codec.Blob(MAX_DATA_BYTES, 1)


@dataclass(frozen=True, slots=True)
class Duty:
    """What a proposer owes. The state is that before the block, the proposer a 20-byte address."""

    make: Callable[[State, bytes, bytes], bytes]
    """Return what this proposer contributes now, from its secret; b"" for nothing."""
    accepts: Callable[[State, bytes, bytes], bool]
    """Tell whether a block of this proposer may have this contribution; b"" for none."""
    apply: Callable[[Draft, bytes, bytes], tuple[Event, ...]]
    """Take in what this proposer contributed, which accepts() has found right."""


def build(data: bytes) -> bytes:
    """Return the contribution as a block carries it. Raises: CodecError."""
    return codec.pack([KIND, VERSION, _DATA.lower(data)])


def split(txs: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """Return a block's contribution, b"" for none, and its transactions.

    What only looks like a contribution stays among them, as the malformed one that it is.
    """
    if not txs or not txs[0].startswith(_HEAD):
        return b"", txs
    try:
        parts = codec.unpack_array(txs[0])
        if len(parts) != _PARTS or [codec.U64.lift(each) for each in parts[:2]] != _OURS:
            return b"", txs
        return _DATA.lift(parts[2]), txs[1:]
    except codec.CodecError:
        return b"", txs
