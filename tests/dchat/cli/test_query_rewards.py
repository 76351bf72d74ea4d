"""`dchat query rewards`: what the chain would pay now, worked out from proved records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_currency.params import REWARDS, Rewards
from abci_currency.state import rewards
from dchat.kernel.amounts import UNIT
from dchat.kernel.ids import Amount, EpochMs
from dchat.kernel.store import Draft
from tests.dchat.cli.market import (
    PEOPLE,
    SHOWN,
    Market,
    Setting,
    delegates,
    earns,
    market,
    masked,
    said,
    table,
    validates,
)
from tests.dchat.cli.nodes import Dchat
from tests.fakes.rpc_node import recent

MINUTE_MS = 60_000
STAKES = (
    validates("alice", 3_000_000),
    delegates("carol", "alice", 1_000_000),
    earns(40_000),
)


def emits(begun: EpochMs) -> Setting:
    """Every minute since then 1,000 tokens are issued to stakers."""

    def begin(draft: Draft) -> None:
        most, each = Amount(5000 * UNIT), Amount(1000 * UNIT)
        rules = Rewards(epoch_ms=MINUTE_MS, epoch_emission=each, max_emission=most)
        REWARDS.save(draft, rules)
        rewards.begin(draft, begun)

    return begin


def dave_is_paid(draft: Draft) -> None:
    rewards.pay_to(draft, PEOPLE["carol"], PEOPLE["dave"])


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    with market(tmp_path, dchat, *STAKES, dave_is_paid) as opened:
        yield opened


def test_a_delegator_sees_what_each_validator_earned_for_it(town: Market) -> None:
    ran = town.query("rewards", SHOWN["carol"])

    assert ran.code == 0
    assert table(ran) == [
        "account: carol",
        "delegations:",
        "operator rewards_due",
        "alice 9000 DCHAT",
        "rewards_due: 9000 DCHAT",
        "commission_due: 0 DCHAT",
        "paid_to: dave",
        "as_of: TIME",
    ]
    assert "presence proved by header 2" in masked(ran.err)


def test_an_operator_sees_its_commission_too(town: Market) -> None:
    told = said(town.query("rewards", SHOWN["alice"], "--json"))

    assert (told["rewards_due"], told["commission_due"]) == ("27000 DCHAT", "4000 DCHAT")


def test_emission_that_no_transaction_has_touched_counts(tmp_path: Path, dchat: Dchat) -> None:
    headers = recent()
    first_ms = headers.time_ns(1) // 1_000_000
    ends_between_blocks = emits(EpochMs(first_ms + 500 - MINUTE_MS))

    with market(tmp_path, dchat, *STAKES, ends_between_blocks, headers=headers) as opened:
        then = said(opened.query("rewards", SHOWN["carol"], "--json"))
        issued = said(opened.query("supply", "--json"))["issued"]

    assert (then["rewards_due"], issued) == ("9225 DCHAT", "30040000 DCHAT")


def test_one_validator_is_asked_about_by_name_without_a_listing(town: Market) -> None:
    told = said(town.query("rewards", SHOWN["carol"], "--validator", SHOWN["alice"], "--json"))

    assert (told["rewards_due"], told["checked"]["proof"]) == ("9000 DCHAT", "presence and absence")


def test_who_has_no_stake_has_nothing_due(town: Market) -> None:
    told = said(town.query("rewards", SHOWN["dave"], "--json"))

    assert (told["delegations"], told["rewards_due"]) == ([], "0 DCHAT")


def test_a_nodes_word_gives_the_same_numbers_and_says_so(town: Market) -> None:
    told = said(town.query("rewards", SHOWN["carol"], "--trust", "--json"))

    assert (told["rewards_due"], told["checked"]["proof"]) == ("9000 DCHAT", "none")


def test_what_is_shown_is_what_is_paid(town: Market) -> None:
    ran = town.tx("carol", "withdraw-rewards", "--validator", SHOWN["alice"], "--json")

    told = said(ran)
    paid = said(town.query("balance", SHOWN["dave"], "--json"))
    assert (ran.code, paid["balance"]) == (0, "9000 DCHAT")
    assert told["paid_to"] == SHOWN["dave"]
    assert told["rewards_due"].startswith("0.0000")
