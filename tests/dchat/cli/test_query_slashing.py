"""`dchat query slashes`: one validator's are proved to be all; everybody's are a listing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dchat.cli.market import (
    SHOWN,
    Market,
    delegates,
    leaves,
    market,
    masked,
    said,
    slashed,
    table,
    unasked,
    validates,
)
from tests.dchat.cli.nodes import Dchat

ROWS = [
    "slashes:",
    "operator fault offence_at slashed_at time fraction stake_then burned_at_once",
    "alice duplicate_vote 1 1 TIME 5% 3000000 DCHAT 150000 DCHAT",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market(
        tmp_path_factory.mktemp("market"),
        unasked,
        validates("alice", 3_000_000),
        slashed("alice", 500),
    ) as opened:
        yield opened


@pytest.fixture
def town(running: Market, dchat: Dchat) -> Market:
    return replace(running, dchat=dchat)


def test_a_validators_slashes_are_all_of_its_slashes(town: Market) -> None:
    ran = town.query("slashes", SHOWN["alice"])

    assert (ran.code, table(ran)) == (0, ROWS)
    assert masked(ran.err).endswith("no other node compared\n")


def test_everybodys_slashes_are_listed(town: Market) -> None:
    ran = town.query("slashes")

    assert (ran.code, table(ran)) == (0, [*ROWS, "next_after: -"])
    assert ran.err.endswith("that no entry was left out cannot be proved\n")


def test_who_was_never_slashed_is_proved_not_to_have_been(town: Market) -> None:
    ran = town.query("slashes", SHOWN["bob"])

    assert (ran.code, ran.out) == (11, "")
    assert "checked: absence proved by header 2" in ran.err


def test_stake_on_its_way_shows_what_slashes_will_take_of_it(tmp_path: Path, dchat: Dchat) -> None:
    stakes = (validates("alice", 3_000_000), delegates("carol", "alice", 1_000_000))
    late = (leaves("carol", "alice", 200_000, at=0), slashed("alice", 500))
    with market(tmp_path, dchat, *stakes, *late) as opened:
        rows = said(opened.query("unbondings", "--json"))["unbondings"]

    assert [(row["stake"], row["slashed"]) for row in rows] == [("200000 DCHAT", "10000 DCHAT")]
