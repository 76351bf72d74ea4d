"""`dchat channel`: what a channel is afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat.state import channels
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import (
    PUBLIC,
    Lounge,
    everybody_is_registered,
    has_channels,
    lounge,
)
from tests.dchat.cli.market import PEOPLE, SHOWN, said, table
from tests.dchat.cli.nodes import Dchat

THERE = ("--channel", PUBLIC.hex())


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_registered, has_channels()) as opened:
        yield opened


def test_a_channel_is_created_with_its_policy(place: Lounge) -> None:
    words = ("channel", "create", "--join", "request", "--slow-mode", "30", "--retention", "3600")

    ran = place.run("carol", *words)

    assert ran.code == 0
    assert table(ran)[2:-1] == [
        "from: carol",
        "deposit_credits: 100000",
        "fee_credits: …",
        "channel: HASH",
        "kind: public",
        "owner: carol",
        "state: open",
        "who_may_post: member",
        "slow_mode_ms: 30000",
        "retention_ms: 3600000",
        "join: request",
        "gate: -",
        "created_at: TIME",
        "owner_acted_at: TIME",
        "successor: -",
        "offered_to: -",
        "epoch: 0",
        "stale: no",
        "reserved: no",
        "removals: 0",
        "size_class: -",
        "member_root: -",
        "posting_key: -",
        "group_commit: HASH",
    ]


def test_a_gated_channel_says_what_it_asks_for(place: Lounge) -> None:
    words = ("channel", "create", "--kind", "gated", "--gate", "stake", "--least", "5", "--json")

    told = said(place.run("carol", *words))

    assert (told["kind"], told["gate"], told["join"]) == ("gated", "stake of 5 DCHAT", "open")


def test_a_private_channel_is_joined_by_its_epochs_only(place: Lounge) -> None:
    told = said(place.run("carol", "channel", "create", "--kind", "private", "--json"))

    assert (told["kind"], told["join"], told["owner"]) == ("private", "invite", SHOWN["carol"])


def test_a_channel_is_closed_for_good_and_only_when_that_is_meant(place: Lounge) -> None:
    made = said(place.run("carol", "channel", "create", "--json"))["channel"]

    unsure = place.run("carol", "channel", "close", "--channel", made)
    closed = said(place.run("carol", "channel", "close", "--channel", made, "--yes", "--json"))
    again = place.run("carol", "channel", "close", "--channel", made, "--yes")

    assert (unsure.code, "--yes" in unsure.err) == (2, True)
    assert (closed["state"].startswith("closed at 20"), closed["deposit_credits"]) == (True, 0)
    assert "ChannelClosed" in again.err


def test_what_is_not_named_stays_in_a_policy(place: Lounge) -> None:
    place.run("alice", "channel", "policy", *THERE, "--slow-mode", "5")

    told = said(place.run("alice", "channel", "policy", *THERE, "--post", "moderator", "--json"))

    assert (told["slow_mode_ms"], told["who_may_post"], told["join"]) == (5000, "moderator", "open")


def test_a_channel_is_offered_and_accepted(place: Lounge) -> None:
    offered = said(place.run("alice", "channel", "offer", *THERE, "--to", SHOWN["bob"], "--json"))

    taken = said(place.run("bob", "channel", "accept", *THERE, "--json"))

    assert (offered["offered_to"], offered["owner"]) == (SHOWN["bob"], SHOWN["alice"])
    assert (taken["offered_to"], taken["owner"]) == (None, SHOWN["bob"])


def test_an_offer_is_taken_back(place: Lounge) -> None:
    place.run("alice", "channel", "offer", *THERE, "--to", SHOWN["bob"])

    told = said(place.run("alice", "channel", "offer", *THERE, "--json"))

    assert told["offered_to"] is None


def bob_succeeds(draft: Draft) -> None:
    """Alice named bob, and has not been there since 1970."""
    record = channels.open_channel(draft, PUBLIC)
    channels.save(draft, PUBLIC, replace(record, successor=PEOPLE["bob"]))


def test_a_successor_takes_what_its_owner_left_long_ago(tmp_path: Path, dchat: Dchat) -> None:
    with lounge(tmp_path, dchat, everybody_is_registered, has_channels(), bob_succeeds) as place:
        told = said(place.run("bob", "channel", "succeed", *THERE, "--json"))

    assert (told["owner"], told["successor"]) == (SHOWN["bob"], None)


def test_a_successor_waits_while_the_owner_is_there(place: Lounge) -> None:
    words = ("channel", "successor", *THERE, "--to", SHOWN["bob"], "--json")
    named = said(place.run("alice", *words))

    early = place.run("bob", "channel", "succeed", *THERE)

    assert named["successor"] == SHOWN["bob"]
    assert (early.code, "OwnerStillActs" in early.err) == (13, True)


def test_only_the_owner_is_obeyed(place: Lounge) -> None:
    ran = place.run("bob", "channel", "policy", *THERE, "--slow-mode", "5")

    assert "RoleTooLow" in ran.err
