"""The currency chain's parameters as a settings file writes them: the guide's names and units.

[staking]                                # every key may be left out
max_validators = 100
min_validator_stake = 1000000            # DCHAT
unbonding_time = 1209600                 # seconds, or "14d"
max_unbondings = 7
key_rotation_fee = 100

[slashing]
missed_blocks_window = 10000
min_signed_per_window = 0.5              # fractions, to four decimals
downtime_slash = 0.0001
downtime_jail_duration = 600
double_sign_slash = 0.05
double_sign_jail_duration = 86400

[rewards]
fee_burn = 0.3
fee_treasury = 0.2
epoch_duration = 86400
epoch_emission = 0
emission_treasury = 0.0
max_emission = 0

[relays]
min_stake = 1000
unbonding_time = 1209600
min_escrow = 1
escrow_delay = 1209600
token_epoch = 604800
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from abci_currency import params
from abci_currency.genesis import Rules
from genesis import sections
from genesis.fields import Fields, amount, basis_points, whole
from genesis.sections import Key, milliseconds

STAKING: Final[Mapping[str, Key]] = MappingProxyType(
    {
        "max_validators": Key("max_validators", whole),
        "min_validator_stake": Key("min_validator_stake", amount),
        "unbonding_time": Key("unbonding_ms", milliseconds),
        "max_unbondings": Key("max_unbondings", whole),
        "key_rotation_fee": Key("key_rotation_fee", amount),
    }
)
SLASHING: Final[Mapping[str, Key]] = MappingProxyType(
    {
        "missed_blocks_window": Key("missed_blocks_window", whole),
        "min_signed_per_window": Key("min_signed_per_window_bp", basis_points),
        "downtime_slash": Key("downtime_slash_bp", basis_points),
        "downtime_jail_duration": Key("downtime_jail_ms", milliseconds),
        "double_sign_slash": Key("double_sign_slash_bp", basis_points),
        "double_sign_jail_duration": Key("double_sign_jail_ms", milliseconds),
    }
)
REWARDS: Final[Mapping[str, Key]] = MappingProxyType(
    {
        "fee_burn": Key("fee_burn_bp", basis_points),
        "fee_treasury": Key("fee_treasury_bp", basis_points),
        "epoch_duration": Key("epoch_ms", milliseconds),
        "epoch_emission": Key("epoch_emission", amount),
        "emission_treasury": Key("emission_treasury_bp", basis_points),
        "max_emission": Key("max_emission", amount),
    }
)
RELAYS: Final[Mapping[str, Key]] = MappingProxyType(
    {
        "min_stake": Key("min_stake", amount),
        "unbonding_time": Key("unbonding_ms", milliseconds),
        "min_escrow": Key("min_escrow", amount),
        "escrow_delay": Key("escrow_delay_ms", milliseconds),
        "token_epoch": Key("token_epoch_ms", milliseconds),
    }
)
NAMES: Final = frozenset(params.SECTIONS)


def read(fields: Fields) -> Rules:
    """Return the parameters in parsed TOML; what is left out has its default.

    Raises: ValueError naming the key that is unknown, unreadable or out of bounds.
    """
    return Rules(
        staking=sections.read(fields, params.STAKING, STAKING),
        slashing=sections.read(fields, params.SLASHING, SLASHING),
        rewards=sections.read(fields, params.REWARDS, REWARDS),
        relays=sections.read(fields, params.RELAYS, RELAYS),
    )
