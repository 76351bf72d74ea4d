"""`dchat channel`, members: who is in afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dchat.cli.lounge import PRIVATE, PUBLIC, Lounge, everybody_is_registered, has_channels
from tests.dchat.cli.lounge import lounge as open_lounge
from tests.dchat.cli.market import SHOWN, said
from tests.dchat.cli.nodes import Dchat

THERE = ("--channel", PUBLIC.hex())


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with open_lounge(tmp_path, dchat, everybody_is_registered, has_channels()) as opened:
        yield opened


def roles(place: Lounge) -> dict[str, str]:
    """Who is listed, and as what, as the chain says it."""
    told = said(place.query("members", PUBLIC.hex(), "--json"))
    names = {shown: name for name, shown in SHOWN.items()}
    return {names[row["member"]]: row["role"] for row in told["members"]}


def test_somebody_leaves_and_joins(place: Lounge) -> None:
    left = place.run("bob", "channel", "leave", *THERE)
    without = roles(place)
    joined = place.run("bob", "channel", "join", *THERE)

    assert (left.code, joined.code) == (0, 0)
    assert (without, roles(place)) == ({"carol": "member"}, {"bob": "member", "carol": "member"})


def test_somebody_is_made_a_moderator_and_removes_another(place: Lounge) -> None:
    place.run("alice", "channel", "role", *THERE, "--member", SHOWN["bob"], "--role", "moderator")

    ran = place.run("bob", "channel", "remove", *THERE, "--member", SHOWN["carol"])

    assert (ran.code, roles(place)) == (0, {"bob": "moderator"})


def test_who_asks_is_let_in_and_who_is_turned_down_is_not(place: Lounge) -> None:
    place.run("alice", "channel", "policy", *THERE, "--join", "request")
    place.run("bob", "channel", "leave", *THERE)
    place.run("carol", "channel", "leave", *THERE)
    place.run("bob", "channel", "request", *THERE)
    place.run("carol", "channel", "request", *THERE)

    place.run("alice", "channel", "answer", *THERE, "--member", SHOWN["bob"], "--accept")
    place.run("alice", "channel", "answer", *THERE, "--member", SHOWN["carol"], "--deny")

    assert roles(place) == {"bob": "member"}


def test_who_is_invited_joins(place: Lounge) -> None:
    place.run("alice", "channel", "policy", *THERE, "--join", "invite")
    place.run("bob", "channel", "leave", *THERE)

    refused = place.run("bob", "channel", "join", *THERE)
    place.run("alice", "channel", "invite", *THERE, "--member", SHOWN["bob"])
    joined = place.run("bob", "channel", "join", *THERE)

    assert ("NotInvited" in refused.err, joined.code) == (True, 0)


@pytest.mark.parametrize(("more", "until"), [((), "for good"), (("--for", "60"), "20")])
def test_who_is_banned_stays_out_until_the_ban_is_lifted(
    place: Lounge, more: tuple[str, ...], until: str
) -> None:
    banned = said(
        place.run("alice", "channel", "ban", *THERE, "--member", SHOWN["bob"], *more, "--json")
    )
    refused = place.run("bob", "channel", "join", *THERE)
    place.run("alice", "channel", "unban", *THERE, "--member", SHOWN["bob"])
    joined = place.run("bob", "channel", "join", *THERE)

    assert (banned["until"][: len(until)], "Banned" in refused.err, joined.code) == (until, True, 0)


def test_a_private_channel_names_nobody(place: Lounge) -> None:
    ran = place.run("bob", "channel", "join", "--channel", PRIVATE.hex())

    assert "MembersHidden" in ran.err
