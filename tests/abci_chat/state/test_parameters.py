from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import pytest

from abci_chat import params
from abci_chat.params import DAY_MS
from abci_chat.state import parameters
from abci_chat.state.contents import MAX_CHANGES, Chain, Change, ParamsChange
from abci_chat.state.parameters import CREDITS_PER_DEPOSIT, ParamsChanged, UnknownParameter
from dchat.kernel import params as kernel
from dchat.kernel import supply
from dchat.kernel.errors import ParameterOutOfBounds
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.fakes.voting import FUNDS, STAKING, Assembly

CREDITS = 4 * FUNDS
SECTIONS = sorted(params.VOTED)


def order(section: str, values: Mapping[str, int], chain: Chain = Chain.CHAT) -> ParamsChange:
    changes = tuple(Change(name, value) for name, value in sorted(values.items()))
    return ParamsChange(chain, section, changes)


@pytest.fixture
def draft() -> Draft:
    return Assembly().draft()


def values_of(section: str, state: Draft) -> dict[str, int]:
    values = params.VOTED[section].load(state)
    return {each.name: getattr(values, each.name) for each in fields(values)}


@pytest.mark.parametrize("section", SECTIONS)
def test_all_values_of_every_section_may_be_set_at_once(draft: Draft, section: str) -> None:
    held = values_of(section, draft)

    told = parameters.change(draft, order(section, held))

    assert isinstance(told, ParamsChanged)
    assert (values_of(section, draft), len(held) <= MAX_CHANGES) == (held, True)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_value_of_every_section_has_bounds(section: str) -> None:
    held = {each.name for each in fields(params.VOTED[section].default)}

    assert held == set(params.VOTED[section].bounds)


def test_named_values_change_and_the_others_stay(draft: Draft) -> None:
    before = values_of("identities", draft)

    parameters.change(draft, order("identities", {"max_devices": 8, "reveal_blocks": 9}))

    assert values_of("identities", draft) == {**before, "max_devices": 8, "reveal_blocks": 9}


def test_the_kernels_numbers_are_those_that_transactions_are_held_to(draft: Draft) -> None:
    parameters.change(draft, order("kernel", {"fee_per_1000_cost": 7}))

    assert kernel.load(draft).fee_per_1000_cost == 7


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("kernel", "fee_per_1000_cost", 1_000_001),
        ("kernel", "max_block_cost", 99_999),
        ("kernel", "max_block_bytes", 1024),
        ("kernel", "max_block_bytes", kernel.MAX_BLOCK_BYTES + 1),
        ("kernel", "max_validity_blocks", 1),
        ("governance", "quorum_bp", 6701),
        ("governance", "threshold_bp", 4999),
        ("governance", "threshold_bp", 8001),
        ("governance", "veto_bp", 1999),
        ("governance", "voting_ms", 60 * DAY_MS + 1),
        ("governance", "deposit", CREDITS // CREDITS_PER_DEPOSIT + 1),
        ("reputation", "trusted_fee_bp", 999),
        ("governance", "ballot_bond", 1_000_001),
        ("identities", "recovery_window_ms", 3 * DAY_MS),
        ("identities", "guardian_delay_ms", 3 * DAY_MS),
        ("identities", "recovery_delay_ms", 7 * DAY_MS),
        ("moderation", "unbonding_ms", 2 * DAY_MS),
        ("moderation", "verdict_ms", 14 * DAY_MS),
    ],
)
def test_what_is_out_of_bounds_or_does_not_fit_is_refused(
    draft: Draft, section: str, name: str, value: int
) -> None:
    with pytest.raises(ParameterOutOfBounds):
        parameters.change(draft, order(section, {name: value}))


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("governance", "deposit", CREDITS // CREDITS_PER_DEPOSIT),
        ("governance", "ballot_bond", 1_000_000),
        ("identities", "recovery_window_ms", 3 * DAY_MS + 1),
        ("identities", "guardian_delay_ms", 3 * DAY_MS + 1),
        ("moderation", "unbonding_ms", 2 * DAY_MS + 1),
    ],
)
def test_what_just_fits_is_taken(draft: Draft, section: str, name: str, value: int) -> None:
    parameters.change(draft, order(section, {name: value}))

    assert values_of(section, draft)[name] == value


def test_where_few_credits_are_left_a_vote_makes_no_fee_a_large_part_of_them(draft: Draft) -> None:
    supply.burn(draft, Amount(CREDITS - 10 * CREDITS_PER_DEPOSIT))
    parameters.change(draft, order("kernel", {"fee_per_1000_cost": 10}))

    with pytest.raises(ParameterOutOfBounds):
        parameters.change(draft, order("kernel", {"fee_per_1000_cost": 11}))


def test_where_few_credits_are_left_a_vote_makes_proposals_no_dearer(draft: Draft) -> None:
    held = values_of("governance", draft)
    parameters.change(draft, order("governance", {"deposit": CREDITS // CREDITS_PER_DEPOSIT}))
    dearer = order("governance", {**held, "deposit": 2 * CREDITS // CREDITS_PER_DEPOSIT})

    with pytest.raises(ParameterOutOfBounds):
        parameters.change(draft, dearer)


@pytest.mark.parametrize(
    ("section", "name"),
    [("staking", "max_validators"), ("", "deposit"), ("governance", "bonds"), ("governance", "")],
)
def test_what_nobody_knows_is_refused(draft: Draft, section: str, name: str) -> None:
    with pytest.raises(UnknownParameter):
        parameters.change(draft, order(section, {name: 1}))


@pytest.mark.parametrize("value", [5, 9])
def test_the_currency_chain_may_get_what_is_within_its_bounds(draft: Draft, value: int) -> None:
    change = order(STAKING.name, {"unbonding_ms": value}, Chain.CURRENCY)

    parameters.check_foreign(draft, change)

    assert draft.writes() == {}


@pytest.mark.parametrize("value", [4, 10])
def test_the_currency_chain_gets_nothing_out_of_its_bounds(draft: Draft, value: int) -> None:
    with pytest.raises(ParameterOutOfBounds):
        parameters.check_foreign(
            draft, order(STAKING.name, {"unbonding_ms": value}, Chain.CURRENCY)
        )


@pytest.mark.parametrize(
    ("section", "name"), [("governance", "deposit"), (STAKING.name, "deposit")]
)
def test_the_currency_chain_gets_nothing_that_genesis_did_not_name(
    draft: Draft, section: str, name: str
) -> None:
    with pytest.raises(UnknownParameter):
        parameters.check_foreign(draft, order(section, {name: 7}, Chain.CURRENCY))


def test_the_default_sections_fit_together() -> None:
    params.check_together(
        params.IDENTITIES.default, params.GOVERNANCE.default, params.MODERATION.default
    )
