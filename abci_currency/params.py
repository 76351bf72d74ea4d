"""The currency chain's parameters: every number of its economy, with bounds.

Each section stands in the state under `("params", name)`, so that a proof shows what is in force;
genesis sets it and a vote may change it. Fractions are in basis points, durations in milliseconds
of block time, amounts in base units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from dchat.kernel import codec
from dchat.kernel.amounts import UNIT
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount
from dchat.kernel.params import DEFAULT as KERNEL
from dchat.kernel.params import Section, section

DEFAULT: Final = replace(KERNEL, fee_per_1000_cost=Amount(1000))
_VALIDATOR_STAKE: Final = Amount(1_000_000 * UNIT)
_RELAY_STAKE: Final = Amount(1_000 * UNIT)
_ROTATION_FEE: Final = Amount(100 * UNIT)
_ONE_TOKEN: Final = Amount(UNIT)
_NOTHING: Final = Amount(0)
BASIS_POINTS: Final = 10_000
DAY_MS: Final = 86_400_000
_SOME: Final = (1, codec.MAX_U64 // 4)
_FRACTION: Final = (0, BASIS_POINTS)
_SPAN: Final = (1000, 3650 * DAY_MS)


@dataclass(frozen=True, slots=True)
class Staking:
    """How stake is bonded, and who of its holders votes."""

    max_validators: int = 100
    """How many of the strongest vote."""
    min_validator_stake: Amount = _VALIDATOR_STAKE
    """What a new validator bonds of its own at least."""
    unbonding_ms: int = 14 * DAY_MS
    """How long stake stays liable after it left a validator."""
    max_unbondings: int = 7
    """Unbondings, and redelegations, that one account may have under way with one validator.

    One order begins or ends as many at a fixed price, which is made for the default."""
    key_rotation_fee: Amount = _ROTATION_FEE
    """Burned when a validator changes its consensus key."""


@dataclass(frozen=True, slots=True)
class Slashing:
    """What a validator loses for being away, and for signing twice."""

    missed_blocks_window: int = 10_000
    """Blocks that count: a streak's beginning reads what was missed in all of them."""
    min_signed_per_window_bp: int = 5000
    """Share of them that must be signed, rounded down."""
    downtime_slash_bp: int = 1
    downtime_jail_ms: int = 600_000
    double_sign_slash_bp: int = 500
    double_sign_jail_ms: int = DAY_MS
    evidence_max_age_ms: int = 14 * DAY_MS
    """Older evidence is refused; never above the unbonding period."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """Where fees go, and how much is issued beyond them."""

    fee_burn_bp: int = 3000
    """Share of a block's fees that is burned, rounded up."""
    fee_treasury_bp: int = 2000
    """Share that the treasury gets, rounded down; stakers get the rest."""
    epoch_ms: int = DAY_MS
    """An epoch's length: emission is counted in whole ones."""
    epoch_emission: Amount = _NOTHING
    """What is issued an epoch."""
    emission_treasury_bp: int = 0
    """Share of it that the treasury gets, rounded down; stakers get the rest."""
    max_emission: Amount = _NOTHING
    """What may ever be issued after genesis."""


@dataclass(frozen=True, slots=True)
class Relays:
    """What relays bond, and how postage is kept for them."""

    min_stake: Amount = _RELAY_STAKE
    unbonding_ms: int = 14 * DAY_MS
    min_escrow: Amount = _ONE_TOKEN
    """What an escrow or an issuer's bond opens with at least."""
    escrow_delay_ms: int = 14 * DAY_MS
    """How long a closing escrow or bond still answers for claims."""
    token_epoch_ms: int = 7 * DAY_MS
    """How long one key for delivery tokens is good for; epochs are counted from 1970 on."""


STAKING: Final = section(
    "staking",
    Staking(),
    {
        "max_validators": (1, 500),
        "min_validator_stake": (UNIT, codec.MAX_U64 // 4),
        "unbonding_ms": _SPAN,
        "max_unbondings": (1, 16),
        "key_rotation_fee": (0, codec.MAX_U64 // 4),
    },
)
SLASHING: Final = section(
    "slashing",
    Slashing(),
    {
        "missed_blocks_window": (10, 100_000),
        "min_signed_per_window_bp": _FRACTION,
        "downtime_slash_bp": _FRACTION,
        "downtime_jail_ms": (0, 365 * DAY_MS),
        "double_sign_slash_bp": _FRACTION,
        "double_sign_jail_ms": (0, 3650 * DAY_MS),
        "evidence_max_age_ms": _SPAN,
    },
)
REWARDS: Final = section(
    "rewards",
    Rewards(),
    {
        "fee_burn_bp": _FRACTION,
        "fee_treasury_bp": _FRACTION,
        "epoch_ms": (60_000, 365 * DAY_MS),
        "epoch_emission": (0, codec.MAX_U64 // 4),
        "emission_treasury_bp": _FRACTION,
        "max_emission": (0, codec.MAX_U64 // 4),
    },
)
RELAYS: Final = section(
    "relays",
    Relays(),
    {
        "min_stake": _SOME,
        "unbonding_ms": _SPAN,
        "min_escrow": _SOME,
        "escrow_delay_ms": _SPAN,
        "token_epoch_ms": (3_600_000, 365 * DAY_MS),
    },
)
SECTIONS: Final[Mapping[str, Section[Any]]] = MappingProxyType(
    {each.name: each for each in (STAKING, SLASHING, REWARDS, RELAYS)}
)
"""All of them, by name; the kernel's own section stands beside them."""


def check_together(staking: Staking, slashing: Slashing, rewards: Rewards) -> None:
    """Return if the sections, each within its bounds, fit together. Raises: ParameterOutOfBounds.

    Fees are shared out once at most, and what answers for an offence is still there to answer.
    """
    left = BASIS_POINTS - rewards.fee_burn_bp
    if rewards.fee_treasury_bp > left:
        raise ParameterOutOfBounds("fee_treasury_bp", rewards.fee_treasury_bp, 0, left)
    oldest, liable = slashing.evidence_max_age_ms, staking.unbonding_ms
    if oldest > liable:
        raise ParameterOutOfBounds("evidence_max_age_ms", oldest, _SPAN[0], liable)
