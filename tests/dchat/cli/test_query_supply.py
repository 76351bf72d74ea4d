"""`dchat query supply` and `params`: every line is proved, and a report adds up or is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from abci_chat import params as community
from abci_chat.state import pools as chat_pools
from abci_currency import params as economy
from abci_currency.params import STAKING, Staking
from abci_currency.state import pools
from dchat.cli.query_supply import SectionName
from dchat.kernel import accounts
from dchat.kernel.ids import Amount
from dchat.kernel.store import Draft
from tests.dchat.cli.market import (
    HEADER,
    WHOLE,
    Market,
    delegates,
    earns,
    hides_the_last_entry,
    leaves,
    market,
    masked,
    said,
    table,
    unasked,
    validates,
)
from tests.dchat.cli.nodes import Dchat

STAKES = (
    validates("alice", 3_000_000),
    delegates("carol", "alice", 1_000_000),
    leaves("carol", "alice", 250_000),
    earns(40_000),
)


def two_vote(draft: Draft) -> None:
    STAKING.save(draft, Staking(max_validators=2))


def from_nowhere(draft: Draft) -> None:
    """The pool of stake holds more than was ever issued."""
    accounts.credit(draft, pools.STAKED, Amount(10**15))


def nobodys(draft: Draft) -> None:
    """The treasury holds one base unit that was never issued."""
    accounts.credit(draft, pools.TREASURY, Amount(1))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market(tmp_path_factory.mktemp("market"), unasked, two_vote, *STAKES) as opened:
        yield opened


@pytest.fixture
def town(running: Market, dchat: Dchat) -> Market:
    return replace(running, dchat=dchat)


def test_the_supply_is_shown_by_who_holds_it(town: Market) -> None:
    ran = town.query("supply")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence and absence {HEADER}\n")
    assert table(ran) == [
        "issued: 30040000 DCHAT",
        "burned: 0 DCHAT",
        "total: 30040000 DCHAT",
        "liquid: 26000000 DCHAT",
        "staked: 3750000 DCHAT",
        "unbonding: 250000 DCHAT",
        "vesting: 0 DCHAT",
        "rewards: 40000 DCHAT",
        "treasury: 0 DCHAT",
        "relay_stakes: 0 DCHAT",
        "escrowed: 0 DCHAT",
        "issuer_bonds: 0 DCHAT",
    ]


def test_an_audit_adds_every_account_up(town: Market) -> None:
    ran = town.query("supply", "--audit")

    assert (ran.code, table(ran)[-1]) == (0, "accounts: 6")
    assert masked(ran.err) == (f"checked: presence {HEADER}{WHOLE}\n")


def test_an_audit_finds_a_node_that_leaves_an_account_out(
    town: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(town.node, "answer", hides_the_last_entry(town.node))

    ran = town.query("supply", "--audit")

    assert (ran.code, ran.out) == (1, "")
    assert "dchat: error: 5 accounts hold " in ran.err


def test_a_report_that_does_not_add_up_is_not_shown(tmp_path: Path, dchat: Dchat) -> None:
    with market(tmp_path, dchat, from_nowhere) as broken:
        ran = broken.query("supply")

    assert (ran.code, ran.out) == (1, "")
    assert (
        "dchat: error: pools hold 1000000000000000, and the supply is 30000000000000\n" in ran.err
    )
    assert "dchat: hint: do not trade on this chain" in ran.err


def test_a_unit_that_was_never_issued_is_found_by_an_audit(tmp_path: Path, dchat: Dchat) -> None:
    with market(tmp_path, dchat, nobodys) as broken:
        ran = broken.query("supply", "--audit")

    assert (ran.code, "the supply is 30000000000000" in ran.err) == (1, True)


def test_the_chat_chains_supply_counts_credits(town: Market) -> None:
    ran = town.query("supply", "--chain", "chat")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence and absence {HEADER}\n")
    assert table(ran) == [
        "issued: 2000000",
        "burned: 0",
        "total: 2000000",
        "liquid: 2000000",
        "channel_deposits: 0",
        "proposal_deposits: 0",
        "ballot_bonds: 0",
        "report_bonds: 0",
        "juror_bonds: 0",
    ]


def test_every_pool_of_the_chat_chain_is_a_line(town: Market) -> None:
    told = said(town.query("supply", "--chain", "chat", "--json"))

    assert set(told) - {"issued", "burned", "total", "liquid", "checked"} == set(
        chat_pools.NAMES.values()
    )


def test_parameters_in_force_are_shown_by_section(town: Market) -> None:
    ran = town.query("params", "--section", "staking")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence {HEADER}\n")
    assert table(ran) == [
        "max_validators: 2",
        "min_validator_stake: 1000000 DCHAT",
        "unbonding_ms: 1209600000",
        "max_unbondings: 7",
        "key_rotation_fee: 100 DCHAT",
    ]


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("kernel", "fee_per_1000_cost", 1000),
        ("slashing", "missed_blocks_window", 10_000),
        ("rewards", "fee_burn_bp", 3000),
        ("relays", "min_stake", "1000 DCHAT"),
    ],
)
def test_every_section_has_its_numbers(
    town: Market, section: str, name: str, value: object
) -> None:
    assert said(town.query("params", "--section", section, "--json"))[name] == value


def test_a_section_that_nobody_set_is_proved_to_be_the_default(town: Market) -> None:
    told = said(town.query("params", "--section", "relays", "--json"))

    assert (told["unbonding_ms"], told["checked"]["proof"]) == (1_209_600_000, "absence")


def test_the_chat_chain_has_none_of_the_economys_sections(town: Market) -> None:
    ran = town.query("params", "--section", "staking", "--chain", "chat")

    assert (ran.code, ran.out) == (11, "")
    assert "dchat: error: the chat chain has no parameters of staking\n" in ran.err


def test_the_currency_chain_has_none_of_the_chat_chains_sections(town: Market) -> None:
    ran = town.query("params", "--section", "work")

    assert (ran.code, ran.out) == (11, "")
    assert "dchat: error: the currency chain has no parameters of work\n" in ran.err


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("kernel", "fee_per_1000_cost", 1000),
        ("identities", "max_devices", 16),
        ("work", "base_bits", 20),
        ("channels", "deposit", 100_000),
        ("governance", "quorum_bp", 3340),
        ("moderation", "jury_size", 7),
        ("reputation", "trusted_fee_bp", 8000),
    ],
)
def test_every_section_of_the_chat_chain_has_its_numbers(
    town: Market, section: str, name: str, value: int
) -> None:
    asked = ("params", "--section", section, "--chain", "chat", "--json")

    assert said(town.query(*asked))[name] == value


def test_every_section_can_be_asked_for() -> None:
    assert set(get_args(SectionName)) == {"kernel", *economy.SECTIONS, *community.SECTIONS}


def test_a_section_of_no_name_is_told(town: Market) -> None:
    ran = town.query("params", "--section", "weather")

    assert (ran.code, "weather" in ran.err) == (2, True)
