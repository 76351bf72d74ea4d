"""`dchat moderation`: what stands on the chain afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat.params import MODERATION
from abci_chat.state import cases, handles, jury, post_proofs, posts, targets
from abci_chat.state.cases import Case, Reason
from abci_chat.state.post_proofs import Part
from abci_chat.state.targets import Kind, Shown, Target
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import PUBLIC, Lounge, everybody_is_registered, has_channels, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, context, said, table
from tests.dchat.cli.nodes import Dchat
from tests.fakes.memory import CHAIN

BOND = MODERATION.default.juror_bond
REPORT_BOND = MODERATION.default.report_bond
HANDLE = "carols_place"
PROOF = b"a screenshot"
COMMITMENT = b"\x11" * 32
PART = Part(PEOPLE["bob"], bytes(32), 0, 1, merkle_root((COMMITMENT,)))


def has_jurors(draft: Draft) -> None:
    """Alice and bob are jurors, and carol has a handle."""
    jury.bond(draft, PEOPLE["alice"], BOND, Height(0))
    jury.bond(draft, PEOPLE["bob"], BOND, Height(0))
    handles.claim(draft, HANDLE, PEOPLE["carol"])


def has_a_post(draft: Draft) -> None:
    """Bob has posted something in the channel."""
    posts.append(draft, PUBLIC, (PART,), EpochMs(1), (Height(0), 3))


def has_a_case(draft: Draft) -> None:
    """Bob has reported carol, and alice is the jury."""
    asked, target = context("bob"), Target(Kind.ACCOUNT, PEOPLE["carol"])
    case = Case(PEOPLE["bob"], target, PEOPLE["carol"], Reason.SPAM, bytes(32), REPORT_BOND)
    number = cases.open_(draft, case, asked)
    cases.draw_jury(
        draft, number, bytes(32), BlockContext(CHAIN, Height(1), EpochMs(asked.block_time_ms))
    )


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    settings = (everybody_is_registered, has_channels(), has_a_post, has_jurors, has_a_case)
    with lounge(tmp_path, dchat, *settings) as opened:
        (tmp_path / "evidence").write_bytes(PROOF)
        yield opened


def report(place: Lounge, *target: object, why: str = "abuse") -> tuple[object, ...]:
    """The words by which something is reported."""
    evidence = ("--evidence", place.file.with_name("evidence"))
    return ("moderation", "report", *target, "--reason", why, *evidence)


def proof_file(folder: Path) -> Path:
    """A file with the proof of bob's post."""
    proof = post_proofs.prove([PART], 0, [COMMITMENT], 0)
    file = folder / "1.proof"
    file.write_bytes(targets.PROOF_OF_POST.encode(Shown(1, COMMITMENT, proof)))
    return file


def test_a_juror_joins(place: Lounge) -> None:
    ran = place.run("carol", "moderation", "join", "--bond", BOND)

    assert ran.code == 0
    assert table(ran)[2:8] == [
        "from: carol",
        "added: 100000",
        "fee_credits: …",
        "bond: 100000",
        "verdicts_owed: 0",
        "leaves_at: -",
    ]


def test_a_bond_that_is_too_small_is_refused_with_what_to_do(place: Lounge) -> None:
    ran = place.run("carol", "moderation", "join", "--bond", 5)

    assert ran.code == 13
    assert "JurorBondTooSmall (330)" in ran.err
    assert "dchat query params" in ran.err


def test_a_juror_leaves(place: Lounge) -> None:
    told = said(place.run("bob", "moderation", "leave", "--json"))

    assert (told["bond"], told["leaves_at"] is None) == (BOND, False)


def test_an_account_is_reported(place: Lounge) -> None:
    told = said(place.run("carol", *report(place, "--account", SHOWN["alice"]), "--json"))

    assert (told["case"], told["target"]) == (2, f"account {SHOWN['alice']}")
    assert (told["reported"], told["reporter"]) == (SHOWN["alice"], SHOWN["carol"])
    assert (told["phase"], told["reason"], told["bond"]) == ("drawing", "abuse", REPORT_BOND)
    assert told["evidence"] == hashlib.sha256(PROOF).hexdigest()


def test_a_handle_is_reported(place: Lounge) -> None:
    told = said(place.run("alice", *report(place, "--handle", HANDLE, why="spam"), "--json"))

    assert (told["target"], told["reported"]) == (f"handle {HANDLE}", SHOWN["carol"])


def test_a_channel_is_reported(place: Lounge) -> None:
    told = said(place.run("carol", *report(place, "--channel", PUBLIC.hex()), "--json"))

    assert (told["target"], told["reported"]) == (f"channel {PUBLIC.hex()}", SHOWN["alice"])


def test_a_post_is_reported_with_its_proof(place: Lounge, tmp_path: Path) -> None:
    words = ("--channel", PUBLIC.hex(), "--proof", proof_file(tmp_path))

    told = said(place.run("carol", *report(place, *words), "--json"))

    assert (told["target"], told["reported"]) == (f"post 1 in {PUBLIC.hex()}", SHOWN["bob"])


@pytest.mark.parametrize(
    "target",
    [
        (),
        ("--account", SHOWN["alice"], "--handle", HANDLE),
        ("--account", SHOWN["alice"], "--channel", PUBLIC.hex()),
    ],
)
def test_a_report_of_nothing_or_of_two_things_is_refused(
    place: Lounge, target: tuple[str, ...]
) -> None:
    ran = place.run("carol", *report(place, *target))

    assert (ran.code, ran.out) == (2, "")
    assert "for a post --channel and which one" in ran.err


def test_a_channel_is_reported_by_its_whole_id(place: Lounge) -> None:
    ran = place.run("carol", *report(place, "--channel", "xyz"))

    assert (ran.code, "is not a channel id" in ran.err) == (2, True)


def test_only_a_post_is_reported_with_a_proof(place: Lounge, tmp_path: Path) -> None:
    file = proof_file(tmp_path)

    ran = place.run("carol", *report(place, "--handle", HANDLE, "--proof", file))

    assert (ran.code, "for a post --channel" in ran.err) == (2, True)


def test_a_file_that_is_no_proof_is_refused(place: Lounge) -> None:
    words = ("--channel", PUBLIC.hex(), "--proof", place.file.with_name("evidence"))

    ran = place.run("carol", *report(place, *words))

    assert (ran.code, "is no proof of a post" in ran.err) == (2, True)


def test_a_report_bonds_no_more_than_allowed(place: Lounge) -> None:
    words = ("--account", SHOWN["alice"], "--most-bond", REPORT_BOND - 1)

    ran = place.run("carol", *report(place, *words))

    assert (ran.code, "BondTooLow (341)" in ran.err) == (13, True)


@pytest.mark.parametrize(("option", "counts"), [("--uphold", (1, 0)), ("--dismiss", (0, 1))])
def test_a_juror_judges(place: Lounge, option: str, counts: tuple[int, int]) -> None:
    words = ("moderation", "verdict", "--case", 1, option)

    told = said(place.run("alice", *words, "--json"))

    assert (told["uphold"], told["dismiss"]) == counts
    assert told["jurors"] == [{"juror": SHOWN["alice"], "verdict": option.strip("-")}]


def test_a_verdict_of_somebody_else_is_refused(place: Lounge) -> None:
    ran = place.run("carol", "moderation", "verdict", "--case", 1, "--uphold")

    assert (ran.code, "NotOnJury (337)" in ran.err) == (13, True)


def test_a_verdict_says_which(place: Lounge) -> None:
    assert place.run("alice", "moderation", "verdict", "--case", 1).code == 2
