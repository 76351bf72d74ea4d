"""`dchat channel`, epochs: public ones, and those of hidden members with their rosters."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dchat.kernel import signing
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

THERE, HIDDEN = ("--channel", PUBLIC.hex()), ("--channel", PRIVATE.hex())
KEYS = tuple(signing.public_key(bytes([at]) * 32).hex() for at in range(1, 4))


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_registered, has_channels()) as opened:
        yield opened


@pytest.fixture
def seated(place: Lounge) -> Path:
    """The roster of the private channel's first epoch with members: bob moderates."""
    roster = place.file.with_name("roster-1.json")
    ran = place.run("alice", *begins(roster))
    assert ran.code == 0
    return roster


def begins(roster: Path) -> tuple[object, ...]:
    seats = ("--seat", f"{SHOWN['bob']}=moderator", "--seat", f"{SHOWN['carol']}=member")
    return ("channel", "epoch", *HIDDEN, *seats, "--output", roster, "--posting-key", KEYS[0])


def test_an_epoch_is_committed_with_the_hash_of_what_was_sent(place: Lounge) -> None:
    letter = place.file.with_name("letter")
    letter.write_bytes(b"our new keys")

    told = said(place.run("alice", "channel", "epoch", *THERE, "--sent", letter, "--json"))

    assert (told["epoch"], told["group_commit"]) == (EPOCH + 1, sha256(b"our new keys").hexdigest())


def test_who_builds_on_an_older_epoch_is_told_to_rebase(place: Lounge) -> None:
    place.run("alice", "channel", "epoch", *THERE)

    ran = place.run("alice", "channel", "epoch", *THERE, "--from", EPOCH)

    assert f"builds on epoch {EPOCH}, the present one is {EPOCH + 1}" in ran.err
    assert "hint: rebase" in ran.err


def test_a_hidden_group_gets_a_roster_that_only_its_owner_reads(
    place: Lounge, seated: Path
) -> None:
    told = said(place.query("channel", PRIVATE.hex(), "--json"))

    assert (told["epoch"], told["size_class"], told["posting_key"]) == (EPOCH + 1, 16, KEYS[0])
    assert seated.stat().st_mode & 0o777 == 0o600


def test_a_hidden_member_proves_its_seat(place: Lounge, seated: Path) -> None:
    words = ("--roster", seated, "--network", place.file, "--json")

    ran = place.dchat("channel", "prove-member", *HIDDEN, "--member", SHOWN["bob"], *words)

    assert (said(ran)["role"], len(said(ran)["aunts"])) == ("moderator", 4)


def test_who_is_not_on_the_roster_proves_nothing(place: Lounge, seated: Path) -> None:
    words = ("--roster", seated, "--network", place.file)

    ran = place.dchat("channel", "prove-member", *HIDDEN, "--member", SHOWN["dave"], *words)

    assert (ran.code, "is not on the roster" in ran.err) == (2, True)


def test_a_roster_of_an_older_epoch_proves_nothing(place: Lounge, seated: Path) -> None:
    newer = place.file.with_name("roster-2.json")
    out = ("--seat", f"{SHOWN['carol']}=out", "--output", newer, "--posting-key", KEYS[1])
    place.run("alice", "channel", "epoch", *HIDDEN, "--roster", seated, *out)
    words = ("--roster", seated, "--network", place.file)

    ran = place.dchat("channel", "prove-member", *HIDDEN, "--member", SHOWN["bob"], *words)

    assert "BadHiddenProof" in ran.err


def test_a_hidden_moderator_removes_a_member_and_commits_the_next_epoch(
    place: Lounge, seated: Path
) -> None:
    who = ("--member", SHOWN["carol"], "--roster", seated)
    removed = said(place.run("bob", "channel", "remove", *HIDDEN, *who, "--json"))
    newer = place.file.with_name("roster-2.json")
    out = ("--seat", f"{SHOWN['carol']}=out", "--output", newer, "--posting-key", KEYS[1])

    told = said(place.run("bob", "channel", "epoch", *HIDDEN, "--roster", seated, *out, "--json"))

    assert (removed["stale"], removed["removals"]) == (True, 1)
    assert (told["epoch"], told["stale"]) == (EPOCH + 2, False)
    assert SHOWN["carol"] not in newer.read_text()


def test_a_hidden_member_leaves(place: Lounge, seated: Path) -> None:
    first = place.run("carol", "channel", "leave", *HIDDEN, "--roster", seated)
    again = place.run("carol", "channel", "leave", *HIDDEN, "--roster", seated)

    assert (first.code, "RemovedLeaf" in again.err) == (0, True)


def test_an_owner_reserves_the_next_epoch(place: Lounge, seated: Path) -> None:
    who = ("--member", SHOWN["carol"], "--roster", seated, "--reserve")

    told = said(place.run("alice", "channel", "remove", *HIDDEN, *who, "--json"))

    assert told["reserved"]


def test_a_roster_is_never_replaced(place: Lounge, seated: Path) -> None:
    before = seated.read_bytes()

    ran = place.run("alice", *begins(seated))

    assert ("exists already" in ran.err, seated.read_bytes()) == (True, before)


@pytest.mark.parametrize(
    "words", [("--seat", "x=member"), ("--posting-key", KEYS[0]), ("--output", "new.json")]
)
def test_members_of_an_epoch_need_a_file_and_a_key(place: Lounge, words: tuple[str, ...]) -> None:
    ran = place.run("alice", "channel", "epoch", *HIDDEN, *words)

    assert (ran.code, "--output" in ran.err) == (2, True)
