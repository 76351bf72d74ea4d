"""`dchat tx` of stake: where it is afterwards, proved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.cli.market import SHOWN, Market, delegates, market, said, table, validates
from tests.dchat.cli.nodes import Dchat

ALICES, BOBS, CAROLS = (
    ("--validator", SHOWN["alice"]),
    ("--validator", SHOWN["bob"]),
    SHOWN["carol"],
)


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    stakes = (
        validates("alice", 3_000_000),
        validates("bob", 2_000_000, active=False),
        delegates("carol", "alice", 1_000_000),
    )
    with market(tmp_path, dchat, *stakes) as opened:
        yield opened


def test_delegating_shows_what_is_staked_there_now(town: Market) -> None:
    ran = town.tx("carol", "delegate", *ALICES, "--amount", "250000")

    assert ran.code == 0
    assert table(ran) == [
        "hash: HASH",
        "height: 3",
        "from: carol",
        "validator: alice",
        "amount: 250000 DCHAT",
        "fee: …",
        "delegations:",
        "operator stake",
        "alice 1250000 DCHAT",
        "balance: …",
    ]


def test_undelegating_shows_when_the_stake_arrives(town: Market) -> None:
    ran = town.tx("carol", "undelegate", *ALICES, "--amount", "400000.5")

    assert ran.code == 0
    assert table(ran)[6:] == [
        "delegations:",
        "operator stake",
        "alice 599999.5 DCHAT",
        "unbondings:",
        "delegator operator stake slashed begun_at due",
        "carol alice 400000.5 DCHAT 0 DCHAT 3 TIME",
        "balance: …",
    ]


def test_taking_everything_back_leaves_nothing_staked(town: Market) -> None:
    told = said(town.tx("carol", "undelegate", *ALICES, "--amount", "1000000", "--json"))

    assert told["delegations"] == [{"operator": SHOWN["alice"], "stake": "0 DCHAT"}]


def test_redelegating_shows_both_validators(town: Market) -> None:
    ran = town.tx(
        *("carol", "redelegate", "--from", SHOWN["alice"], "--to", SHOWN["bob"]),
        *("--amount", "100000", "--json"),
    )

    told = said(ran)
    listed = said(town.query("redelegations", CAROLS, "--json"))["redelegations"]
    assert [row["stake"] for row in told["delegations"]] == ["900000 DCHAT", "100000 DCHAT"]
    assert [(row["operator"], row["from"]) for row in listed] == [(SHOWN["bob"], SHOWN["alice"])]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("delegate", *ALICES, "--amount", "0"), 1, "refused, ZeroAmount (20)"),
        (
            ("delegate", "--validator", CAROLS, "--amount", "5"),
            13,
            "refused, UnknownValidator (110)",
        ),
        (("undelegate", *BOBS, "--amount", "5"), 13, "refused, InsufficientStake (120)"),
        (("settle-unbonding", *ALICES), 13, "refused, UnbondingNotDue (128)"),
        (
            ("redelegate", "--from", SHOWN["bob"], "--to", SHOWN["bob"], "--amount", "5"),
            1,
            "refused, SameValidator (123)",
        ),
    ],
)
def test_a_refusal_has_its_name_and_what_to_do(
    town: Market, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = town.tx("carol", *words)

    assert (ran.code, said in ran.err) == (code, True)
    assert "dchat: hint: " in ran.err
