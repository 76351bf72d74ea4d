"""`dchat query` of moderation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_chat import keys
from abci_chat.state import cases, targets
from abci_chat.state.targets import Kind, Target
from dchat.cli.query_moderation import target_text
from dchat.kernel import due
from dchat.kernel.ids import EpochMs, Height
from dchat.kernel.machine import BlockContext
from dchat.kernel.store import Draft
from tests.dchat.cli.lounge import Lounge, everybody_is_registered, lounge
from tests.dchat.cli.market import PEOPLE, SHOWN, said, table
from tests.dchat.cli.nodes import Dchat
from tests.dchat.cli.test_moderation import BOND, REPORT_BOND, has_a_case, has_jurors
from tests.fakes.memory import CHAIN


def is_upheld(draft: Draft) -> None:
    """Alice has upheld the report, and the time for verdicts is over."""
    ends_at = cases.load(draft, 1).ends_at
    cases.judge(draft, 1, PEOPLE["alice"], True, EpochMs(ends_at - 1))
    entry = due.Due(b"", ends_at, keys.case(1))
    due.drop(draft, ends_at, entry.entry)
    cases.end(draft, entry.entry, entry, BlockContext(CHAIN, Height(1), ends_at))


@pytest.fixture
def place(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    with lounge(tmp_path, dchat, everybody_is_registered, has_jurors, has_a_case) as opened:
        yield opened


@pytest.fixture
def judged(tmp_path: Path, dchat: Dchat) -> Iterator[Lounge]:
    settings = (everybody_is_registered, has_jurors, has_a_case, is_upheld)
    with lounge(tmp_path, dchat, *settings) as opened:
        yield opened


def test_cases_are_listed_with_how_far_they_are(place: Lounge) -> None:
    ran = place.query("cases")

    assert (ran.code, table(ran)) == (
        0,
        [
            "cases:",
            "case target reason phase ends_at ruling",
            "1 account carol spam judging TIME pending",
            "next_after: -",
        ],
    )


def test_a_case_shows_its_jury(place: Lounge) -> None:
    told = said(place.query("case", 1, "--json"))

    assert (told["target"], told["reporter"]) == (f"account {SHOWN['carol']}", SHOWN["bob"])
    assert (told["bond"], told["phase"], told["ruling"]) == (REPORT_BOND, "judging", "pending")
    assert told["jurors"] == [{"juror": SHOWN["alice"], "verdict": "none"}]
    assert (told["marked_in"], told["appeal_until"]) == ([], None)
    assert told["checked"]["proof"] == "presence and absence"


def test_a_decided_case_shows_ruling_mark_and_time_for_an_appeal(judged: Lounge) -> None:
    told = said(judged.query("case", 1, "--json"))

    assert (told["phase"], told["ruling"], told["uphold"]) == ("decided", "upheld", 1)
    assert (told["marked_in"], told["appeal_until"] == told["ends_at"]) == ([1], True)
    assert told["jurors"] == [{"juror": SHOWN["alice"], "verdict": "uphold"}]


def test_a_case_that_is_not_there_is_proved_absent(place: Lounge) -> None:
    ran = place.query("case", 2)

    assert (ran.code, ran.out) == (11, "")
    assert "absence" in ran.err


def test_jurors_are_listed_and_add_up_to_their_pool(place: Lounge) -> None:
    told, ran = said(place.query("jurors", "--json")), place.query("jurors")

    owed = {row["juror"]: (row["bond"], row["verdicts_owed"]) for row in told["jurors"]}
    assert owed == {SHOWN["alice"]: (BOND, 1), SHOWN["bob"]: (BOND, 0)}
    assert "so none was left out" in ran.err


def test_a_mark_names_the_cases_in_which_reports_were_upheld(judged: Lounge) -> None:
    told = said(judged.query("mark", "--account", SHOWN["carol"], "--json"))

    assert (told["cases"], told["checked"]["proof"]) == ([1], "presence")


@pytest.mark.parametrize(
    "target",
    [
        ("--account", SHOWN["bob"]),
        ("--handle", "bob"),
        ("--channel", "00" * 32),
        ("--channel", "00" * 32, "--post", "7"),
    ],
)
def test_that_nothing_was_upheld_is_proved(judged: Lounge, target: tuple[str, ...]) -> None:
    ran = judged.query("mark", *target)

    assert (ran.code, "absence" in ran.err) == (11, True)


@pytest.mark.parametrize(
    "target", [(), ("--handle", "bob", "--post", "1"), ("--post", "1"), ("--channel", "x")]
)
def test_a_mark_of_nothing_in_particular_is_refused(
    judged: Lounge, target: tuple[str, ...]
) -> None:
    assert judged.query("mark", *target).code == 2


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (Target(Kind.ACCOUNT, PEOPLE["bob"]), f"account {SHOWN['bob']}"),
        (Target(Kind.HANDLE, b"bob"), "handle bob"),
        (Target(Kind.CHANNEL, bytes(32)), f"channel {'00' * 32}"),
        (Target(Kind.POST, bytes(32), 7), f"post 7 in {'00' * 32}"),
    ],
)
def test_a_target_reads_as_what_it_is(target: targets.Target, shown: str) -> None:
    assert target_text(target) == shown
