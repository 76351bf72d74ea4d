"""Two processes that hash differently must compute what real validators signed (T5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vectors.replay import MACHINES, load

ROOT = Path(__file__).parents[2]


def replayed(chain: str, directory: Path, seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.vectors.replay", chain, directory / seed],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("chain", MACHINES)
def test_the_app_hash_does_not_depend_on_the_process(chain: str, tmp_path: Path) -> None:
    recording = load(chain)

    hashes = {replayed(chain, tmp_path, seed) for seed in ("1", "2")}

    assert (hashes, len(recording["blocks"])) == ({recording["last_app_hash"]}, 200)


@pytest.mark.parametrize("chain", MACHINES)
def test_the_recording_is_worth_replaying(chain: str) -> None:
    blocks = load(chain)["blocks"]

    assert sum(len(block["txs"]) for block in blocks) >= 200
    assert len({block["app_hash_before"] for block in blocks}) > 100
