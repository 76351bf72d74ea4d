"""What a validator's settings say of stake, held against the genesis that decides it for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from abci_currency.genesis import Rules
from dchat.kernel.amounts import UNIT, show_amount
from dchat.kernel.errors import OperatorError
from dchat.kernel.ids import Amount, ChainId
from dchat.node.config import ValidatorConfig
from dchat.node.identity import Identity
from dchat.operator import bonding
from dchat.operator.bonding import Bonding, CannotStake, Wish
from genesis.fields import basis_points

MS_PER_S: Final = 1000
_ONE: Final = Amount(1)


class RulesDiffer(OperatorError):
    """The settings ask for another rule than genesis has."""

    hint = "leave it out: genesis decides it for everybody"


def check_rules(settings: ValidatorConfig, rules: Rules) -> None:
    """Return if the settings repeat what genesis says. Raises: RulesDiffer."""
    for key, wanted, found in _pairs(settings, rules):
        if wanted is not None and wanted != found:
            raise RulesDiffer(f"{key} is {wanted}, genesis says {found}")


def _pairs(settings: ValidatorConfig, rules: Rules) -> Iterator[tuple[str, object, object]]:
    """Yield each key that genesis decides: its name, what the settings say, what genesis says."""
    staking, slashing = settings.staking, settings.slashing
    signed = slashing.min_signed_per_window
    yield "staking.unbonding_time", staking.unbonding_time, rules.staking.unbonding_ms // MS_PER_S
    yield (
        "slashing.downtime_jail_duration",
        slashing.downtime_jail_duration,
        rules.slashing.downtime_jail_ms // MS_PER_S,
    )
    yield (
        "slashing.double_sign_jail_duration",
        slashing.double_sign_jail_duration,
        rules.slashing.double_sign_jail_ms // MS_PER_S,
    )
    yield (
        "slashing.missed_blocks_window",
        slashing.missed_blocks_window,
        rules.slashing.missed_blocks_window,
    )
    yield (
        "slashing.min_signed_per_window, in basis points,",
        None if signed is None else _points(signed, "slashing.min_signed_per_window"),
        rules.slashing.min_signed_per_window_bp,
    )


def bonding_of(
    settings: ValidatorConfig, owner: Identity, consensus_seed: bytes, chain_id: ChainId
) -> Bonding | None:
    """Return what is to be staked, None where the settings ask for nothing. Raises: CannotStake."""
    wish = _wish(settings)
    if wish is None:
        return None
    form = bonding.form(owner, consensus_seed, chain_id, wish)
    return Bonding(owner, chain_id, form, Path(settings.validator.data_dir) / bonding.JOURNAL)


def check_stake(settings: ValidatorConfig, rules: Rules) -> None:
    """Return if a new validator may stake what the settings say. Raises: CannotStake."""
    wanted, least = settings.staking.initial_stake, rules.staking.min_validator_stake
    if wanted is not None and wanted * UNIT < least:
        raise CannotStake(
            f"a stake of {wanted} DCHAT is below the network's minimum of {show_amount(least)}",
            f"give --stake {-(-least // UNIT)} or more, or none to run a full node",
        )


def _wish(settings: ValidatorConfig) -> Wish | None:
    staking = settings.staking
    if staking.initial_stake is None:
        return None
    kept = staking.min_self_delegation
    return Wish(
        moniker=settings.validator.moniker,
        stake=Amount(staking.initial_stake * UNIT),
        min_self_delegation=_ONE if kept is None else Amount(kept * UNIT),
        rate_bp=_points(staking.commission, "staking.commission"),
        max_rate_bp=_points(staking.max_commission, "staking.max_commission"),
        max_change_bp=_points(staking.max_commission_change, "staking.max_commission_change"),
    )


def _points(fraction: float, key: str) -> int:
    try:
        return basis_points(fraction)
    except ValueError as fault:
        raise CannotStake(f"{key}: {fault}", "write a fraction like 0.05") from None
