"""Validators of the currency chain that sign, stay away and sign twice, without a CometBFT."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from abci_currency.hooks import active_set
from abci_currency.state import rewards, stake, staking
from abci_currency.state.stake import Commission, Validator
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext, Misbehaviour, Offence, Vote
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, BOB, CAROL, CHAIN, START, MemoryState, give

UNIT = stake.POWER_UNIT
OPERATORS = (ALICE.id, BOB.id, CAROL.id)
"""The first three; `operator` gives as many as one likes."""
_TERMS = Commission(0, 10_000, 10_000, EpochMs(0))


def operator(at: int) -> AccountId:
    return OPERATORS[at] if at < len(OPERATORS) else AccountId(at.to_bytes(32, "big"))


def consensus_key(at: int) -> bytes:
    return b"consensus key" + at.to_bytes(19, "big")


def address(at: int) -> bytes:
    return stake.address_of(consensus_key(at))


def founded(*tokens: int, least: int = 0) -> Draft:
    """Return a state in which validators with so many base units of their own stake vote."""
    draft = Draft(MemoryState())
    rewards.begin(draft, START)
    for at, units in enumerate(tokens):
        staking.open_validator(
            draft, operator(at), consensus_key(at), f"validator {at}", (_TERMS, Amount(least))
        )
        give(draft, operator(at), units)
        staking.bond(draft, operator(at), operator(at), Amount(units), operator(at))
    active_set.begin(draft)
    return Draft(MemoryState().after(draft.writes()))


def committed(draft: Draft) -> Draft:
    """Return an empty draft on a state that has all of this one in it."""
    return Draft(MemoryState(dict(draft.scan(b""))))


def validator(draft: Draft, at: int = 0) -> Validator:
    return staking.found(draft, operator(at))


def time_at(height: int) -> EpochMs:
    return EpochMs(START + 1000 * height)


def block(
    height: int, away: Collection[int] = (), of: int = 3, power: int = 1000, **changes: object
) -> BlockContext:
    """Return a block that says who of the first `of` validators missed the one before."""
    votes = tuple([Vote(address(at), power, at not in away) for at in range(of)])
    context = BlockContext(CHAIN, Height(height), time_at(height), b"", votes)
    return replace(context, **changes)


def twice(at: int, height: int, power: int = 1000, light: bool = False) -> Misbehaviour:
    """Return the evidence of an offence."""
    offence = Offence.LIGHT_CLIENT_ATTACK if light else Offence.DUPLICATE_VOTE
    return Misbehaviour(offence, address(at), power, Height(height), time_at(height))
