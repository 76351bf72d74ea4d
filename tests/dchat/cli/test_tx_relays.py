"""`dchat tx` of relays and escrows: what stands in the registry afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_currency.params import RELAYS, Relays
from dchat.kernel import signing
from dchat.kernel.store import Draft
from tests.dchat.cli.market import (
    ADDRESS,
    SHOWN,
    Market,
    market,
    peer_id,
    runs_a_relay,
    said,
    table,
)
from tests.dchat.cli.nodes import Dchat
from tests.fakes.people import identity_of

ALICES = ("--relay", peer_id("alice"))
OPEN = ("open-escrow", *ALICES, "--amount", "12", "--json")


def a_second_is_enough(draft: Draft) -> None:
    RELAYS.save(draft, Relays(unbonding_ms=1000, escrow_delay_ms=1000))


@pytest.fixture
def town(tmp_path: Path, dchat: Dchat) -> Iterator[Market]:
    with market(tmp_path, dchat, runs_a_relay("alice", 5_000), a_second_is_enough) as opened:
        yield opened


def register(town: Market, relay: str, *more: str) -> tuple[str, ...]:
    """The words by which a relay is registered that has somebody's identity file."""
    file = town.file.with_name(f"{relay}.json")
    return ("register-relay", "--relay-identity", str(file), "--address", ADDRESS, *more)


def test_a_relay_is_registered_with_its_own_consent(town: Market) -> None:
    ran = town.tx("carol", *register(town, "dave", "--stake", "1000"))

    assert ran.code == 0
    assert table(ran)[2:12] == [
        "from: carol",
        "bonded: 1000 DCHAT",
        "fee: …",
        "peer_id: dave's-relay",
        "owner: carol",
        "state: serving",
        "stake: 1000 DCHAT",
        "addresses:",
        "- /ip4/203.0.113.7/tcp/7070",
        "registered_at: 3",
    ]


def test_a_relay_is_found_elsewhere_after_an_edit(town: Market) -> None:
    told = said(
        town.tx(
            *("alice", "edit-relay", *ALICES, "--address", "/dns/relay.example.org/tcp/7070"),
            *("--address", ADDRESS, "--json"),
        )
    )

    assert told["addresses"] == ["/dns/relay.example.org/tcp/7070", ADDRESS]


def test_a_relay_has_more_at_stake_after_a_top_up(town: Market) -> None:
    told = said(town.tx("alice", "top-up-relay", *ALICES, "--amount", "0.5", "--json"))

    assert told["stake"] == "5000.5 DCHAT"


def test_a_relay_that_left_is_paid_out_to_its_owner(town: Market) -> None:
    left = said(town.tx("alice", "unbond-relay", *ALICES, "--json"))

    ran = town.tx("carol", "settle-relay", *ALICES)

    assert (left["state"], ran.code) == ("leaving", 0)
    assert town.query("relay", peer_id("alice")).code == 11


def test_an_escrow_is_opened_under_the_identitys_cheque_key(town: Market) -> None:
    told = said(town.tx("carol", *OPEN))

    key = signing.public_key(identity_of("carol").child("cheques")).hex()
    assert [(row["number"], row["held"], row["cheque_key"]) for row in told["escrows"]] == [
        (1, "12 DCHAT", key)
    ]


def test_an_escrow_is_opened_under_a_key_that_is_named(town: Market) -> None:
    key = signing.public_key(bytes(32)).hex()

    told = said(town.tx("carol", *OPEN, "--cheque-key", key))

    assert told["escrows"][0]["cheque_key"] == key


def test_an_escrow_holds_more_after_a_top_up(town: Market) -> None:
    town.tx("carol", *OPEN)

    told = said(town.tx("carol", "top-up-escrow", "--number", "1", "--amount", "3", "--json"))

    assert [row["held"] for row in told["escrows"]] == ["15 DCHAT"]


def test_an_escrow_is_closed_and_paid_back(town: Market) -> None:
    town.tx("carol", *OPEN)
    closed = said(town.tx("carol", "close-escrow", "--number", "1", "--json"))

    ran = town.tx("bob", "settle-escrow", "--number", "1", "--payer", SHOWN["carol"])

    assert (closed["escrows"][0]["closes_at"] is None, ran.code) == (False, 0)
    assert town.query("escrows", SHOWN["carol"]).code == 11


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("edit-relay", *ALICES, "--address", "alice.example"), 1, "alice.example"),
        (("edit-relay", *ALICES, "--address", ADDRESS), 13, "NotRelayOwner (156)"),
        (("top-up-relay", "--relay", "alice", "--amount", "5"), 1, "Ed25519 key"),
        (("open-escrow", *ALICES, "--amount", "0.5"), 13, "EscrowTooSmall"),
        (("open-escrow", *ALICES, "--amount", "5", "--cheque-key", "ab"), 2, "not a public key"),
        (("close-escrow", "--number", "9"), 13, "UnknownEscrow"),
        (("settle-relay", *ALICES), 13, "NothingDue (159)"),
    ],
)
def test_a_refusal_says_why(town: Market, words: tuple[str, ...], code: int, said: str) -> None:
    ran = town.tx("carol", *words)

    assert (ran.code, said in ran.err) == (code, True)
