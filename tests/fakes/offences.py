"""Validators that are away, sign twice and serve their terms: what the vectors of slashing do."""

from __future__ import annotations

from abci_currency import params
from abci_currency.params import DEFAULT, Slashing
from abci_currency.state import slashing
from abci_currency.txs.unjail import FAMILY, Unjail
from dchat.kernel import params as kernel
from dchat.kernel.ids import EpochMs
from dchat.kernel.machine import BlockContext
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, give, signed
from tests.fakes.voters import UNIT, block, committed, founded, operator, twice

STAKE = 1000 * UNIT
RULES = Slashing(missed_blocks_window=10, min_signed_per_window_bp=5000, downtime_jail_ms=5000)
NEVER = EpochMs(2**63)


def started() -> MemoryState:
    """Return a chain of three validators, of which five of ten blocks may be missed."""
    draft = founded(STAKE, STAKE, STAKE)
    params.SLASHING.save(draft, RULES)
    return MemoryState(dict(draft.scan(b"")))


def blocks() -> list[BlockContext]:
    """Return blocks in which alice is away, bob flaps and carol signs twice, twice."""
    return [
        block(2, away=(0, 1)),
        block(3, away=(0,)),
        block(4, away=(0, 1)),
        *[block(height, away=(0,)) for height in (5, 6)],
        block(7, away=(0,), misbehaviour=(twice(2, 5), twice(2, 6, light=True))),
        block(8, away=(0, 1)),
        block(20, of=2, misbehaviour=(twice(2, 9, power=950), twice(1, 1))),
        block(21, of=2),
    ]


def jailed() -> MemoryState:
    """Return a chain on which alice's term is over, bob's is not, and carol does not validate."""
    draft = founded(STAKE, STAKE)
    kernel.save(draft, DEFAULT)
    slashing.jail(draft, operator(0), EpochMs(1))
    slashing.jail(draft, operator(1), NEVER)
    for at in range(3):
        give(draft, operator(at), 100_000)
    return MemoryState(dict(committed(draft).scan(b"")))


def orders() -> list[bytes]:
    """Return what they ask for: to be freed."""
    body = FAMILY.body(Unjail())
    return [signed(ALICE, body), signed(ALICE, body, 1), signed(BOB, body), signed(CAROL, body)]
