"""Struck at chosen steps, an application comes back, goes on, and never to another state."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat.node.storage import BACKENDS
from tests.e2e import crashes
from tests.e2e.crashes import POINTS
from tests.faults import disk

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(disk.COMPILER is None, reason="no C compiler to build what strikes"),
]

# Each point once, and each backend and machine; all 50: `python -m tests.e2e.crashes`.
SEEDS = (0, 4, 8, 9, 13, 17, 18, 22, 26, 27)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk.build(tmp_path_factory.mktemp("c"))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: str(crashes.scenario(seed)))
def test_a_struck_chain_goes_on_to_the_state_that_a_replay_gives(
    tmp_path_factory: pytest.TempPathFactory, library: Path, seed: int
) -> None:
    home = tmp_path_factory.mktemp("f")

    assert crashes.run(crashes.scenario(seed), home, library)


def test_the_seeds_of_the_gate_strike_at_every_point() -> None:
    chosen = [crashes.scenario(seed) for seed in SEEDS]

    assert {blow.point for plan in chosen for blow in plan.blows} == set(POINTS)
    assert {plan.backend for plan in chosen} == set(BACKENDS)
    assert {plan.machine for plan in chosen} == {"chat", "currency"}


def test_fifty_seeds_strike_every_database_at_every_point() -> None:
    fifty = [crashes.scenario(seed) for seed in range(50)]

    struck = {(plan.backend, blow.point) for plan in fifty for blow in plan.blows}
    assert struck == {(backend, point) for backend in BACKENDS for point in POINTS}
