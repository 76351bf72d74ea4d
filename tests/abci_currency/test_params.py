from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from abci_currency import params
from abci_currency.params import RELAYS, REWARDS, SLASHING, STAKING, check_together
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount
from dchat.kernel.params import Section
from dchat.kernel.store import Draft
from tests.fakes.memory import MemoryState

SECTIONS: tuple[Section[Any], ...] = (STAKING, SLASHING, REWARDS, RELAYS)
EDGES = [
    (section, name, least, most)
    for section in SECTIONS
    for name, (least, most) in section.bounds.items()
]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_parameter_has_bounds_and_a_default_within_them(section: Section[Any]) -> None:
    section.check(section.default)

    assert [each.name for each in fields(section.default)] == list(section.bounds)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_are_in_force_before_genesis_wrote_any(section: Section[Any]) -> None:
    assert section.load(MemoryState()) == section.default


@pytest.mark.parametrize(("section", "name", "least", "most"), EDGES)
def test_both_ends_of_the_bounds_are_kept(
    section: Section[Any], name: str, least: int, most: int
) -> None:
    draft = Draft(MemoryState())

    section.save(draft, replace(section.default, **{name: least}))
    assert getattr(section.load(draft), name) == least
    section.save(draft, replace(section.default, **{name: most}))
    assert getattr(section.load(draft), name) == most


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        (section, name, value)
        for section, name, least, most in EDGES
        for value in (least - 1, most + 1)
    ],
)
def test_what_is_out_of_bounds_is_refused_and_nothing_written(
    section: Section[Any], name: str, value: int
) -> None:
    draft = Draft(MemoryState())

    with pytest.raises(ParameterOutOfBounds) as refusal:
        section.save(draft, replace(section.default, **{name: value}))

    assert (refusal.value.name, refusal.value.have) == (name, value)
    assert draft.writes() == {}


def test_each_section_stands_under_a_key_of_its_own() -> None:
    assert len({section.key for section in SECTIONS}) == len(SECTIONS)


def test_the_default_sections_fit_together() -> None:
    check_together(STAKING.default, SLASHING.default, REWARDS.default)


@pytest.mark.parametrize(("burn", "treasury"), [(10_000, 0), (0, 10_000), (4_000, 6_000)])
def test_all_fees_may_be_burned_or_go_to_the_treasury(burn: int, treasury: int) -> None:
    rewards = replace(REWARDS.default, fee_burn_bp=burn, fee_treasury_bp=treasury)

    check_together(STAKING.default, SLASHING.default, rewards)


def test_fees_are_not_shared_out_twice() -> None:
    rewards = replace(REWARDS.default, fee_burn_bp=4_000, fee_treasury_bp=6_001)

    with pytest.raises(
        ParameterOutOfBounds, match="fee_treasury_bp is 6001, allowed are 0 to 6000"
    ):
        check_together(STAKING.default, SLASHING.default, rewards)


def test_evidence_may_be_as_old_as_stake_is_liable() -> None:
    slashing = replace(SLASHING.default, evidence_max_age_ms=STAKING.default.unbonding_ms)

    check_together(STAKING.default, slashing, REWARDS.default)


def test_evidence_is_not_heard_once_the_stake_has_gone() -> None:
    staking = replace(STAKING.default, unbonding_ms=SLASHING.default.evidence_max_age_ms - 1)

    with pytest.raises(ParameterOutOfBounds, match="evidence_max_age_ms"):
        check_together(staking, SLASHING.default, REWARDS.default)


def test_the_least_stake_of_a_validator_is_a_vote() -> None:
    assert STAKING.bounds["min_validator_stake"][0] >= 1_000_000


def test_amounts_leave_room_to_be_added() -> None:
    largest = Amount(max(most for _, _, _, most in EDGES))

    assert 4 * largest < 2**64 <= 4 * largest + 4


def test_fees_cost_the_kernels_price() -> None:
    assert params.DEFAULT.fee_per_1000_cost == 1000
