"""Which transactions a block may hold: the proposer's choice and everybody's check of it.

Both sides ask the same question, so a proposal that select() made always passes is_acceptable().
That depends on the transactions' bytes and the committed parameters only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dchat.kernel import params, tx
from dchat.kernel.accounts import Account
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.machine import Checked, Verified, behind, check_least_cost
from dchat.kernel.store import State

_TAG_BYTES: Final = 1
_VARINT_BITS: Final = 7


def select(
    state: State, txs: Sequence[bytes], max_bytes: int, verified: Verified
) -> tuple[bytes, ...]:
    """Return the longest run of well-formed transactions, in order, that fits into a block.

    Of those that were checked, whoever could not be charged in this order is passed over: what
    follows a nonce that the mempool does not hold would fill blocks for free. max_bytes bounds the
    sum of each transaction's size in the block's protobuf encoding.
    """
    bytes_left, cost_left = max_bytes, int(params.load(state).max_block_cost)
    chosen: list[bytes] = []
    senders: dict[AccountId, Account] = {}
    for raw in txs:
        cost = _declared_cost(raw, verified)
        if cost is None or not _pays(senders, state, verified.get(raw)):
            continue
        bytes_left -= size_in_block(raw)
        cost_left -= cost
        if bytes_left < 0 or cost_left < 0:
            break
        chosen.append(raw)
    return tuple(chosen)


def is_acceptable(state: State, txs: Sequence[bytes], verified: Verified) -> bool:
    """Tell whether every transaction is well formed and all fit into one block's cost."""
    cost_left = int(params.load(state).max_block_cost)
    for raw in txs:
        cost = _declared_cost(raw, verified)
        if cost is None:
            return False
        cost_left -= cost
    return cost_left >= 0


def size_in_block(raw: bytes) -> int:
    """Return the bytes that raw takes in a block: tag, length as varint, content."""
    return _TAG_BYTES + max(1, -(-len(raw).bit_length() // _VARINT_BITS)) + len(raw)


def _pays(senders: dict[AccountId, Account], state: State, known: Checked | None) -> bool:
    """Tell whether nonce and fee fit behind those before, and count it among them if they do."""
    if known is None:
        return True
    try:
        senders[known.signed.envelope.sender] = behind(senders, state, known)
    except TxRejected:
        return False
    return True


def _declared_cost(raw: bytes, verified: Verified) -> Cost | None:
    known = verified.get(raw)
    try:
        signed = known.signed if known else tx.decode(raw)
        check_least_cost(signed)
    except TxRejected:
        return None
    return signed.envelope.cost_limit
