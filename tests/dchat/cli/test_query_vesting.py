"""`dchat query vesting`: what is locked, for one account or for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.dchat.cli.market import SHOWN, WHOLE, Market, locks, market, masked, table, unasked
from tests.dchat.cli.nodes import Dchat


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    locked = (locks("alice", 5_000), locks("carol", 700, vested=False))
    with market(tmp_path_factory.mktemp("market"), unasked, *locked) as opened:
        yield opened


@pytest.fixture
def town(running: Market, dchat: Dchat) -> Market:
    return replace(running, dchat=dchat)


def test_one_lock_is_shown_with_its_times(town: Market) -> None:
    ran = town.query("vesting", SHOWN["carol"])

    assert ran.code == 0
    assert table(ran) == [
        "account: carol",
        "original: 700 DCHAT",
        "vested: 0 DCHAT",
        "claimed: 0 DCHAT",
        "staked: 0 DCHAT",
        "claimable: 0 DCHAT",
        "linear: no",
        "begins_at: -",
        "cliff_at: 9999-12-31T23:59:59.999Z",
        "ends_at: 9999-12-31T23:59:59.999Z",
    ]
    assert masked(ran.err).startswith("checked: presence proved by header 2")


def test_all_locks_add_up_to_the_pool(town: Market) -> None:
    ran = town.query("vesting")

    assert table(ran)[1:-1] == [
        "account original vested claimed staked claimable",
        "alice 5000 DCHAT 5000 DCHAT 0 DCHAT 0 DCHAT 5000 DCHAT",
        "carol 700 DCHAT 0 DCHAT 0 DCHAT 0 DCHAT 0 DCHAT",
    ]
    assert ran.err.endswith(f"{WHOLE}\n")


def test_who_has_nothing_locked_is_proved_to_have_nothing(town: Market) -> None:
    ran = town.query("vesting", SHOWN["dave"])

    assert (ran.code, ran.out) == (11, "")
    assert "checked: absence proved by header 2" in ran.err
