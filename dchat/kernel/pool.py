"""What CheckTx knows beyond the committed state: nonces, fees and spending of what waits.

What a waiting transaction may spend is gone for those behind it. Otherwise one transfer could empty
an account in front of a block full of transactions that then pay no fee.

After each commit the pool forgets what waits, and CometBFT shows it every waiting transaction
again, in order, before anything new. Such a recheck is a few look-ups, because a transaction is
decoded and verified once and then remembered until a block carries it or a recheck leaves it out.

Nothing that was let in is lost on the way. CometBFT locks its mempool, waits for every answer
still due, lets the block be committed, and unlocks after the last recheck; requests and answers of
that connection keep their order. So no new transaction comes between two rechecks, no answer comes
too late to count, and the pool holds all that the mempool holds: with bounds no wider than the
mempool's own, the mempool, which would not tell the sender, never finds itself full. The next block
may be executed while rechecks still come in, but not committed. Until a commit the pool may hold
more: what RPC's `check_tx` only asked about. A proposer leaves out what waits behind that.
Source: CometBFT v0.40.0, state/execution.go, mempool/clist_mempool.go.

Signatures take three quarters of the time and depend on nothing else, so those of several
transactions are verified beforehand, by as many threads as the shell has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final

from dchat.kernel import params, tx
from dchat.kernel.accounts import Account
from dchat.kernel.errors import PoolFull, TxRejected
from dchat.kernel.ids import AccountId
from dchat.kernel.machine import (
    BlockContext,
    Checked,
    Machine,
    Outcome,
    Verified,
    behind,
    check_body,
    check_envelope,
    describe,
)
from dchat.kernel.params import Params
from dchat.kernel.store import State

PART: Final = 32
"""Signatures that one thread verifies at a time: 2 ms of work for 50 us of handing over."""

Part = Sequence[tuple[bytes, Checked]]
Each = Callable[[Callable[[Part], Part], Iterable[Part]], Iterable[Part]]
"""`map`, or one that calls its function in several threads."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait; neither bound may be above the one of CometBFT's mempool."""

    txs: int
    bytes: int


ROOM: Final = Room(txs=50_000, bytes=64 << 20)
"""Rechecking so many takes less than a second, the time between two blocks."""


class Pool:
    """Decides which transactions may wait for a block, as long as there is room."""

    def __init__(self, machine: Machine, room: Room = ROOM, each: Each = map) -> None:
        self._machine = machine
        self._room = room
        self._each = each
        self._bytes = 0
        self._verified: dict[bytes, Checked] = {}
        self._before_commit: dict[bytes, Checked] = {}
        self._ahead: Mapping[bytes, Checked] = {}
        self._senders: dict[AccountId, Account] = {}
        self._rules: Params | None = None

    @property
    def verified(self) -> Verified:
        """Return the waiting transactions, whose signatures were checked, by their bytes."""
        return self._verified

    def check(self, state: State, raw: bytes, context: BlockContext) -> Outcome:
        """Return code 0 if raw may wait for the next block, whose context is given.

        The transaction then counts as waiting. A refused one leaves no trace; one that counts as
        waiting already may: RPC's `check_tx` asks about transactions that no mempool holds yet.
        """
        waiting = self._verified.get(raw)
        if waiting:
            return Outcome(0, "", waiting.signed.envelope.cost_limit)
        known = self._before_commit.pop(raw, None)
        try:
            checked = known or self._open(raw)
            sender = self._place(state, checked, context)
            if known is None and raw not in self._ahead:
                tx.verify(checked.signed)
        except TxRejected as refusal:
            return Outcome(refusal.code, describe(refusal))
        envelope = checked.signed.envelope
        self._senders[envelope.sender] = sender
        self._verified[raw] = checked
        self._bytes += len(raw)
        return Outcome(0, "", envelope.cost_limit)

    def check_many(
        self, state: State, raws: Sequence[bytes], context: BlockContext
    ) -> list[Outcome]:
        """Return what check() answers one by one; the signatures are verified together."""
        self.foresee(raws)
        return [self.check(state, raw, context) for raw in raws]

    def foresee(self, raws: Sequence[bytes]) -> None:
        """Verify together what check() is asked next, which it then need not do.

        Depends on the bytes alone, so it may run beside a block that is executed.
        """
        unknown = [raw for raw in raws if raw not in self._before_commit]
        self._ahead = {} if self._is_full(0) else self._verify(unknown)

    def recognise(self, txs: Sequence[bytes]) -> Verified:
        """Return those of a block's transactions whose signatures held, or hold now."""
        found = {raw: self._verified.get(raw) or self._before_commit.get(raw) for raw in txs}
        known = {raw: checked for raw, checked in found.items() if checked}
        return known | self._verify([raw for raw in found if raw not in known])

    def commit(self, included: Sequence[bytes]) -> None:
        """Forget what a block has carried and what waited; rechecks bring back what still waits."""
        for raw in included:
            self._verified.pop(raw, None)
        self.forget()

    def forget(self) -> None:
        """Count nothing as waiting until it is shown again: a mempool that restarts is empty."""
        self._before_commit = self._verified
        self._verified = {}
        self._bytes = 0
        self._senders.clear()
        self._rules = None

    def _is_full(self, more: int) -> bool:
        return len(self._verified) >= self._room.txs or self._bytes + more > self._room.bytes

    def _open(self, raw: bytes) -> Checked:
        if self._is_full(len(raw)):
            raise PoolFull(len(self._verified), self._bytes)
        return self._ahead.get(raw) or check_body(self._machine, tx.decode(raw))

    def _place(self, state: State, checked: Checked, context: BlockContext) -> Account:
        """Return what is left of the sender's account once this one waits. Raises: TxRejected."""
        if self._rules is None:
            self._rules = params.load(state)
        check_envelope(checked.signed.envelope, self._rules, context)
        return behind(self._senders, state, checked)

    def _verify(self, raws: Sequence[bytes]) -> dict[bytes, Checked]:
        """Return those that are well formed and signed by their own keys."""
        found: list[tuple[bytes, Checked]] = []
        for raw in raws:
            with suppress(TxRejected):
                found.append((raw, check_body(self._machine, tx.decode(raw))))
        parts = [found[at : at + PART] for at in range(0, len(found), PART)]
        good = self._each(_signed, parts) if len(parts) > 1 else map(_signed, parts)
        return dict(chain.from_iterable(good))


def _signed(part: Part) -> Part:
    return [entry for entry in part if tx.holds(entry[1].signed)]
