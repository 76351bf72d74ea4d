"""Hypothesis profiles and the one way in which tests run the command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest
import structlog
from hypothesis import HealthCheck, settings
from nacl.pwhash.argon2id import MEMLIMIT_MIN, OPSLIMIT_MIN

from dchat.cli import main
from dchat.node import identity

# ci: the same examples on every run, so that a red gate is red for everyone.
settings.register_profile("ci", derandomize=True, max_examples=60, deadline=None)
settings.register_profile(
    "nightly",
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@dataclass(frozen=True, slots=True)
class Ran:
    """A transcript: exit status, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _cheap_seals() -> Generator[None]:
    """Let identity files made in this process cost next to nothing to open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "SEAL_COST", (OPSLIMIT_MIN, MEMLIMIT_MIN))
        yield


@pytest.fixture
def dchat(capsys: pytest.CaptureFixture[str]) -> Generator[Callable[..., Ran]]:
    """Run one `dchat` command line in this process, with no terminal.

    What it set up for logging ends with the test: it writes to a stderr that does, too.
    """
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def run(*args: object) -> Ran:
        code = main.run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield run
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()
