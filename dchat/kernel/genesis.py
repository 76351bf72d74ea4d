"""What both chains begin with: parameters and opening balances, as canonical bytes.

[[fee_per_1000_cost, max_block_cost, max_block_bytes, max_validity_blocks],
 [[account, balance], …]]        accounts strictly ascending
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dchat.kernel import accounts, codec, params, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft

MAX_ALLOCATIONS: Final = 2_000_000
MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Allocation:
    """One account's opening balance in base units."""

    account: AccountId
    balance: Amount


@dataclass(frozen=True, slots=True)
class Genesis:
    """The initial state in its shortest form."""

    params: params.Params
    allocations: tuple[Allocation, ...]


_ALLOCATION: Final = codec.Record(Allocation, account=accounts.ACCOUNT_ID, balance=codec.U64)
SHAPE: Final = codec.Record(
    Genesis,
    params=params.SHAPE,
    allocations=codec.ListOf(_ALLOCATION, MAX_ALLOCATIONS),
)


def decode(data: bytes) -> Genesis:
    """Return the genesis in data. Raises: CodecError."""
    genesis = SHAPE.decode(data, MAX_BYTES)
    ids = [allocation.account for allocation in genesis.allocations]
    if any(left >= right for left, right in pairwise(ids)):
        raise codec.CodecError("allocations are not in strictly ascending order of account")
    return genesis


def write(draft: Draft, genesis: Genesis) -> None:
    """Write the initial state. Raises: InvariantBroken, AmountTooLarge."""
    if not genesis.allocations:
        raise InvariantBroken("genesis gives nobody anything")
    params.save(draft, genesis.params)
    for allocation in genesis.allocations:
        accounts.credit(draft, allocation.account, allocation.balance)
    supply.issue(draft, Amount(sum(each.balance for each in genesis.allocations)))
