"""`dchat query` of stake, on a chain behind HTTP: what is shown, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from abci_currency import keys
from abci_currency.params import STAKING, Staking
from dchat.kernel.store import Draft
from tests.dchat.cli.market import (
    HEADER,
    PEOPLE,
    SHOWN,
    UNKNOWN,
    WHOLE,
    Market,
    consensus_key,
    delegates,
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


def one_votes(draft: Draft) -> None:
    STAKING.save(draft, Staking(max_validators=1))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    stakes = (
        one_votes,
        validates("alice", 3_000_000),
        validates("bob", 2_000_000, active=False),
        delegates("carol", "alice", 1_000_000),
        delegates("carol", "bob", 500_000),
        leaves("carol", "alice", 250_000),
    )
    with market(tmp_path_factory.mktemp("market"), unasked, *stakes) as opened:
        yield opened


@pytest.fixture
def town(running: Market, dchat: Dchat) -> Market:
    return replace(running, dchat=dchat)


def test_validators_are_listed_and_add_up_to_the_pool(town: Market) -> None:
    ran = town.query("validators")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence {HEADER}{WHOLE}\n")
    assert table(ran) == [
        "validators:",
        "operator moniker state stake commission",
        "alice alice's active 3750000 DCHAT 10%",
        "bob bob's waiting 2500000 DCHAT 10%",
        "next_after: -",
    ]


def test_a_page_of_validators_names_the_next_one_and_proves_only_its_own(town: Market) -> None:
    first = said(town.query("validators", "--limit", "1", "--json"))
    second = town.query("validators", "--after", first["next_after"])

    assert [row["moniker"] for row in first["validators"]] == ["alice's"]
    assert first["next_after"] == keys.validator(PEOPLE["alice"]).hex()
    assert table(second)[2:] == ["bob bob's waiting 2500000 DCHAT 10%", "next_after: -"]
    assert masked(second.err) == f"checked: presence {HEADER}{UNKNOWN}\n"


@pytest.mark.parametrize(
    ("listing", "short"),
    [
        ("validators", "add up to 3750000000000, the pool holds 6250000000000"),
        ("delegations", "add up to 4250000000000, their validators have given 6250000000000"),
    ],
)
def test_a_node_that_leaves_the_last_entry_out_is_found_out(
    town: Market, monkeypatch: pytest.MonkeyPatch, listing: str, short: str
) -> None:
    monkeypatch.setattr(town.node, "answer", hides_the_last_entry(town.node))

    ran = town.query(listing)

    error, hint = ran.err.splitlines()
    assert (ran.code, ran.out, error.endswith(short)) == (1, "", True)
    assert hint == "dchat: hint: ask another node with --rpc URL: this one leaves entries out"


def test_a_validator_is_shown_with_all_that_the_chain_knows_of_it(town: Market) -> None:
    ran = town.query("validator", SHOWN["alice"])

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence and absence {HEADER}\n")
    assert table(ran) == [
        "operator: alice",
        "moniker: alice's",
        "state: active",
        "stake: 3750000 DCHAT",
        "self_stake: 3000000 DCHAT",
        "min_self_delegation: 1 DCHAT",
        "power: 3750000",
        "shares: 3750000000000",
        "commission: 10%",
        "max_commission: 20%",
        "max_commission_change_a_day: 1%",
        "commission_due: 0 DCHAT",
        "consensus_key: HASH",
        "consensus_address: 3ec13a18e713f6e28caa8037c775a24749bdede4",
        "key_changed_at: -",
        "jailed_until: -",
        "missed_blocks: 0",
        "missed_blocks_allowed: 5000",
        "missed_blocks_window: 10000",
    ]


def test_a_validator_for_a_program_names_its_key(town: Market) -> None:
    told = said(town.query("validator", SHOWN["bob"], "--json"))

    assert (told["consensus_key"], told["state"], told["power"]) == (
        consensus_key("bob").hex(),
        "waiting",
        0,
    )


def test_an_account_without_a_validator_is_proved_to_have_none(town: Market) -> None:
    ran = town.query("validator", SHOWN["dave"])

    checked, error, _ = masked(ran.err).splitlines()
    assert (ran.code, ran.out, checked) == (11, "", f"checked: absence {HEADER}")
    assert error == "dchat: error: no validator has the operator dave"


def test_all_delegations_hold_all_shares(town: Market) -> None:
    ran = town.query("delegations")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence {HEADER}{WHOLE}\n")
    assert table(ran) == [
        "delegations:",
        "delegator operator stake shares",
        "alice alice 3000000 DCHAT 3000000000000",
        "carol alice 750000 DCHAT 750000000000",
        "carol bob 500000 DCHAT 500000000000",
        "bob bob 2000000 DCHAT 2000000000000",
        "next_after: -",
    ]


def test_one_owners_delegations_are_listed_without_a_total(town: Market) -> None:
    ran = town.query("delegations", SHOWN["carol"])

    assert [line.split()[:2] for line in table(ran)[2:-1]] == [["carol", "alice"], ["carol", "bob"]]
    assert masked(ran.err) == f"checked: presence {HEADER}{UNKNOWN}\n"


def test_stake_on_its_way_is_listed_with_the_time_it_arrives(town: Market) -> None:
    ran = town.query("unbondings")

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence {HEADER}{WHOLE}\n")
    assert table(ran)[1:-1] == [
        "delegator operator stake slashed begun_at due",
        "carol alice 250000 DCHAT 0 DCHAT 1 TIME",
    ]


def test_nothing_listed_is_told_and_not_proved(town: Market) -> None:
    ran = town.query("redelegations")

    assert (ran.code, ran.out) == (11, "")
    assert "dchat: error: the node lists no such redelegations\n" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("validators", "--after", "zz"), 2, "zz is no key of the validators listed"),
        (("validators", "--after", "91a6737570706c79"), 2, "is no key of the validators listed"),
        (("validator", "alice"), 1, "'alice' is not an account id"),
        (("delegations", "alice"), 1, "'alice' is not an account id"),
        (("unbondings", "--limit", "0"), 2, "invalid value"),
    ],
)
def test_a_wrong_word_is_told(town: Market, words: tuple[str, ...], code: int, error: str) -> None:
    ran = town.query(*words)

    assert (ran.code, ran.out, error in ran.err) == (code, "", True)


def test_an_older_height_is_the_older_state(town: Market) -> None:
    told = said(town.query("validators", "--height", "1", "--json"))

    assert (told["checked"]["state_after_block"], len(told["validators"])) == (1, 2)
