"""What a validator loses: stake that is burned, and its place among those who vote.

Tokens of a validator burn at once, from the pool of stake. What left it bears its part when it is
due, see liability.py; who was away is counted in presence.py. A validator that is jailed leaves the
set two blocks later; what it misses until then does not count, nor what it missed before.

The set that CometBFT has is never emptied (hooks/active_set.py). Were all validators in jail, the
last set would go on, unpunished for being away, until one is freed. Absence alone does not lead
there if half of the window must be signed: every commit has more than two thirds of the power, so
those who miss more than half of the blocks have less than two thirds between them.
Source: the rules of Cosmos SDK x/slashing and x/evidence; ADR 14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_currency import params
from abci_currency.state import pools, presence, rewards, stake, staking
from abci_currency.state.liability import SET_DELAY, Fault, Slash, left_since, record
from dchat.kernel import holdings
from dchat.kernel.codec import MAX_U64
from dchat.kernel.family import Event
from dchat.kernel.ids import AccountId, Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft

_FOR_EVER: Final = EpochMs(MAX_U64)
_NOTHING: Final = Amount(0)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a validator is slashed for."""

    fault: Fault
    offence_height: Height
    tokens_then: Amount
    """Its stake at that height."""
    fraction_bp: int


@dataclass(frozen=True, slots=True)
class Slashed(Event):
    """A validator lost stake."""

    operator: AccountId
    fault: int
    offence_height: Height
    fraction_bp: int
    burned: Amount
    """What its present stake bore; what left it bears its part later."""


@dataclass(frozen=True, slots=True)
class Jailed(Event):
    """A validator may not vote until it is freed, and not be freed before a time."""

    operator: AccountId
    until_ms: EpochMs


@dataclass(frozen=True, slots=True)
class Tombstoned(Event):
    """A validator will never vote again."""

    operator: AccountId


def stake_of(power: int) -> Amount:
    """Return the stake that votes with this power; what is below a unit of power is not known."""
    return Amount(min(power * stake.POWER_UNIT, MAX_U64))


def slash(
    draft: Draft, operator: AccountId, charge: Charge, context: BlockContext
) -> tuple[Event, ...]:
    """Take the charge's fraction off the stake of back then, rounded up, wherever it is now.

    A fraction of nothing leaves no trace.
    """
    if not charge.fraction_bp:
        return ()
    rewards.accrue(draft, context.block_time_ms)
    burned = _burn(draft, operator, charge)
    made = Slash(
        fault=int(charge.fault),
        offence_height=charge.offence_height,
        fraction_bp=charge.fraction_bp,
        tokens_then=charge.tokens_then,
        burned=burned,
        time_ms=context.block_time_ms,
    )
    record(draft, operator, made, context.height)
    told = Slashed(operator, made.fault, made.offence_height, made.fraction_bp, burned)
    return (told,)


def _burn(draft: Draft, operator: AccountId, charge: Charge) -> Amount:
    """Burn the part of what did not leave meanwhile, as far as it is there."""
    before = stake.validator(draft, operator)
    if before is None:
        return _NOTHING
    stayed = max(0, charge.tokens_then - left_since(draft, operator, charge.offence_height))
    due = -(-stayed * charge.fraction_bp // params.BASIS_POINTS)
    burned = Amount(min(due, before.tokens))
    after = replace(before, tokens=Amount(before.tokens - burned))
    staking.replace_validator(draft, operator, before, after)
    holdings.burn(draft, pools.STAKED, burned)
    return burned


def jail(draft: Draft, operator: AccountId, until_ms: EpochMs) -> tuple[Event, ...]:
    """Let a validator not vote before it is freed, at until_ms or later; it begins anew then."""
    told = set_aside(draft, operator, until_ms)
    if told:
        presence.count_from(draft, operator, presence.NEVER)
    return told


def set_aside(draft: Draft, operator: AccountId, until_ms: EpochMs) -> tuple[Event, ...]:
    """Let a validator that has done no wrong not vote before it is freed; what it missed counts.

    An operator can bring this about at will, and be freed in the same block.
    """
    before = stake.validator(draft, operator)
    if before is None:
        return ()
    until = max(before.jailed_until, until_ms)
    after = replace(before, jailed=True, jailed_until=until)
    staking.replace_validator(draft, operator, before, after)
    return (Jailed(operator, until),)


def tombstone(draft: Draft, operator: AccountId) -> tuple[Event, ...]:
    """Let a validator never vote again."""
    before = stake.validator(draft, operator)
    if before is None:
        return ()
    after = replace(before, jailed=True, jailed_until=_FOR_EVER, tombstoned=True)
    staking.replace_validator(draft, operator, before, after)
    presence.count_from(draft, operator, presence.NEVER)
    return (Tombstoned(operator),)


def free(draft: Draft, operator: AccountId, height: Height) -> None:
    """Let a jailed validator vote again: two blocks after this one at the earliest.

    Only who was punished begins anew.
    """
    before = staking.found(draft, operator)
    staking.replace_validator(draft, operator, before, replace(before, jailed=False))
    if presence.conduct(draft, operator).counted_from == presence.NEVER:
        presence.count_from(draft, operator, Height(height + SET_DELAY))
