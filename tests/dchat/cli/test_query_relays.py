"""`dchat query` of relays, escrows and issuers, on a chain behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.cli.market import (
    SHOWN,
    WHOLE,
    Market,
    market,
    masked,
    peer_id,
    runs_a_relay,
    said,
    table,
)
from tests.dchat.cli.nodes import Dchat


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    relays = (runs_a_relay("alice", 5_000), runs_a_relay("bob", 999))
    with market(tmp_path, dchat, *relays) as opened:
        yield opened


def test_relays_are_listed_and_add_up_to_their_pool(town: Market) -> None:
    ran = town.query("relays")

    assert (ran.code, ran.err.endswith(f"{WHOLE}\n")) == (0, True)
    assert sorted(table(ran)[2:-1]) == [
        "alice's-relay alice serving 5000 DCHAT /ip4/203.0.113.7/tcp/7070",
        "bob's-relay bob short of stake 999 DCHAT /ip4/203.0.113.7/tcp/7070",
    ]


def test_a_relay_is_shown_by_its_peer_id(town: Market) -> None:
    ran = town.query("relay", peer_id("alice"))

    assert (ran.code, table(ran)) == (
        0,
        [
            "peer_id: alice's-relay",
            "owner: alice",
            "state: serving",
            "stake: 5000 DCHAT",
            "addresses:",
            "- /ip4/203.0.113.7/tcp/7070",
            "registered_at: 0",
            "jailed_until: -",
            "leaves_at: -",
        ],
    )


def test_a_relay_that_nobody_registered_is_proved_not_to_be_there(town: Market) -> None:
    ran = town.query("relay", peer_id("carol"))

    assert (ran.code, ran.out) == (11, "")
    assert "error: no relay has the peer id carol's-relay" in masked(ran.err)


def test_a_peer_id_is_not_guessed_at(town: Market) -> None:
    ran = town.query("relay", SHOWN["alice"])

    assert (ran.code, ran.out, "not the id of an Ed25519 key" in ran.err) == (1, "", True)


def test_a_relay_that_leaves_is_shown_as_leaving(town: Market) -> None:
    town.tx("alice", "unbond-relay", "--relay", peer_id("alice"))

    told = said(town.query("relay", peer_id("alice"), "--json"))

    assert (told["state"], told["leaves_at"] is None) == ("leaving", False)


def test_escrows_are_listed_by_payer_and_add_up_to_their_pool(town: Market) -> None:
    opened = town.tx("carol", "open-escrow", "--relay", peer_id("alice"), "--amount", "12")

    ran = town.query("escrows")

    assert (opened.code, ran.code, ran.err.endswith(f"{WHOLE}\n")) == (0, 0, True)
    assert table(ran)[2:-1] == ["carol 1 alice's-relay alice 12 DCHAT 0 DCHAT - HASH"]


def test_one_payers_escrows_are_listed_without_a_total(town: Market) -> None:
    town.tx("carol", "open-escrow", "--relay", peer_id("alice"), "--amount", "12")

    told = said(town.query("escrows", SHOWN["carol"], "--json"))

    assert [(row["number"], row["held"]) for row in told["escrows"]] == [(1, "12 DCHAT")]


def test_issuers_are_listed_and_add_up_to_their_pool(town: Market) -> None:
    town.tx("carol", "open-issuer-bond", "--amount", "40")

    ran = town.query("issuers")

    assert (ran.code, ran.err.endswith(f"{WHOLE}\n")) == (0, True)
    assert table(ran)[1:-1] == ["issuer held closes_at token_keys", "carol 40 DCHAT - 0"]


def test_who_issues_nothing_is_proved_to_issue_nothing(town: Market) -> None:
    ran = town.query("issuer", SHOWN["dave"])

    assert (ran.code, "error: dave issues no delivery tokens" in masked(ran.err)) == (11, True)
