"""What CheckTx knows beyond the committed state: nonces, fees and spending of what waits.

What a waiting transaction may spend is gone for those behind it. Otherwise one transfer could empty
an account in front of a block full of transactions that then pay no fee.

After each commit the pool forgets what waits, and CometBFT shows it every waiting transaction
again, in order, before anything new. Such a recheck is a few look-ups, because a transaction is
decoded and verified once and then remembered until a block carries it or a recheck leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dchat.kernel import accounts, params, tx
from dchat.kernel.accounts import Account
from dchat.kernel.errors import PoolFull, TxRejected
from dchat.kernel.ids import AccountId
from dchat.kernel.machine import (
    BlockContext,
    Checked,
    Machine,
    Outcome,
    Verified,
    charged,
    check_body,
    check_envelope,
    check_nonce,
    check_sender,
    describe,
)
from dchat.kernel.params import Params
from dchat.kernel.store import State

MAX_REMEMBERED: Final = 200_000


class Pool:
    """Decides which transactions may wait for a block; remembers at most `most` of them."""

    def __init__(self, machine: Machine, most: int = MAX_REMEMBERED) -> None:
        self._machine = machine
        self._most = most
        self._verified: dict[bytes, Checked] = {}
        self._before_commit: dict[bytes, Checked] = {}
        self._senders: dict[AccountId, Account] = {}
        self._rules: Params | None = None

    @property
    def verified(self) -> Verified:
        """Return the waiting transactions, whose signatures were checked, by their bytes."""
        return self._verified

    def check(self, state: State, raw: bytes, context: BlockContext) -> Outcome:
        """Return code 0 if raw may wait for the next block, whose context is given.

        The transaction then counts as waiting. A refused one leaves no trace.
        """
        known = self._before_commit.pop(raw, None)
        try:
            checked = known or self._decode(raw)
            sender = self._place(state, checked, context)
            if known is None:
                tx.verify(checked.signed)
        except TxRejected as refusal:
            return Outcome(refusal.code, describe(refusal))
        envelope = checked.signed.envelope
        self._senders[envelope.sender] = sender
        self._verified[raw] = checked
        return Outcome(0, "", envelope.cost_limit)

    def commit(self, included: Sequence[bytes]) -> None:
        """Forget what a block has carried and what waited; rechecks bring back what still waits."""
        for raw in included:
            self._verified.pop(raw, None)
        self._before_commit = self._verified
        self._verified = {}
        self._senders.clear()
        self._rules = None

    def _decode(self, raw: bytes) -> Checked:
        if len(self._verified) >= self._most:
            raise PoolFull(f"{self._most} transactions are waiting")
        return check_body(self._machine, tx.decode(raw))

    def _place(self, state: State, checked: Checked, context: BlockContext) -> Account:
        """Return what is left of the sender's account once this one waits. Raises: TxRejected."""
        envelope = checked.signed.envelope
        if self._rules is None:
            self._rules = params.load(state)
        check_envelope(envelope, self._rules, context)
        sender = self._senders.get(envelope.sender) or accounts.load(state, envelope.sender)
        check_sender(envelope, sender)
        check_nonce(envelope, sender)
        return charged(sender, envelope, checked.prepared.spends)
