"""`dchat query channel` and `members`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.cli.lounge import (
    EPOCH,
    PRIVATE,
    PUBLIC,
    Lounge,
    everybody_is_registered,
    has_channels,
    lounge,
)
from tests.dchat.cli.market import SHOWN, said
from tests.dchat.cli.nodes import Dchat


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_registered, has_channels()) as opened:
        yield opened


def test_a_channel_is_shown_with_its_epoch_and_by_proof(place: Lounge) -> None:
    told = said(place.query("channel", PUBLIC.hex(), "--json"))

    assert (told["owner"], told["kind"], told["epoch"]) == (SHOWN["alice"], "public", EPOCH)
    assert told["checked"]["proof"] == "presence"


def test_a_channel_that_is_not_there_is_proved_to_be_absent(place: Lounge) -> None:
    ran = place.query("channel", bytes(32).hex())

    assert (ran.code, "there is no channel" in ran.err) == (11, True)


def test_members_are_listed_behind_their_owner(place: Lounge) -> None:
    told = said(place.query("members", PUBLIC.hex(), "--limit", "1", "--json"))

    assert (told["owner"], len(told["members"])) == (SHOWN["alice"], 1)
    assert told["next_after"]


def test_members_of_a_private_channel_are_not_listed(place: Lounge) -> None:
    ran = place.query("members", PRIVATE.hex())

    assert (ran.code, "lists nobody" in ran.err) == (1, True)


def test_an_id_of_another_length_is_no_channel(place: Lounge) -> None:
    assert place.query("channel", "abcd").code == 2
