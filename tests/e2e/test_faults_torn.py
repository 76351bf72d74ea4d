"""A last write that is torn, or bent: the chain goes on to the same state, or says what to do."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.crashes import check_logs, check_same_state, stop
from tests.e2e.load import load, rich_genesis
from tests.e2e.solo import PATIENCE_S
from tests.e2e.struck import Struck, witness
from tests.faults.blow import Blow
from tests.faults.damage import KINDS, cut, last_written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BLOCKS = 12
LOGS = {"leveldb": "*.log", "rocksdb": "*.log", "sqlite": "state.sqlite-wal"}
# All kinds of damage, without CometBFT, are in test_storage_crash_torn.py.
GOES_ON = [("leveldb", "cut"), ("rocksdb", "cut"), ("sqlite", "cut"), ("sqlite", "bend_middle")]
IS_REFUSED = [("leveldb", "bend_tail"), ("leveldb", "bend_middle"), ("rocksdb", "bend_middle")]

Killed = Callable[..., Struck]


@pytest.fixture
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A chain that was killed amid its load; it kept what a client had been told."""
    chains: list[Struck] = []

    def make(backend: str = "leveldb", point: str = "") -> Struck:
        """Killed after some blocks, at a point of a block if one is given."""
        solo = Struck(
            tmp_path_factory.mktemp("t"),
            "",
            rich_genesis(),
            settings={"timeout_commit": '"20ms"'},
            backend=backend,
            blows=(Blow(point, BLOCKS, "both"),) if point else (),
        )
        chains.append(solo)
        with load(solo, solo.machine), witness(solo) as watching:
            solo.start()
            if point:
                solo.bury(solo.wait_for_blow(1))
            else:
                solo.poll(lambda: watching.height >= BLOCKS - 1, "blocks")
            solo.stop(signal.SIGKILL)
        return solo

    yield make
    [solo.stop(signal.SIGKILL) for solo in chains]


def goes_on(solo: Struck, height: int = BLOCKS) -> bool:
    """Whether the chain makes blocks again, whose state a replay confirms."""
    solo.start()
    solo.wait_for_height(height + 3)
    stop(solo)
    return len(check_same_state(solo)) >= height


def ends_at_once(solo: Struck) -> list[str]:
    """What an application says that refuses its store."""
    with pytest.raises(AssertionError):
        solo.start_app()
    assert solo.app is not None
    assert solo.app.wait(PATIENCE_S) == 1
    solo.app = None
    return (solo.home / "app.log").read_text().splitlines()[-2:]


@pytest.mark.parametrize(("backend", "kind"), GOES_ON)
def test_a_store_whose_last_write_is_torn_goes_on_from_an_older_block(
    killed: Killed, backend: str, kind: str
) -> None:
    solo = killed(backend)
    KINDS[kind](last_written(solo.state, LOGS[backend]))

    assert goes_on(solo)
    check_logs(solo)


@pytest.mark.parametrize(("backend", "kind"), IS_REFUSED)
def test_a_bent_store_is_refused_and_goes_on_after_the_command_of_the_hint(
    killed: Killed, backend: str, kind: str
) -> None:
    solo = killed(backend)
    KINDS[kind](last_written(solo.state, LOGS[backend]))

    error, hint = ends_at_once(solo)
    command = hint.removeprefix("dchat: hint: ").partition(", then start again")[0]
    subprocess.run(shlex.split(command), check=True)

    assert error.startswith(f"dchat: error: the store in {solo.state} is damaged: ")
    assert command == f"mv {solo.state} {solo.state}.damaged"
    assert goes_on(solo)


@pytest.mark.parametrize("kind", ["cut", "bend_middle", "empty"])
def test_comet_repairs_its_write_ahead_log(killed: Killed, kind: str) -> None:
    """Killed before it signed for the next block: a validator alone does not sign twice."""
    solo = killed(point="prepare_proposal.asked")
    KINDS[kind](solo.home / "data" / "cs.wal" / "wal")

    assert goes_on(solo)


def test_comet_whose_state_is_torn_takes_the_results_of_the_block_that_it_saved(
    killed: Killed,
) -> None:
    solo = killed(point="prepare_proposal.asked")
    cut(last_written(solo.home / "data" / "state.db", "*.log"))

    assert goes_on(solo)


def test_comet_whose_results_of_a_block_are_torn_goes_on_once_the_state_is_built_anew(
    killed: Killed,
) -> None:
    solo = killed(point="commit.answered")
    cut(last_written(solo.home / "data" / "state.db", "*.log"))

    solo.start()
    assert solo.node is not None
    ended = solo.node.wait(PATIENCE_S)
    solo.stop(signal.SIGKILL)
    solo.state.rename(solo.home / "away")

    assert ended == 1
    assert "last stored abci responses was at height" in (solo.home / "node.log").read_text()
    assert goes_on(solo)
