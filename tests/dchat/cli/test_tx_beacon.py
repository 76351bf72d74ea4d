"""`dchat tx commit-beacon`: what stands on the chain afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat.state import beacon
from dchat.kernel.store import Draft
from dchat.operator import beacon as secrets
from dchat.operator.home import validator_address
from dchat.operator.plan import keys_of
from tests.dchat.cli.lounge import Lounge, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, said, table
from tests.dchat.cli.nodes import Dchat
from tests.fakes.memory import CHAIN
from tests.fakes.people import identity_of

ALICE = identity_of("alice")
KEY = keys_of(ALICE, "chat").consensus_key


def validates(draft: Draft) -> None:
    """Alice and carol operate validators; carol's account is not that of her node's identity."""
    head = secrets.head(ALICE, CHAIN)
    beacon.begin(draft, KEY, PEOPLE["alice"], head, secrets.LENGTH)
    other = keys_of(identity_of("carol"), "chat").consensus_key
    beacon.begin(draft, other, PEOPLE["bob"], beacon.EMPTY_HEAD, 0)


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, validates) as opened:
        yield opened


def test_a_validator_is_bound_to_its_next_chain(place: Lounge) -> None:
    ran = place.run("alice", "tx", "commit-beacon")

    assert ran.code == 0, ran.err
    assert table(ran)[2:10] == [
        "from: alice",
        f"validator: {validator_address(KEY).hex()}",
        "fee_credits: …",
        "operator: alice",
        "chain: 1",
        "preimages_left: 4096",
        "next_chain: 2",
        "next_from_window: 1",
    ]


def test_the_chain_after_that_has_the_next_number(place: Lounge) -> None:
    place.run("alice", "tx", "commit-beacon")

    told = said(place.run("alice", "tx", "commit-beacon", "--json"))

    assert told["next_chain"] == 3


def test_who_validates_nothing_is_told(place: Lounge) -> None:
    ran = place.run("bob", "tx", "commit-beacon")

    assert ran.code == 11
    assert "the chat chain has no validator" in ran.err


def test_an_identity_that_is_not_the_operators_is_refused(place: Lounge) -> None:
    ran = place.run("carol", "tx", "commit-beacon")

    assert ran.code == 13
    assert "NotOperator (351)" in ran.err


def test_beacons_are_listed_with_what_is_left_of_them(place: Lounge) -> None:
    shown = said(place.query("beacons", "--json"))

    row = next(each for each in shown["beacons"] if each["operator"] == SHOWN["alice"])
    assert (row["validator"], row["chain"], row["preimages_left"]) == (
        validator_address(KEY).hex(),
        1,
        secrets.LENGTH,
    )
    assert len(shown["beacons"]) == 2


def test_the_draw_is_shown_before_there_ever_was_one(place: Lounge) -> None:
    shown = said(place.query("draw", "--json"))

    assert (shown["window"], shown["phase"], shown["waiting"]) == (0, "idle", 0)
