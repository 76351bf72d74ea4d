"""`dchat channel`, posts: what stands in a channel afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_chat.state import devices
from dchat.kernel import signing
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import (
    OPEN,
    PRIVATE,
    PUBLIC,
    Lounge,
    everybody_is_registered,
    has_channels,
    lounge,
)
from tests.dchat.cli.market import SHOWN, said
from tests.dchat.cli.nodes import Dchat
from tests.fakes.people import identity_of

IN_PUBLIC, IN_PRIVATE = ("--channel", PUBLIC.hex()), ("--channel", PRIVATE.hex())
HASHES = tuple(bytes([at]) * 32 for at in range(1, 6))
SHORT = EpochMs(1)


def bob_has_a_device(draft: Draft) -> None:
    key = signing.public_key(identity_of("dave").child("device"))
    devices.add(draft, identity_of("bob").account_id, key, Height(0))


SETTINGS = (everybody_is_registered, bob_has_a_device)


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, *SETTINGS, has_channels()) as opened:
        yield opened


@pytest.fixture
def forgetful(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    policy = replace(OPEN, retention_ms=SHORT)
    with lounge(tmp_path, dchat, *SETTINGS, has_channels(policy)) as opened:
        yield opened


def listed(place: Lounge, count: int, name: str = "mine.txt") -> Path:
    """A file with so many commitments."""
    file = place.file.with_name(name)
    file.write_text("".join(f"{each.hex()}\n" for each in HASHES[:count]))
    return file


def post(at: int = 0, *more: object) -> tuple[object, ...]:
    """The words by which something is posted."""
    return ("channel", "post", *IN_PUBLIC, "--commitment", HASHES[at].hex(), *more, "--json")


def test_a_post_gets_a_number_and_its_proof_holds(place: Lounge, tmp_path: Path) -> None:
    place.run("carol", *post())

    told = said(place.run("bob", *post(1, "--proofs", tmp_path / "proofs")))

    proof = tmp_path / "proofs" / "2.proof"
    shown = said(place.query("post", PUBLIC.hex(), 2, "--proof", proof, "--json"))
    assert (told["first"], told["last"]) == (2, 2)
    assert (shown["author"], shown["commitment"]) == (SHOWN["bob"], HASHES[1].hex())


def signed(place: Lounge, name: str, count: int, *more: str) -> str:
    """The part that somebody signs of so many posts."""
    words = ("--commitments", listed(place, count), "--identity", place.identity(name), *more)
    return place.dchat("channel", "sign-posts", *IN_PUBLIC, *words, "--network", place.file).out


def test_parts_of_two_authors_go_in_one_transaction(place: Lounge, tmp_path: Path) -> None:
    parts = tmp_path / "parts.jsonl"
    parts.write_text(signed(place, "bob", 3) + signed(place, "alice", 2))
    words = ("channel", "post-batch", *IN_PUBLIC, "--parts", parts, "--json")

    told = said(place.run("carol", *words, "--proofs", tmp_path))

    proof = tmp_path / "5.proof"
    shown = said(place.query("post", PUBLIC.hex(), 5, "--proof", proof, "--json"))
    assert (told["first"], told["last"]) == (1, 5)
    assert (shown["author"], shown["counter"], shown["parts"]) == (SHOWN["alice"], 1, 2)
    assert sorted(file.name for file in tmp_path.glob("*.proof"))[0] == "1.proof"


def test_a_part_says_whose_it_is_and_signs_the_next_counter(place: Lounge) -> None:
    place.run("bob", *post())

    part = json.loads(signed(place, "bob", 2))

    key = signing.public_key(identity_of("bob").account_seed).hex()
    assert (part["author"], part["device"], part["counter"]) == (SHOWN["bob"], key, 1)


def test_a_device_signs_for_its_author(place: Lounge, tmp_path: Path) -> None:
    parts = tmp_path / "parts.jsonl"
    parts.write_text(signed(place, "dave", 2, "--author", SHOWN["bob"]))
    words = ("channel", "post-batch", *IN_PUBLIC, "--parts", parts, "--proofs", tmp_path)

    place.run("carol", *words)

    proof = tmp_path / "1.proof"
    shown = said(place.query("post", PUBLIC.hex(), 1, "--proof", proof, "--json"))
    key = signing.public_key(identity_of("dave").child("device")).hex()
    assert (shown["author"], shown["device"]) == (SHOWN["bob"], key)


def test_own_commitments_are_signed_and_sent_at_once(place: Lounge) -> None:
    words = ("channel", "post-batch", *IN_PUBLIC, "--commitments", listed(place, 5), "--json")

    assert said(place.run("bob", *words))["last"] == 5


def test_posts_of_a_private_channel_are_filled_up_to_a_class(place: Lounge, tmp_path: Path) -> None:
    key = ("--posting-key", place.identity("dave"))
    words = ("--commitments", listed(place, 3), *key, "--proofs", tmp_path, "--json")

    told = said(place.run("carol", "channel", "post-batch", *IN_PRIVATE, *words))

    proof = tmp_path / "3.proof"
    shown = said(place.query("post", PRIVATE.hex(), 3, "--proof", proof, "--json"))
    assert (told["last"], shown["author"], shown["device"]) == (4, None, None)
    assert shown["commitment"] == HASHES[2].hex()


def test_what_is_kept_no_longer_is_taken_away(forgetful: Lounge) -> None:
    forgetful.run("bob", *post())
    forgetful.run("carol", *post())
    words = ("channel", "expire", *IN_PUBLIC, "--most", 1, "--json")

    told = said(forgetful.run("alice", *words))

    after = said(forgetful.query("post", PUBLIC.hex(), 1, "--json"))
    assert (told["records"], told["kept_from"]) == (1, 2)
    assert (after["state"], after["tombstone"]) == ("expired", told["tombstone"])


def test_a_conversation_is_anchored(place: Lounge) -> None:
    words = ("--conversation", place.identity("dave"), "--number", 7, "--head", HASHES[0].hex())

    told = said(place.run("carol", "channel", "anchor", *words, "--json"))

    key = signing.public_key(identity_of("dave").account_seed).hex()
    assert (told["conversation"], told["number"]) == (key, 7)
    assert said(place.query("anchor", key, "--json"))["head"] == HASHES[0].hex()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("post", *IN_PUBLIC, "--commitment", "ab"), 2, "is not a commitment"),
        (("post", *IN_PRIVATE, "--commitment", "00" * 32), 13, "AuthorNamed (292)"),
        (("post", "--channel", "00" * 32, "--commitment", "00" * 32), 11, "there is no channel"),
        (("post-batch", *IN_PUBLIC), 1, "BadBatch (285)"),
        (("post-batch", *IN_PUBLIC, "--parts", __file__), 2, "is no list of parts"),
        (("post-batch", *IN_PUBLIC, "--commitments", __file__), 2, "is no list of commitments"),
        (("expire", *IN_PUBLIC), 1, "keeps its posts for ever"),
    ],
)
def test_a_refusal_says_why(place: Lounge, words: tuple[object, ...], code: int, said: str) -> None:
    ran = place.run("alice", "channel", *words)

    assert (ran.code, said in ran.err) == (code, True)


def test_nothing_is_sent_where_nothing_expired(forgetful: Lounge) -> None:
    ran = forgetful.run("alice", "channel", "expire", *IN_PUBLIC)

    assert (ran.code, "old enough" in ran.err) == (1, True)


def test_a_part_that_would_be_refused_is_named_before_anything_is_sent(
    place: Lounge, tmp_path: Path
) -> None:
    parts = tmp_path / "parts.jsonl"
    parts.write_text(signed(place, "alice", 1) + signed(place, "bob", 2))
    place.run("bob", *post())
    before = place.query("account", SHOWN["carol"], "--chain", "chat").out

    ran = place.run("carol", "channel", "post-batch", *IN_PUBLIC, "--parts", parts)

    assert (ran.code, "part 2 would be refused, CounterMismatch" in ran.err) == (1, True)
    assert place.query("account", SHOWN["carol"], "--chain", "chat").out == before
