"""The supply report: what was issued and burned, and who holds the rest, in lines that add up.

It reads the supply's record and the pools' accounts and nothing else: a client that has each of
these proved at one height makes the report itself, and believes nobody for a line of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from abci_currency.state import pools
from dchat.kernel import accounts, supply
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.ids import Amount
from dchat.kernel.store import State


@dataclass(frozen=True, slots=True)
class Report:
    """Where all base units are: issued = burned + total, and total is the sum of what follows."""

    issued: Amount
    burned: Amount
    total: Amount
    liquid: Amount
    """In accounts that a key opens."""
    staked: Amount
    """With validators, voting or not."""
    unbonding: Amount
    """Left a validator and not yet paid out; slashes of it are burned then."""
    vesting: Amount
    """Locked in genesis, neither claimed nor staked; staked ones count as staked."""
    rewards: Amount
    """Earned and not withdrawn, commission and rounding dust included."""
    treasury: Amount
    relay_stakes: Amount
    escrowed: Amount
    """Postage set aside for relays."""
    issuer_bonds: Amount


def of_state(state: State) -> Report:
    """Return the report of a state.

    Raises: InvariantBroken where records contradict each other.
    """
    record = supply.load(state)
    held = {pool: accounts.load(state, pool).balance for pool in pools.NAMES}
    total = record.issued - record.burned
    liquid = total - sum(held.values())
    if liquid < 0:
        raise InvariantBroken(f"pools hold {sum(held.values())}, and the supply is {total}")
    return Report(
        issued=record.issued,
        burned=record.burned,
        total=Amount(total),
        liquid=Amount(liquid),
        staked=held[pools.STAKED],
        unbonding=held[pools.UNBONDING],
        vesting=held[pools.VESTING],
        rewards=held[pools.REWARDS],
        treasury=held[pools.TREASURY],
        relay_stakes=held[pools.RELAY_STAKES],
        escrowed=held[pools.ESCROWS],
        issuer_bonds=held[pools.ISSUER_BONDS],
    )
