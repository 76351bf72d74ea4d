"""The supply report: what was issued and burned, and who holds the rest, in lines that add up."""

from __future__ import annotations

from dataclasses import dataclass

from abci_currency.state import pools
from dchat.kernel import supply
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
    found = supply.report(state, pools.NAMES)
    held = found.held
    return Report(
        issued=found.issued,
        burned=found.burned,
        total=found.total,
        liquid=found.liquid,
        staked=held[pools.STAKED],
        unbonding=held[pools.UNBONDING],
        vesting=held[pools.VESTING],
        rewards=held[pools.REWARDS],
        treasury=held[pools.TREASURY],
        relay_stakes=held[pools.RELAY_STAKES],
        escrowed=held[pools.ESCROWS],
        issuer_bonds=held[pools.ISSUER_BONDS],
    )
