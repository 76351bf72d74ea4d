"""What both chains begin with: parameters and opening balances, as canonical bytes.

[[fee_per_1000_cost, max_block_cost, max_block_bytes, max_validity_blocks],
 [[account, balance], …]]        accounts strictly ascending
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from dchat.kernel import accounts, codec, params, supply
from dchat.kernel.errors import InvariantBroken, TxRejected
from dchat.kernel.ids import AccountId, Amount, ChainId
from dchat.kernel.machine import GenesisContext
from dchat.kernel.store import Draft, State
from dchat.kernel.tx import MAX_CHAIN_ID_BYTES

MAX_ALLOCATIONS: Final = 2_000_000
MAX_BYTES: Final = 256 * 1024 * 1024
_CHAIN_KEY: Final = codec.pack(("chain",))
_CHAIN_ID: Final = codec.Text(MAX_CHAIN_ID_BYTES)
AT_ODDS: Final = "parameters do not fit together"

T = TypeVar("T")


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
    genesis = SHAPE.decode(data, MAX_BYTES, MAX_ALLOCATIONS)
    check(genesis)
    return genesis


def check(genesis: Genesis) -> None:
    """Return if the allocations can be made. Raises: CodecError."""
    check_ascending([allocation.account for allocation in genesis.allocations], "allocations")
    if sum(allocation.balance for allocation in genesis.allocations) > codec.MAX_U64:
        raise codec.CodecError("allocations together exceed 64 bits")


def check_ascending(names: Sequence[bytes], what: str, by: str = "account") -> None:
    """Return if every name is above the one before. Raises: CodecError."""
    if any(left >= right for left, right in pairwise(names)):
        raise codec.CodecError(f"{what} are not in strictly ascending order of {by}")


def check_section(section: params.Section[T], values: T) -> None:
    """Return if every parameter is within its bounds. Raises: CodecError."""
    hold(lambda: section.check(values), section.name)


def hold(rule: Callable[[], None], otherwise: str) -> None:
    """Return if a rule that transactions know as well holds here. Raises: CodecError."""
    try:
        rule()
    except TxRejected as fault:
        raise codec.CodecError(f"{otherwise}: {fault}") from None


def check_holders(holders: Iterable[AccountId], pools: Container[AccountId]) -> None:
    """Return if none of these accounts is one that the chain's rules hold. Raises: CodecError."""
    for each in holders:
        if each in pools:
            name = accounts.show_account(each)
            raise codec.CodecError(f"{name} is an account of the chain's own rules")


def init(draft: Draft, context: GenesisContext, data: bytes) -> None:
    """Write the initial state that canonical genesis bytes describe.

    Raises: CodecError, InvariantBroken.
    """
    begin(draft, context.chain_id, decode(data))


def begin(draft: Draft, chain_id: ChainId, genesis: Genesis) -> None:
    """Write what both chains begin with. Raises: CodecError, InvariantBroken."""
    if not genesis.allocations:
        raise InvariantBroken("genesis gives nobody anything")
    draft.put(_CHAIN_KEY, _CHAIN_ID.encode(chain_id))
    params.save(draft, genesis.params)
    for allocation in genesis.allocations:
        accounts.credit(draft, allocation.account, allocation.balance)
    supply.issue(draft, Amount(sum(each.balance for each in genesis.allocations)))


def chain_id(state: State) -> ChainId | None:
    """Return the chain's id as genesis wrote it, None before."""
    found = state.get(_CHAIN_KEY)
    return None if found is None else ChainId(_CHAIN_ID.decode_own(found))
