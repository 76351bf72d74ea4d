from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest

from abci_currency import genesis
from abci_currency.params import RELAYS, REWARDS, SLASHING, STAKING
from dchat.kernel.amounts import UNIT
from genesis import economy as read

SECTIONS = {
    "staking": (STAKING, read.STAKING),
    "slashing": (SLASHING, read.SLASHING),
    "rewards": (REWARDS, read.REWARDS),
    "relays": (RELAYS, read.RELAYS),
}


def rules(toml: str) -> genesis.Rules:
    return read.read(tomllib.loads(toml))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_parameter_can_be_set(name: str) -> None:
    section, keys = SECTIONS[name]
    written = {each.parameter for each in keys.values()}
    derived = {"evidence_max_age_ms"} if name == "slashing" else set[str]()

    assert written | derived == {each.name for each in fields(section.default)}


def test_what_is_left_out_has_its_default() -> None:
    assert rules("") == genesis.Rules()


def test_the_guides_keys_have_the_guides_units() -> None:
    found = rules("""
[staking]
min_validator_stake = 1000000
unbonding_time = 1209600
[slashing]
downtime_jail_duration = 600
double_sign_jail_duration = 86400
missed_blocks_window = 10000
min_signed_per_window = 0.5
""")

    assert found.staking.min_validator_stake == 1_000_000 * UNIT
    assert found.staking.unbonding_ms == 14 * 86_400_000
    assert found.slashing.downtime_jail_ms == 600_000
    assert found.slashing.double_sign_jail_ms == 86_400_000
    assert (found.slashing.missed_blocks_window, found.slashing.min_signed_per_window_bp) == (
        10_000,
        5000,
    )


def test_durations_and_amounts_may_have_a_unit() -> None:
    found = rules('[relays]\nmin_stake = "5udchat"\nescrow_delay = "3d"\nunbonding_time = "2h"\n')

    assert found.relays.min_stake == 5
    assert (found.relays.escrow_delay_ms, found.relays.unbonding_ms) == (259_200_000, 7_200_000)


REFUSED = [
    ("staking = 3", "staking is not a table"),
    ("[staking]\nunbonding = 3", "staking.unbonding is no known key; known are key_rotation_fee"),
    ("[staking]\nunbonding_time = 0", "staking.unbonding_time: unbonding_ms would be 0, not 1000"),
    ("[staking]\nunbonding_time = -1", "staking.unbonding_time: duration is not an integer from"),
    ('[staking]\nunbonding_time = "2y"', "staking.unbonding_time: must be a number"),
    ("[staking]\nmax_validators = 501", "max_validators would be 501, not 1 to 500"),
    ("[staking]\nmax_validators = true", "True is not a whole number"),
    ("[staking]\nmin_validator_stake = 0.5", "0.5 is not printable text"),
    ("[staking]\nmin_validator_stake = 0", "min_validator_stake would be 0, not 1000000"),
    ("[slashing]\nmin_signed_per_window = 1.01", "1.01 is not a fraction from 0 to 1"),
    ("[slashing]\nmin_signed_per_window = -0.5", "-0.5 is not a fraction from 0 to 1"),
    ("[slashing]\ndowntime_slash = 0.00001", "with at most four decimals"),
    ("[slashing]\ndowntime_slash = nan", "nan is not a fraction"),
    ("[slashing]\ndowntime_slash = inf", "inf is not a fraction"),
    ('[slashing]\ndowntime_slash = "1%"', "'1%' is not a fraction like 0.05"),
    ("[rewards]\nfee_burn = true", "True is not a fraction like 0.05"),
    ("[rewards]\nepoch_duration = 59", "epoch_ms would be 59000, not 60000"),
    ('[rewards]\nmax_emission = "99999999999999"', "is more than there can be"),
]


@pytest.mark.parametrize(("toml", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_key_is_refused_by_its_name(toml: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is what is tested
        rules(toml)

    assert reason in str(caught.value)
