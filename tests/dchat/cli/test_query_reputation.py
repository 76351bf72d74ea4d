"""`dchat query reputation`: a score, and on request every deed that it is the sum of, by proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat import params
from abci_chat.params import Reputation
from abci_chat.state import reputation
from abci_chat.state.reputation import Deed
from dchat.cli import checked
from dchat.kernel.ids import Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import HEADER, PEOPLE, SHOWN, masked, said, table, unasked
from tests.dchat.cli.nodes import Dchat

DEEDS = (
    (Deed.FEES_PAID, 1_500_250, 0),
    (Deed.BALLOT, 20_000, 0),
)


def deeds(draft: Draft) -> None:
    """Alice paid fees and voted before the first block; bob has voted once."""
    params.REPUTATION.save(draft, Reputation(half_life_blocks=16, trusted_points=100))
    for deed, thousandths, height in DEEDS:
        reputation.count(draft, PEOPLE["alice"], deed, thousandths, Height(height))
    reputation.add(draft, PEOPLE["bob"], Deed.BALLOT, 20, Height(0))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lounge]:
    with lounge(tmp_path_factory.mktemp("lounge"), unasked, deeds) as opened:
        yield opened


@pytest.fixture
def town(running: Lounge, dchat: Dchat) -> Lounge:
    return replace(running, dchat=dchat)


def test_a_score_is_shown_with_what_it_is_good_for(town: Lounge) -> None:
    ran = town.query("reputation", SHOWN["alice"])

    assert (ran.code, masked(ran.err)) == (0, f"checked: presence {HEADER}\n")
    assert table(ran) == [
        "account: alice",
        "score: 1520",
        "trusted: yes",
        "trusted_from: 100",
        "owes_of_fees: 80%",
        "half_life_blocks: 16",
    ]


def test_whoever_has_few_points_owes_all_of_a_fee(town: Lounge) -> None:
    told = said(town.query("reputation", SHOWN["bob"], "--json"))

    assert (told["score"], told["trusted"], told["owes_of_fees"]) == (20, False, "100%")


def test_every_contribution_is_listed_with_what_is_left_of_it(town: Lounge) -> None:
    told = said(town.query("reputation", SHOWN["alice"], "--explain", "--json"))

    assert told["contributions"] == [
        {"deed": "fees_paid", "since_height": 0, "points": "1500.250", "left": "1500.250"},
        {"deed": "ballot", "since_height": 0, "points": "20", "left": "20"},
    ]


def test_what_is_left_halves_with_the_blocks(tmp_path: Path, dchat: Dchat) -> None:
    with lounge(tmp_path, dchat, deeds) as later:
        for _ in range(14):
            later.node.block()
        told = said(later.query("reputation", SHOWN["alice"], "--explain", "--json"))

    assert told["score"] == 760
    assert [each["left"] for each in told["contributions"]] == ["750.125", "10"]


def test_that_somebody_did_nothing_is_proved(town: Lounge) -> None:
    ran = town.query("reputation", SHOWN["dave"], "--explain")

    assert (ran.code, "score: 0" in table(ran)) == (0, True)
    assert "absence" in ran.err


def test_on_a_nodes_word_nothing_is_checked(town: Lounge) -> None:
    ran = town.query("reputation", SHOWN["bob"], "--trust")

    assert (ran.code, checked.TRUSTED in ran.err) == (0, True)


def test_text_that_is_no_account_is_refused(town: Lounge) -> None:
    ran = town.query("reputation", "bob")

    assert (ran.code, ran.out) == (1, "")
    assert "'bob' is not an account id" in ran.err
