"""`dchat tx` of validators: created, changed, given another key, freed from jail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_currency.txs import consensus_key as keys
from dchat.cli.tx_validator import BadShare, parse_share
from dchat.kernel import signing
from tests.dchat.cli.market import (
    PEOPLE,
    SHOWN,
    Market,
    consensus_key,
    jailed,
    market,
    said,
    table,
    validates,
)
from tests.dchat.cli.nodes import Dchat
from tests.fakes.memory import CAROL, CHAIN

CREATE = ("create-validator", "--moniker", "carol's", "--stake", "1500000")


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    stakes = (
        validates("alice", 3_000_000),
        validates("bob", 2_000_000, active=False),
        jailed("bob"),
    )
    with market(tmp_path, dchat, *stakes) as opened:
        yield opened


def test_a_validator_is_created_with_the_senders_consensus_key(town: Market) -> None:
    ran = town.tx("carol", *CREATE, "--commission", "5%")

    assert ran.code == 0
    assert table(ran)[2:16] == [
        "from: carol",
        "staked: 1500000 DCHAT",
        "fee: …",
        "operator: carol",
        "moniker: carol's",
        "state: active",
        "stake: 1500000 DCHAT",
        "self_stake: 1500000 DCHAT",
        "min_self_delegation: 1 DCHAT",
        "power: 1500000",
        "shares: 1500000000000",
        "commission: 5%",
        "max_commission: 20%",
        "max_commission_change_a_day: 1%",
    ]


def test_a_validator_votes_with_another_files_key(town: Market) -> None:
    node = town.file.with_name("dave.json")

    told = said(town.tx("carol", *CREATE, "--node-identity", node, "--json"))

    assert told["consensus_key"] == consensus_key("dave").hex()


def test_a_validator_votes_with_a_key_from_elsewhere(town: Market) -> None:
    proof = keys.prove(CAROL.seed, CHAIN, PEOPLE["carol"]).hex()
    key = signing.public_key(CAROL.seed).hex()

    told = said(town.tx("carol", *CREATE, "--consensus-key", key, "--proof", proof, "--json"))

    assert told["consensus_key"] == key


def test_a_validator_with_too_little_stake_is_refused(town: Market) -> None:
    ran = town.tx("carol", "create-validator", "--moniker", "carol's", "--stake", "5")

    assert (ran.code, "refused, ValidatorStakeTooLow (118)" in ran.err) == (13, True)


def test_what_is_not_named_stays_as_it_is(town: Market) -> None:
    told = said(town.tx("alice", "edit-validator", "--moniker", "first", "--json"))

    assert (told["moniker"], told["commission"], told["min_self_delegation"]) == (
        "first",
        "10%",
        "1 DCHAT",
    )


def test_commission_and_least_stake_change_by_name(town: Market) -> None:
    told = said(
        town.tx(
            *("alice", "edit-validator", "--commission", "0.11"),
            *("--min-self-delegation", "500", "--json"),
        )
    )

    assert (told["moniker"], told["commission"], told["min_self_delegation"]) == (
        "alice's",
        "11%",
        "500 DCHAT",
    )


def test_who_operates_no_validator_changes_none(town: Market) -> None:
    ran = town.tx("carol", "edit-validator", "--moniker", "none")

    assert (ran.code, ran.out) == (11, "")
    assert f"error: {SHOWN['carol']} operates no validator" in ran.err


def test_a_key_is_rotated_and_the_fee_for_it_told(town: Market) -> None:
    node = town.file.with_name("dave.json")

    told = said(town.tx("alice", "rotate-consensus-key", "--node-identity", node, "--json"))

    assert (told["retired"], told["consensus_key"], told["burned"]) == (
        consensus_key("alice").hex(),
        consensus_key("dave").hex(),
        "100 DCHAT",
    )


def test_a_validator_leaves_jail(town: Market) -> None:
    before = said(town.query("validator", SHOWN["bob"], "--json"))

    told = said(town.tx("bob", "unjail", "--json"))

    assert (before["state"], told["state"], told["jailed_until"]) == ("jailed", "active", None)


def test_who_is_not_in_jail_is_refused(town: Market) -> None:
    ran = town.tx("alice", "unjail")

    assert (ran.code, "refused, NotJailed (130)" in ran.err) == (13, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*CREATE, "--commission", "5"), "'5' is not a share"),
        ((*CREATE, "--consensus-key", "ab" * 32), "a key has 32 bytes and its proof 64"),
        ((*CREATE, "--consensus-key", "zz", "--proof", "ab" * 64), "not both in hex"),
        ((*CREATE, "--consensus-key", "ab", "--node-identity", "x"), "by a file and in hex"),
        (("rotate-consensus-key",), "the new key is not named"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_sent(
    town: Market, words: tuple[str, ...], said: str
) -> None:
    ran = town.tx("carol", *words)

    assert (ran.code, ran.out, said in ran.err) == (2, "", True)


@pytest.mark.parametrize(
    ("text", "share"),
    [("5%", 500), ("0.25%", 25), ("100%", 10_000), ("0.05", 500), ("1.0", 10_000), ("7bp", 7)],
)
def test_a_share_is_read_as_it_is_written(text: str, share: int) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "5", "1", "-5%", "5 %", "0.00001", "5.125%", "2.0", "bp", "\u0665%"]
)
def test_a_share_is_not_guessed_at(text: str) -> None:
    with pytest.raises(BadShare):
        parse_share(text)
