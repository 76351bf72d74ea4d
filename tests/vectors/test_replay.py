"""Two processes that hash differently must compute one state, and what validators signed (T5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.orders import CHAINS
from tests.vectors.replay import BLOCKS, SOURCES, play, recorded, signed_hashes

ROOT = Path(__file__).parents[2]


def replayed(source: str, chain: str, directory: Path, seed: str) -> list[str]:
    return subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "tests.vectors.replay"),
            *(source, chain, directory / seed),
        ],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("source", SOURCES)
def test_hashes_and_codes_do_not_depend_on_the_process(
    source: str, chain: str, tmp_path: Path
) -> None:
    first = replayed(source, chain, tmp_path, "0")
    second = replayed(source, chain, tmp_path, "4242")

    assert first == second
    assert len(first) == 1 + BLOCKS
    assert len(set(first)) > BLOCKS // 2
    assert sum(" 0" in line for line in first) > BLOCKS // 5


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
def test_a_recorded_chain_is_what_validators_signed(chain: str, tmp_path: Path) -> None:
    recording = recorded(chain)

    hashes = [line[0] for line in play(CHAINS[chain].machine, recording, tmp_path / "state")]

    assert hashes == signed_hashes(recording)
