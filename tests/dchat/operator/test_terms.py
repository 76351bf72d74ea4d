from __future__ import annotations

from pathlib import Path

import pytest

from abci_currency.genesis import Rules
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import ChainId
from dchat.node import config, identity
from dchat.node.config import ValidatorConfig
from dchat.operator import terms
from dchat.operator.bonding import CannotStake
from dchat.operator.terms import RulesDiffer

GUIDE = """
[staking]
initial_stake = 1000000
min_self_delegation = 100000
unbonding_time = 1209600
[slashing]
downtime_jail_duration = 600
double_sign_jail_duration = 86400
missed_blocks_window = 10000
min_signed_per_window = 0.5
"""


def settings(folder: Path, toml: str) -> ValidatorConfig:
    path = folder / "validator.toml"
    own = f'[validator]\nidentity_file = "id"\nchain_id = "x"\ndata_dir = "{folder}"\n'
    path.write_text(own + 'moniker = "mine"\n' + toml)
    return config.load(ValidatorConfig, path, {}, {}).settings


def test_the_guides_numbers_are_the_defaults_of_a_network(tmp_path: Path) -> None:
    found = settings(tmp_path, GUIDE)

    terms.check_rules(found, Rules())
    terms.check_stake(found, Rules())


DIFFERENT = [
    ("unbonding_time = 1209600", "unbonding_time = 60", "staking.unbonding_time is 60, genesis"),
    ("duration = 600", "duration = 5", "slashing.downtime_jail_duration is 5, genesis says 600"),
    ("86400", "5", "slashing.double_sign_jail_duration is 5, genesis says 86400"),
    ("10000\n", "9\n", "slashing.missed_blocks_window is 9, genesis says 10000"),
    ("= 0.5", "= 0.6", "slashing.min_signed_per_window, in basis points, is 6000, genesis says"),
]


@pytest.mark.parametrize(("old", "new", "reason"), DIFFERENT, ids=[each[2] for each in DIFFERENT])
def test_another_rule_than_genesis_has_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    found = settings(tmp_path, GUIDE.replace(old, new, 1))

    with pytest.raises(RulesDiffer, match=reason):
        terms.check_rules(found, Rules())


def test_a_stake_below_the_minimum_is_refused_with_the_least_that_is_enough(
    tmp_path: Path,
) -> None:
    with pytest.raises(CannotStake, match=r"999999 DCHAT is below .* minimum of 1000000") as caught:
        terms.check_stake(settings(tmp_path, "[staking]\ninitial_stake = 999999\n"), Rules())

    assert caught.value.hint == "give --stake 1000000 or more, or none to run a full node"


def test_without_a_stake_nothing_is_bonded(tmp_path: Path) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    assert terms.bonding_of(settings(tmp_path, ""), owner, b"k" * 32, ChainId("x")) is None


def test_what_is_bonded_is_what_the_settings_say(tmp_path: Path) -> None:
    owner = identity.create(tmp_path / "id.json", "node")

    asked = terms.bonding_of(
        settings(tmp_path, GUIDE + "[database]\n"), owner, b"k" * 32, ChainId("x-currency")
    )

    assert asked is not None
    assert (asked.form.stake, asked.form.min_self_delegation) == (10**6 * UNIT, 10**5 * UNIT)
    assert (asked.form.moniker, asked.form.rate_bp, asked.form.max_rate_bp) == ("mine", 500, 2000)
    assert asked.journal == tmp_path / "stake.json"


def test_a_fraction_of_a_basis_point_is_refused(tmp_path: Path) -> None:
    owner = identity.create(tmp_path / "id.json", "node")
    odd = settings(tmp_path, "[staking]\ninitial_stake = 1000000\ncommission = 0.00001\n")

    with pytest.raises(CannotStake, match=r"staking\.commission: 1e-05 is not a fraction"):
        terms.bonding_of(odd, owner, b"k" * 32, ChainId("x"))
