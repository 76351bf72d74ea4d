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
transactions are verified beforehand, by as many threads as the shell has for it. That comes before
nonces are looked at, which would save nothing from an attacker: he can forge what is due.

A bundle is let in whole or not at all. Its signatures come last: who has no money on this chain has
none of them verified, and the first forgery ends it. Meanwhile another copy of one of its
transactions may get into a block, or one may expire. Then the rest still waits, for its sender was
told so: a recheck refuses a bundle once nothing of it could run, and a proposer leaves out of it
what could not.

A block that nobody has seen waits for everybody's judgement of it. So what a transaction's bytes
tell is found out once, from the proposal to the end of the block, whatever is wrong with it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from dchat.kernel import bundle, params, proposal, tx
from dchat.kernel.accounts import Account
from dchat.kernel.errors import CommitDue, CostLimitTooHigh, PoolFull, TxRejected
from dchat.kernel.ids import AccountId, Cost
from dchat.kernel.machine import (
    BlockContext,
    Checked,
    Faulty,
    Judged,
    Known,
    Machine,
    Outcome,
    behind,
    check_envelope,
    check_fee,
    read,
    refused,
    verify,
)
from dchat.kernel.params import Params
from dchat.kernel.store import State

PART: Final = 32
"""Signatures that one thread verifies at a time: 2 ms of work for 50 us of handing over."""

Part = Sequence[tuple[bytes, Judged]]
Each = Callable[[Callable[[Part], Part], Iterable[Part]], Iterable[Part]]
"""`map`, or one that calls its function in several threads."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait; neither bound may be above the one of CometBFT's mempool."""

    txs: int
    """Those in bundles are counted one by one."""
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
        self._waiting: dict[bytes, Cost] = {}
        """What CometBFT knows of, bundles whole, and the cost that it declares."""
        self._waited: Mapping[bytes, Cost] = {}
        self._verified: dict[bytes, Checked] = {}
        self._before_commit: dict[bytes, Checked] = {}
        self._ahead: Known = {}
        self._proposed: dict[bytes, Judged] = {}
        """As read() gave it: nobody has verified a signature yet."""
        self._senders: dict[AccountId, Account] = {}
        self._rules: Params | None = None
        self._commit_is_due = False

    @property
    def verified(self) -> Mapping[bytes, Checked]:
        """Return the waiting transactions, alone or in bundles, whose signatures were checked."""
        return self._verified

    def check(self, state: State, raw: bytes, context: BlockContext) -> Outcome:
        """Return code 0 if raw may wait for the next block, whose context is given.

        The transaction then counts as waiting. A refused one leaves no trace; one that counts as
        waiting already may: RPC's `check_tx` asks about transactions that no mempool holds yet.
        """
        declared = self._waiting.get(raw)
        if declared is not None:
            return Outcome(0, "", declared)
        carried = bundle.carried(raw)
        if carried != (raw,):
            return self._check_bundle(state, raw, carried, context)
        opened = self._before_commit.pop(raw, None) or self._open(raw)
        if isinstance(opened, Outcome):
            return opened
        try:
            sender = self._place(self._senders, state, opened, context)
        except TxRejected as refusal:
            return refused(refusal)
        if isinstance(opened, Faulty):
            return opened.refusal
        envelope = opened.signed.envelope
        self._senders[envelope.sender] = sender
        self._verified[raw] = opened
        return self._let_wait(raw, envelope.cost_limit)

    def check_many(
        self, state: State, raws: Sequence[bytes], context: BlockContext
    ) -> list[Outcome]:
        """Return what check() answers one by one; the signatures are verified together."""
        self.foresee(raws)
        return [self.check(state, raw, context) for raw in raws]

    def foresee(self, raws: Sequence[bytes]) -> None:
        """Judge together what check() is asked next, which it then need not do.

        Depends on the bytes alone, so it may run beside a block that is executed.
        """
        alone = [raw for raw in raws if not bundle.is_bundle(raw)]
        new = [] if self._is_full(0) else [raw for raw in alone if self._let_in(raw) is None]
        found = {raw: read(self._machine, raw) for raw in new}
        sound = [(raw, judged) for raw, judged in found.items() if isinstance(judged, Checked)]
        self._ahead = found | self._verify(sound)

    def propose(
        self, state: State, txs: Sequence[bytes], max_bytes: int, context: BlockContext
    ) -> tuple[bytes, ...]:
        """Return those that the block of this context may hold; see proposal.select."""
        self._proposed = {}
        rules = proposal.Rules(self._machine, params.load(state), context, self._read)
        return proposal.select(state, txs, max_bytes, rules)

    def accepts(self, state: State, txs: Sequence[bytes]) -> bool:
        """Tell whether a block may hold these; what was read of them is kept for its execution."""
        self._proposed = {}
        return proposal.is_acceptable(state, txs, self._read)

    def recognise(self, txs: Sequence[bytes]) -> Known:
        """Return what a block's transactions tell; their signatures are verified if not before."""
        raws = list(chain.from_iterable(map(bundle.carried, txs)))
        known = {raw: checked for raw in raws if (checked := self._let_in(raw))}
        return known | self._verify([(raw, self._read(raw)) for raw in raws if raw not in known])

    def expect_commit(self) -> None:
        """Let no new bundle in before the next commit.

        CometBFT commits once all that it asked before is answered: that may be 256 bundles.
        """
        self._commit_is_due = True

    def commit(self, included: Sequence[bytes]) -> None:
        """Forget what a block has carried and what waited; rechecks bring back what still waits."""
        for raw in included:
            if self._waiting.pop(raw, None) is not None:
                for each in bundle.carried(raw):
                    self._verified.pop(each, None)
        self.forget()

    def forget(self) -> None:
        """Count nothing as waiting until it is shown again: a mempool that restarts is empty."""
        self._waited, self._waiting = self._waiting, {}
        self._before_commit, self._verified = self._verified, {}
        self._bytes = 0
        self._proposed = {}
        self._senders.clear()
        self._rules = None
        self._commit_is_due = False

    def _let_in(self, raw: bytes) -> Checked | None:
        return self._verified.get(raw) or self._before_commit.get(raw)

    def _read(self, raw: bytes) -> Judged:
        judged = self._let_in(raw) or self._proposed.get(raw)
        if judged is None:
            judged = self._proposed[raw] = read(self._machine, raw)
        return judged

    def _is_full(self, more_bytes: int, more_txs: int = 1) -> bool:
        txs, size = len(self._verified) + more_txs, self._bytes + more_bytes
        return txs > self._room.txs or size > self._room.bytes

    def _let_wait(self, raw: bytes, declared: Cost) -> Outcome:
        self._waiting[raw] = declared
        self._bytes += len(raw)
        return Outcome(0, "", declared)

    def _open(self, raw: bytes) -> Judged:
        if self._is_full(len(raw)):
            return refused(PoolFull(len(self._verified), self._bytes))
        judged = self._ahead.get(raw) or verify(read(self._machine, raw))
        return judged.refusal if isinstance(judged, Faulty) and judged.pays else judged

    def _check_bundle(
        self, state: State, raw: bytes, carried: Sequence[bytes], context: BlockContext
    ) -> Outcome:
        """Let all of it wait or nothing; of what waited before, whatever still can."""
        waited = self._waited.get(raw)
        if waited is None and self._commit_is_due:
            return refused(CommitDue())
        if waited is None and self._is_full(len(raw), len(carried)):
            return refused(PoolFull(len(self._verified), self._bytes))
        ahead = ChainMap[AccountId, Account]({}, self._senders)
        found: dict[bytes, Checked] = {}
        for each in carried:
            joined = self._join(ahead, state, each, context)
            if isinstance(joined, Checked):
                found[each] = joined
            elif waited is None or (each is carried[-1] and not found):
                return _named(joined, carried, each)
        declared = waited or Cost(sum([each.signed.envelope.cost_limit for each in found.values()]))
        if refusal := self._refuse_together(state, carried, found, declared):
            return refusal
        self._senders.update(ahead.maps[0])
        before = self._before_commit
        self._verified |= {each: before[each] for each in carried if each in before} | found
        return self._let_wait(raw, declared)

    def _join(
        self,
        ahead: ChainMap[AccountId, Account],
        state: State,
        raw: bytes,
        context: BlockContext,
    ) -> Checked | Outcome:
        """Return one of a bundle's once it counts in ahead, its signature still to be verified."""
        opened = self._before_commit.get(raw) or read(self._machine, raw)
        if isinstance(opened, Outcome):
            return opened
        try:
            sender = self._place(ahead, state, opened, context)
        except TxRejected as refusal:
            return refused(refusal)
        if isinstance(opened, Faulty):
            return opened.refusal
        ahead[opened.signed.envelope.sender] = sender
        return opened

    def _refuse_together(
        self, state: State, carried: Sequence[bytes], found: Mapping[bytes, Checked], declared: Cost
    ) -> Outcome | None:
        """Return why these may not wait together: no block holds them, or one is forged."""
        most = self._in_force(state).max_block_cost
        if declared > most:
            return refused(CostLimitTooHigh(have=declared, limit=most))
        new = _parts([each for each in found.items() if each[0] not in self._before_commit])
        for part in self._each(_until_forged, new) if new else ():
            raw, judged = part[-1]
            if isinstance(judged, Faulty):
                return _named(judged.refusal, carried, raw)
        return None

    def _place(
        self,
        senders: Mapping[AccountId, Account],
        state: State,
        opened: Checked | Faulty,
        context: BlockContext,
    ) -> Account:
        """Return what is left of the sender's account once this one waits. Raises: TxRejected."""
        rules = self._in_force(state)
        check_envelope(opened.signed.envelope, rules, context)
        check_fee(self._machine, state, opened, rules, context)
        return behind(senders, state, opened)

    def _in_force(self, state: State) -> Params:
        if self._rules is None:
            self._rules = params.load(state)
        return self._rules

    def _verify(self, found: Part) -> dict[bytes, Judged]:
        parts = _parts(found)
        judged = self._each(_verified, parts) if len(parts) > 1 else map(_verified, parts)
        return dict(chain.from_iterable(judged))


def _parts(found: Part) -> list[Part]:
    return [found[at : at + PART] for at in range(0, len(found), PART)]


def _verified(part: Part) -> Part:
    return [(raw, verify(judged)) for raw, judged in part]


def _until_forged(part: Part) -> Part:
    """Return part up to the first that is forged, with nothing behind that verified."""
    judged: list[tuple[bytes, Judged]] = []
    for raw, read_only in part:
        judged.append((raw, verify(read_only)))
        if isinstance(judged[-1][1], Faulty):
            break
    return judged


def _named(refusal: Outcome, carried: Sequence[bytes], raw: bytes) -> Outcome:
    """Return the refusal of a bundle for one that it carries."""
    which = f"transaction {carried.index(raw) + 1} of {len(carried)} in the bundle"
    return replace(refusal, reason=f"{which}, {tx.tx_hash(raw).hex()}: {refusal.reason}")
