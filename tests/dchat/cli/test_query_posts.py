"""`dchat query` of posts and anchors, on a chain behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat.state import conversations, post_proofs, posts, targets
from abci_chat.state.conversations import Anchor
from abci_chat.state.targets import Shown
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import PRIVATE, PUBLIC, Lounge, has_channels, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, hides_the_last_entry, said, table
from tests.dchat.cli.nodes import Dchat
from tests.fakes.posting import commitments, part_of

COUNTS = (3, 1, 700, 5, 1, 1)
"""Posts of the channel's records; the first record has expired."""
WAS = EpochMs(1_800_000_000_000)
PARTS = [
    part_of(PEOPLE["bob"], b"d" * 32, at, commitments(count, 1000 * at))
    for at, count in enumerate(COUNTS)
]
NAME = b"n" * 32
SHOWN_ID = PUBLIC.hex()


def has_posts(draft: Draft) -> None:
    for at, part in enumerate(PARTS):
        posts.append(draft, PUBLIC, (part,), EpochMs(WAS + at), (Height(at), 3))
    posts.expire(draft, PUBLIC, (1,), EpochMs(WAS + 1), 1)
    conversations.save(draft, NAME, Anchor(9, b"h" * 32, WAS))


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, has_channels(), has_posts) as opened:
        yield opened


def test_posts_are_listed_by_record_with_the_tombstone_of_what_expired(place: Lounge) -> None:
    told = said(place.query("posts", SHOWN_ID, "--json"))

    assert [(row["first"], row["last"]) for row in told["posts"]] == [
        (4, 4),
        (5, 704),
        (705, 709),
        (710, 710),
        (711, 711),
    ]
    assert (told["next"], told["kept_from"], told["expired_posts"]) == (712, 4, 3)
    assert (told["next_after"], told["expired_records"]) == (None, 1)
    assert told["checked"]["proof"] == "presence"


@pytest.mark.parametrize(
    ("after", "firsts", "next_after"),
    [(0, [4, 5], 704), (704, [705, 710], 710), (600, [705, 710], 710), (710, [711], None)],
)
def test_posts_are_listed_a_page_at_a_time(
    place: Lounge, after: int, firsts: list[int], next_after: int | None
) -> None:
    told = said(place.query("posts", SHOWN_ID, "--after", after, "--limit", 2, "--json"))

    assert ([row["first"] for row in told["posts"]], told["next_after"]) == (firsts, next_after)


@pytest.mark.parametrize(
    ("number", "first"), [(4, 4), (5, 5), (6, 5), (704, 5), (705, 705), (709, 705), (711, 711)]
)
def test_a_post_is_found_in_its_record(place: Lounge, number: int, first: int) -> None:
    told = said(place.query("post", SHOWN_ID, number, "--json"))

    assert (told["state"], told["first"], told["checked"]["proof"]) == ("kept", first, "presence")


def test_a_post_that_expired_is_told_from_one_that_never_was(place: Lounge) -> None:
    gone, never = (place.query("post", SHOWN_ID, number) for number in (3, 712))

    assert "state: expired" in table(gone)
    assert (never.code, "next post is number 712" in never.err) == (11, True)


def kept_proof(folder: Path, first: int, place: int) -> Path:
    proof = post_proofs.prove(PARTS[2:3], 0, commitments(700, 2000), place)
    file = folder / "a.proof"
    shown = Shown(first, commitments(1, 2000 + place)[0], proof)
    file.write_bytes(targets.PROOF_OF_POST.encode(shown))
    return file


def test_a_kept_proof_says_whose_post_it_is(place: Lounge, tmp_path: Path) -> None:
    file = kept_proof(tmp_path, 5, 8)

    told = said(place.query("post", SHOWN_ID, 13, "--proof", file, "--json"))

    assert told["commitment"] == commitments(1, 2008)[0].hex()
    assert (told["author"], told["counter"]) == (SHOWN["bob"], 10)


@pytest.mark.parametrize(("number", "first"), [(14, 5), (13, 6), (12, 4), (4, 5), (705, 5)])
def test_a_proof_of_another_post_is_refused(
    place: Lounge, tmp_path: Path, number: int, first: int
) -> None:
    file = kept_proof(tmp_path, first, 8)

    ran = place.query("post", SHOWN_ID, number, "--proof", file)

    assert (ran.code, "proof" in ran.err, ran.out) == (1, True, "")


def test_a_file_that_is_no_proof_is_refused(place: Lounge, tmp_path: Path) -> None:
    file = tmp_path / "a.proof"
    file.write_bytes(b"no proof")

    ran = place.query("post", SHOWN_ID, 13, "--proof", file)

    assert (ran.code, "is no proof of a post" in ran.err) == (1, True)


def test_a_node_that_keeps_a_record_back_is_found_out(place: Lounge) -> None:
    setattr(place.node, "answer", hides_the_last_entry(place.node))  # noqa: B010

    ran = place.query("post", SHOWN_ID, 704)

    assert (ran.code == 0, "must be" in ran.err) == (False, True)


def test_a_channel_without_posts_has_an_empty_list(place: Lounge) -> None:
    told = said(place.query("posts", PRIVATE.hex(), "--json"))

    assert (told["posts"], told["next"], told["kept_from"]) == ([], 1, 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("posts", bytes(32).hex()), 11),
        (("posts", "abc"), 2),
        (("posts", SHOWN_ID, "--after", 712), 11),
        (("post", bytes(32).hex(), 1), 11),
        (("anchor", bytes(32).hex()), 11),
    ],
)
def test_what_is_not_there_is_said(place: Lounge, words: tuple[object, ...], code: int) -> None:
    assert place.query(*words).code == code


def test_an_anchor_is_shown_by_the_conversations_key(place: Lounge) -> None:
    told = said(place.query("anchor", NAME.hex(), "--json"))

    assert (told["number"], told["head"]) == (9, (b"h" * 32).hex())
