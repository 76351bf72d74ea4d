"""Which transactions a block may hold: the proposer's choice and everybody's check of it.

Both sides ask the same question, so a proposal that select() made always passes is_acceptable().
That depends on the transactions' bytes and the committed parameters only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dchat.kernel import params
from dchat.kernel.accounts import Account
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.machine import Judged, Outcome, behind, check_least_cost
from dchat.kernel.store import State

_TAG_BYTES: Final = 1
_VARINT_BITS: Final = 7

Read = Callable[[bytes], Judged]
"""What a transaction's bytes tell; whether it is signed is not asked here."""


def select(state: State, txs: Sequence[bytes], max_bytes: int, read: Read) -> tuple[bytes, ...]:
    """Return the longest run of well-formed transactions, in order, that fits into a block.

    Whoever could not be charged in this order is passed over: what follows a nonce that the mempool
    does not hold would fill blocks for free. max_bytes bounds the sum of each transaction's size in
    the block's protobuf encoding.
    """
    bytes_left, cost_left = max_bytes, int(params.load(state).max_block_cost)
    chosen: list[bytes] = []
    senders: dict[AccountId, Account] = {}
    for raw in txs:
        judged = read(raw)
        cost = _declared_cost(judged)
        if cost is None or not _pays(senders, state, judged):
            continue
        bytes_left -= size_in_block(raw)
        cost_left -= cost
        if bytes_left < 0 or cost_left < 0:
            break
        chosen.append(raw)
    return tuple(chosen)


def is_acceptable(state: State, txs: Sequence[bytes], read: Read) -> bool:
    """Tell whether every transaction is well formed and all fit into one block's cost."""
    cost_left = int(params.load(state).max_block_cost)
    for raw in txs:
        cost = _declared_cost(read(raw))
        if cost is None:
            return False
        cost_left -= cost
    return cost_left >= 0


def size_in_block(raw: bytes) -> int:
    """Return the bytes that raw takes in a block: tag, length as varint, content."""
    return _TAG_BYTES + max(1, -(-len(raw).bit_length() // _VARINT_BITS)) + len(raw)


def _pays(senders: dict[AccountId, Account], state: State, judged: Judged) -> bool:
    """Tell whether nonce and fee fit behind those before, and count it among them if they do."""
    if isinstance(judged, Outcome):
        return False
    try:
        senders[judged.signed.envelope.sender] = behind(senders, state, judged)
    except TxRejected:
        return False
    return True


def _declared_cost(judged: Judged) -> Cost | None:
    if isinstance(judged, Outcome):
        return None
    try:
        check_least_cost(judged.signed)
    except TxRejected:
        return None
    return judged.signed.envelope.cost_limit
