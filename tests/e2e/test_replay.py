"""Two processes that hash differently reach the same state from the same blocks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.replayer import BLOCKS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def replay(chain: str, directory: Path, hash_seed: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.replayer", chain, directory]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("chain", ["chat", "currency"])
def test_a_recorded_chain_gives_one_app_hash_whatever_the_hash_seed(
    chain: str, tmp_path: Path
) -> None:
    first = replay(chain, tmp_path / "first", "0")
    second = replay(chain, tmp_path / "second", "4242")

    assert first == second
    assert len(set(first)) > BLOCKS // 2
    assert sum(" 0" in line for line in first) > BLOCKS // 4
