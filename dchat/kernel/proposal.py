"""Which transactions a block may hold: the proposer's choice and everybody's check of it.

Both sides ask the same question, so a proposal that select() made always passes is_acceptable().
That depends on the transactions' bytes and the committed parameters only.

Work in place of a fee is judged again in the block, where each that is admitted may raise what the
next one takes: whoever then worked too little has filled a place for nothing. So a block holds no
more than MAX_WAIVED of those, which everybody checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from dchat.kernel import bundle, params
from dchat.kernel.accounts import Account
from dchat.kernel.errors import TxRejected
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.machine import (
    BlockContext,
    Checked,
    Faulty,
    Judged,
    Machine,
    Outcome,
    behind,
    check_envelope,
    check_fee,
    check_least_cost,
)
from dchat.kernel.params import Params
from dchat.kernel.store import State

MAX_WAIVED: Final = 32
"""Transactions of one block that may be worked for in place of a fee."""
_TAG_BYTES: Final = 1
_VARINT_BITS: Final = 7

Read = Callable[[bytes], Judged]
"""What a transaction's bytes tell; whether it is signed is not asked here."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a proposal is made by."""

    machine: Machine
    params: Params
    context: BlockContext
    """Of the block that the proposal is for."""
    read: Read


def select(state: State, txs: Sequence[bytes], max_bytes: int, rules: Rules) -> tuple[bytes, ...]:
    """Return the longest run of well-formed transactions, in order, that fits into a block.

    Those that were worked for in place of a fee come first, the most work foremost.

    Whoever could not be charged in this order is passed over: what follows a nonce that the mempool
    does not hold would fill blocks for free. A bundle goes on without what could not be charged of
    it. max_bytes bounds the sum of each transaction's size in the block's protobuf encoding.
    """
    bytes_left, cost_left = max_bytes, int(rules.params.max_block_cost)
    chosen: list[bytes] = []
    line = _Line(state, rules)
    for offered in _worked_first(state, txs, rules):
        raw, cost = _charged_part(line, offered, rules.read)
        if not raw:
            continue
        bytes_left -= size_in_block(raw)
        cost_left -= cost
        if bytes_left < 0 or cost_left < 0:
            break
        chosen.append(raw)
    return tuple(chosen)


def is_acceptable(state: State, txs: Sequence[bytes], read: Read) -> bool:
    """Tell whether each is well formed, all fit into a block's cost, and enough of them pay."""
    rules = params.load(state)
    cost_left, waived_left = int(rules.max_block_cost), MAX_WAIVED
    for raw in chain.from_iterable(map(bundle.carried, txs)):
        judged = read(raw)
        cost = _declared_cost(judged)
        if cost is None:
            return False
        cost_left -= cost
        waived_left -= _is_waived(judged, rules)
    return cost_left >= 0 and waived_left >= 0


def size_in_block(raw: bytes) -> int:
    """Return the bytes that raw takes in a block: tag, length as varint, content."""
    return _TAG_BYTES + max(1, -(-len(raw).bit_length() // _VARINT_BITS)) + len(raw)


class _Line:
    """Transactions in the order in which a block would charge them."""

    __slots__ = ("_rules", "_senders", "_state", "_waived")

    def __init__(self, state: State, rules: Rules) -> None:
        self._state = state
        self._rules = rules
        self._senders: dict[AccountId, Account] = {}
        self._waived = 0

    def takes(self, judged: Checked | Faulty) -> bool:
        """Tell whether it would be charged behind those before, and count it if it would."""
        envelope, rules = judged.signed.envelope, self._rules
        waived = _is_waived(judged, rules.params)
        if self._waived + waived > MAX_WAIVED:
            return False
        try:
            check_envelope(envelope, rules.params, rules.context)
            check_fee(rules.machine, self._state, judged, rules.params, rules.context)
            self._senders[envelope.sender] = behind(self._senders, self._state, judged)
        except TxRejected:
            return False
        self._waived += waived
        return True


def _is_waived(judged: Judged, rules: Params) -> bool:
    """Tell whether it may only run because it was worked for; whether it was is not asked here."""
    if not isinstance(judged, Checked) or judged.prepared.waive is None:
        return False
    envelope = judged.signed.envelope
    return not envelope.fee and params.least_fee(rules, envelope.cost_limit) > 0


def _worked_first(state: State, txs: Sequence[bytes], rules: Rules) -> Sequence[bytes]:
    """Return txs with those first that pay by work; the order of the others stays."""
    worked = {raw: work for raw in txs if (work := _work(state, raw, rules))}
    if not worked:
        return txs
    foremost = sorted(worked, key=lambda raw: -worked[raw])
    return (*foremost, *(raw for raw in txs if raw not in worked))


def _work(state: State, raw: bytes, rules: Rules) -> int:
    judged = rules.read(raw)
    if isinstance(judged, Outcome) or judged.signed.envelope.fee:
        return 0
    try:
        return check_fee(rules.machine, state, judged, rules.params, rules.context)
    except TxRejected:
        return 0


def _charged_part(line: _Line, raw: bytes, read: Read) -> tuple[bytes, int]:
    """Return raw, or as much of a bundle as can be charged, and its declared cost."""
    carried = bundle.carried(raw)
    kept: list[bytes] = []
    declared = 0
    for each in carried:
        judged = read(each)
        cost = _declared_cost(judged)
        if cost is None or isinstance(judged, Outcome) or not line.takes(judged):
            continue
        kept.append(each)
        declared += cost
    if len(kept) == len(carried):
        return raw, declared
    return bundle.build(kept) if kept else b"", declared


def _declared_cost(judged: Judged) -> Cost | None:
    if isinstance(judged, Outcome):
        return None
    try:
        check_least_cost(judged.signed)
    except TxRejected:
        return None
    return judged.signed.envelope.cost_limit
