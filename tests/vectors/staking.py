"""What the vectors of stake begin with, and what its holders order."""

from __future__ import annotations

from dataclasses import replace

from abci_currency.state import leaving, liability, staking
from abci_currency.txs import consensus_key
from abci_currency.txs.consensus_key import RotateConsensusKey
from abci_currency.txs.delegate import (
    DELEGATE,
    REDELEGATE,
    UNDELEGATE,
    Delegate,
    Redelegate,
    Undelegate,
)
from abci_currency.txs.validator import CREATE, EDIT, EditValidator
from dchat.kernel.amounts import UNIT
from dchat.kernel.codec import Raw
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.store import Draft
from tests.fakes.currency import DAVE, ERIN, RULES, UNBONDING_MS, as_, begun, form, voter
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, Person, signed

LEAST = Amount(100 * UNIT)
NEW = voter(ALICE, 1)


def start() -> MemoryState:
    """Return a state in which dave's unbonding and redelegation from alice, slashed, are due."""
    state = begun((ALICE, BOB))
    draft, then = Draft(state), replace(as_(DAVE, 0), block_time_ms=EpochMs(START - UNBONDING_MS))
    staking.bond(draft, DAVE.id, ALICE.id, Amount(9 * UNIT), DAVE.id)
    leaving.unbond(draft, then, ALICE.id, 4 * UNIT)
    leaving.redelegate(draft, then, ALICE.id, BOB.id, 5 * UNIT)
    slash = liability.Slash(1, Height(0), 500, Amount(9 * UNIT), Amount(0), START)
    liability.record(draft, ALICE.id, slash, Height(1))
    return state.after(draft.writes())


def orders() -> list[bytes]:
    """Return every order as it is carried out, and as it is refused most often."""
    return [
        signed(DAVE, _delegate(ALICE, 5 * UNIT)),
        signed(DAVE, _delegate(BOB, 7 * UNIT), 1),
        signed(DAVE, _delegate(CAROL, 1), 2),
        signed(DAVE, _undelegate(ALICE, 2 * UNIT), 3),
        signed(DAVE, _undelegate(ALICE, 4 * UNIT), 4),
        signed(DAVE, _redelegate(ALICE, BOB, 3 * UNIT), 5),
        signed(DAVE, _redelegate(BOB, ALICE, 13 * UNIT), 6),
        signed(DAVE, _undelegate(BOB, 13 * UNIT), 7),
        signed(CAROL, CREATE.body(form(CAROL))),
        signed(CAROL, CREATE.body(form(CAROL)), 1),
        signed(ERIN, CREATE.body(form(ERIN, LEAST - 1, min_self_delegation=Amount(1)))),
        signed(ERIN, CREATE.body(form(ERIN, LEAST))),
        signed(ERIN, CREATE.body(form(ERIN, LEAST)), 1),
        signed(ALICE, EDIT.body(EditValidator("alice", 1000, Amount(LEAST + 1)))),
        signed(ALICE, EDIT.body(EditValidator("alice", 1001, Amount(LEAST + 1))), 1),
        signed(ALICE, EDIT.body(EditValidator("alice", 1000, LEAST)), 2),
        signed(ALICE, _rotate(), 3),
        signed(ALICE, _rotate(), 4),
        signed(ALICE, _undelegate(ALICE, 900 * UNIT), 5),
    ]


def _delegate(operator: Person, amount: int) -> tuple[Raw, ...]:
    return DELEGATE.body(Delegate(operator.id, Amount(amount)))


def _undelegate(operator: Person, amount: int) -> tuple[Raw, ...]:
    return UNDELEGATE.body(Undelegate(operator.id, Amount(amount)))


def _redelegate(source: Person, target: Person, amount: int) -> tuple[Raw, ...]:
    return REDELEGATE.body(Redelegate(source.id, target.id, Amount(amount)))


def _rotate() -> tuple[Raw, ...]:
    proof = consensus_key.prove(NEW.seed, CHAIN, ALICE.id)
    order = RotateConsensusKey(NEW.public_key, proof, RULES.key_rotation_fee)
    return consensus_key.FAMILY.body(order)
