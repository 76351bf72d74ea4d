from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dchat.cli import devnet
from dchat.operator import claim
from tests.conftest import Ran

Dchat = Callable[..., Ran]


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path, dchat: Dchat) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    ran = dchat("devnet", "--dir", tmp_path, "--fresh", "--yes")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"dchat: error: {tmp_path} is not empty and not a devnet's\n"
        "dchat: hint: choose another --dir\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_devnet_that_runs_is_not_started_twice(tmp_path: Path, dchat: Dchat) -> None:
    with claim.claim(tmp_path):
        ran = dchat("devnet", "--dir", tmp_path)

    assert (ran.code, ran.out) == (1, "")
    assert "is in use by process" in ran.err


def test_without_a_terminal_only_some_status_lines_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = devnet.plain()

    [show.status(f"block {number}") for number in range(devnet.QUIET_EVERY + 1)]
    show.say("done")

    assert capsys.readouterr().out.splitlines() == [
        "block 0",
        f"block {devnet.QUIET_EVERY}",
        "done",
    ]


def test_on_a_terminal_the_status_line_is_painted_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = devnet.terminal()

    show.status("one " * 100)
    show.say("two")

    first, rest = capsys.readouterr().out.split("two")
    assert len(first.split(devnet.CLEAR)[1]) < 400
    assert rest == "\n"
