"""Audits: what must hold of every state between two blocks, found by walking all of it.

For tests, and for whoever doubts a state. No rule calls it: each keeps its own part true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from abci_currency import keys
from abci_currency.state import escrows, pools, relays, rewards, stake, supply, vesting
from abci_currency.state.rewards import ValidatorRewards
from abci_currency.state.stake import Delegation, Validator
from dchat.kernel import accounts, codec, due
from dchat.kernel import supply as kernel
from dchat.kernel.accounts import ACCOUNT_ID, ACCOUNT_ID_BYTES
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import AccountId
from dchat.kernel.store import State

_NOTHING: Final = ValidatorRewards()


@dataclass(frozen=True, slots=True)
class Stakes:
    """All records of stake, read once."""

    validators: Mapping[AccountId, Validator]
    delegations: Mapping[tuple[AccountId, AccountId], Delegation]
    """By delegator and operator."""


def check_invariants(state: State) -> None:
    """Return if every unit is where the records say. Walks everything. Raises: InvariantBroken."""
    kernel.check_invariant(state)
    supply.of_state(state)
    stakes = read_stakes(state)
    check_stakes(state, stakes)
    check_power(state, stakes)
    check_leaving(state, stakes)
    check_rewards(state, stakes)
    relays.check_invariant(state)
    escrows.check_invariant(state)
    vesting.check_invariant(state)


def read_stakes(state: State) -> Stakes:
    """Return all records of stake."""
    validators = {
        AccountId(key[-ACCOUNT_ID_BYTES:]): stake.VALIDATOR.decode_own(record)
        for key, record in state.scan(keys.VALIDATORS)
    }
    delegations = {
        _delegation_of(key): stake.DELEGATION.decode_own(record)
        for key, record in state.scan(keys.DELEGATIONS)
    }
    return Stakes(validators, delegations)


def check_stakes(state: State, stakes: Stakes) -> None:
    """Return if tokens are in the pool, and shares are what delegators hold.

    Raises: InvariantBroken.
    """
    tokens = sum(each.tokens for each in stakes.validators.values())
    _same("tokens of validators and their pool", tokens, _held(state, pools.STAKED))
    shares: defaultdict[AccountId, int] = defaultdict(int)
    for (_, operator), held in stakes.delegations.items():
        shares[operator] += held.shares
        _need(held.shares > 0, "a delegation without shares")
        _need(held.liable_shares <= held.shares, "more shares are liable than there are")
    for operator, validator in stakes.validators.items():
        _same("shares of a validator and its delegators", validator.shares, shares.pop(operator, 0))
        _need(validator.tokens <= validator.shares, "a share is worth more than a base unit")
    _need(not shares, "a delegation to no validator")


def check_power(state: State, stakes: Stakes) -> None:
    """Return if the index of power names those who may vote. Raises: InvariantBroken."""
    may = {
        keys.power(each.tokens, operator)
        for operator, each in stakes.validators.items()
        if not each.jailed and each.tokens >= stake.POWER_UNIT
    }
    _need({key for key, _ in state.scan(keys.POWERS)} == may, "the index of power is not the power")


def check_leaving(state: State, stakes: Stakes) -> None:
    """Return if the pool holds what is on its way out, and whatever is will end.

    Raises: InvariantBroken.
    """
    leaving = {
        key: stake.UNBONDING.decode_own(record) for key, record in state.scan(keys.UNBONDINGS)
    }
    moved = {
        key: stake.REDELEGATION.decode_own(record) for key, record in state.scan(keys.REDELEGATIONS)
    }
    tokens = sum(each.tokens for each in leaving.values())
    _same("unbonding entries and their pool", tokens, _held(state, pools.UNBONDING))
    for key, entry in [*leaving.items(), *moved.items()]:
        queued = state.get(due.key(entry.due, key))
        _need(queued is not None, "an entry that would never end")
    liable: defaultdict[tuple[AccountId, AccountId], int] = defaultdict(int)
    for key, entry in moved.items():
        liable[_delegation_of(key)] += entry.shares
    for pair, held in stakes.delegations.items():
        _same("liable shares and redelegations", held.liable_shares, liable.pop(pair, 0))
    _need(not liable, "a redelegation to where there are no shares")


def check_rewards(state: State, stakes: Stakes) -> None:
    """Return if whoever voted shares, and the pool covers everything that can be claimed.

    Raises: InvariantBroken.
    """
    totals, pool = rewards.totals(state), _held(state, pools.REWARDS)
    active = sum(each.tokens for each in stakes.validators.values() if each.active)
    _same("active tokens and their sum", totals.active_tokens, active)
    claimable = claimable_scaled(state, stakes)
    _need(
        claimable <= pool * rewards.SCALE,
        f"{claimable} / {rewards.SCALE} may be claimed, the pool holds {pool}",
    )


def claimable_scaled(state: State, stakes: Stakes) -> int:
    """Return all that could be claimed now, fractions of base units included, times SCALE."""
    totals = rewards.totals(state)
    earned = {operator: rewards.of_validator(state, operator) for operator in _earners(state)}
    for operator, validator in stakes.validators.items():
        before = earned.get(operator, _NOTHING)
        earned[operator] = rewards.caught_up(totals, validator, before)
    return sum(each.commission for each in earned.values()) + sum(
        held.shares * (earned[operator].per_share - held.paid_per_share)
        for (_, operator), held in stakes.delegations.items()
    )


def _earners(state: State) -> list[AccountId]:
    return [AccountId(key[-ACCOUNT_ID_BYTES:]) for key, _ in state.scan(keys.VALIDATORS_REWARDS)]


def _delegation_of(key: bytes) -> tuple[AccountId, AccountId]:
    """Return the delegator and the operator that a key names behind its first word."""
    _, delegator, operator, *_ = codec.unpack_array(key)
    return AccountId(ACCOUNT_ID.lift(delegator)), AccountId(ACCOUNT_ID.lift(operator))


def _held(state: State, pool: AccountId) -> int:
    return accounts.load(state, pool).balance


def _same(what: str, left: int, right: int) -> None:
    _need(left == right, f"{what} differ: {left} and {right}")


def _need(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise InvariantBroken(otherwise)
