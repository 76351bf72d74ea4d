"""`dchat tx` of rewards: what is paid, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.cli.market import SHOWN, Market, delegates, earns, market, said, table, validates
from tests.dchat.cli.nodes import Dchat


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    stakes = (validates("alice", 3_000_000), delegates("carol", "alice", 1_000_000), earns(40_000))
    with market(tmp_path, dchat, *stakes) as opened:
        yield opened


def test_rewards_are_withdrawn_and_what_is_due_then_shown(town: Market) -> None:
    ran = town.tx("carol", "withdraw-rewards", "--validator", SHOWN["alice"])

    assert ran.code == 0
    assert table(ran)[3:8] == [
        "validators:",
        "- alice",
        "fee: …",
        "account: carol",
        "delegations:",
    ]
    left = said(town.query("balance", SHOWN["carol"], "--json"))["balance"]
    assert left.startswith("9008999.99")


def test_rewards_of_a_validator_without_own_stake_are_refused(town: Market) -> None:
    ran = town.tx("bob", "withdraw-rewards", "--validator", SHOWN["alice"])

    assert (ran.code, "refused, NothingToWithdraw (141)" in ran.err) == (13, True)


def test_commission_is_withdrawn(town: Market) -> None:
    told = said(town.tx("alice", "withdraw-commission", "--json"))

    assert float(told["commission_due"].split()[0]) < 1
    assert told["balance"].startswith("7003999.99")


def test_rewards_go_to_another_account_from_now_on(town: Market) -> None:
    told = said(town.tx("carol", "set-reward-address", "--to", SHOWN["dave"], "--json"))

    assert (told["to"], told["paid_to"]) == (SHOWN["dave"], SHOWN["dave"])


def test_rewards_go_to_their_owner_again(town: Market) -> None:
    town.tx("carol", "set-reward-address", "--to", SHOWN["dave"])

    told = said(town.tx("carol", "set-reward-address", "--to", SHOWN["carol"], "--json"))

    assert told["paid_to"] == SHOWN["carol"]
