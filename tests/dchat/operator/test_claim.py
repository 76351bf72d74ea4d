from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dchat.operator import claim
from dchat.operator.claim import DirectoryInUse
from tests.dchat.operator.programs import SLEEPER, STUBBORN, python


def started(program: str, directory: Path) -> subprocess.Popen[bytes]:
    env = claim.environment(directory, os.environ)
    process = subprocess.Popen(python(program), stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with claim.claim(tmp_path), pytest.raises(DirectoryInUse) as caught, claim.claim(tmp_path):
        pass

    assert str(caught.value) == f"{tmp_path} is in use by process {os.getpid()}"


def test_a_directory_can_be_claimed_again_afterwards(tmp_path: Path) -> None:
    with claim.claim(tmp_path / "new"):
        pass

    with claim.claim(tmp_path / "new"):
        assert (tmp_path / "new" / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "program", [SLEEPER, pytest.param(STUBBORN, marks=pytest.mark.slow)], ids=["polite", "stubborn"]
)
def test_leftovers_of_a_killed_owner_are_ended_first(tmp_path: Path, program: str) -> None:
    with started(program, tmp_path) as leftover:
        assert list(claim.find(tmp_path)) == [leftover.pid]

        with claim.claim(tmp_path):
            assert leftover.wait(10) < 0


def test_processes_of_other_directories_are_left_alone(tmp_path: Path) -> None:
    with started(SLEEPER, tmp_path / "other") as stranger:
        with claim.claim(tmp_path / "mine"):
            assert stranger.poll() is None
        stranger.kill()
