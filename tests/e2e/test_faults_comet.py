"""CometBFT ends itself at each point that it has for this; the application goes on underneath."""

from __future__ import annotations

import signal
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.error import URLError

import pytest

from tests.e2e.crashes import check_logs, check_same_state, stop
from tests.e2e.load import ORDERS, Load, post, rich_genesis
from tests.e2e.struck import Struck
from tests.faults.blow import Blow

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# A vote passes one point, of which a block takes two; five more stand in consensus/state.go, four
# in state/execution.go. Source: CometBFT v0.40.0 libs/fail.
POINTS_A_BLOCK = 11
MOST = 60
IDLE_S = 0.5

Open = Callable[..., Struck]


@pytest.fixture
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    chains: list[Struck] = []

    def start(machine: str = "currency", backend: str = "leveldb", *blows: Blow) -> Struck:
        idle = {"timeout_commit": '"20ms"', "create_empty_blocks": "false"}
        home = tmp_path_factory.mktemp("f")
        solo = Struck(
            home, "", rich_genesis(), settings=idle, machine=machine, backend=backend, blows=blows
        )
        chains.append(solo)
        solo.start()
        return solo

    yield start
    [solo.stop(signal.SIGKILL) for solo in chains]


def strike_all(solo: Struck, *, heal: bool) -> int:
    """End CometBFT at point after point, until one is not reached; how many were.

    An idle chain makes two blocks for a transaction: one with it, and one with the new app hash.
    Where `heal`, it recovers undisturbed each time; else the next point strikes the recovery.
    """
    settle(solo)
    for index in range(MOST):
        restart_node(solo, {"FAIL_TEST_INDEX": str(index)})
        if not ends(solo):
            return index
        if heal:
            restart_node(solo, {})
            settle(solo)
    return MOST


def restart_node(solo: Struck, env: dict[str, str]) -> None:
    solo.end_node()
    solo.node_env = env
    solo.start_node()


def settle(solo: Struck) -> None:
    """A transaction is in a block, and its app hash in the next one: no further block is due."""
    sender = Load(solo, ORDERS[solo.machine])
    solo.poll(lambda: is_over(solo) or is_paid(solo, sender), "order")
    solo.poll(lambda: is_over(solo) or is_idle(solo), "block with the new app hash")


def is_paid(solo: Struck, sender: Load) -> bool:
    """Whether an order got in and then into a block; one that was let in before may have."""
    nonce = sender.committed_nonce()
    solo.submit(sender.signed(nonce))
    solo.poll(lambda: is_over(solo) or sender.committed_nonce() > nonce, "block")
    return True


def is_over(solo: Struck) -> bool:
    assert solo.node is not None
    return solo.node.poll() is not None


def is_idle(solo: Struck) -> bool:
    app = solo.rpc("abci_info")["response"]
    node = solo.rpc("status")["sync_info"]
    return (app["last_block_height"], b64decode(app["last_block_app_hash"]).hex().upper()) == (
        node["latest_block_height"],
        node["latest_app_hash"],
    )


def ends(solo: Struck) -> bool:
    """Whether CometBFT ended itself over a transaction."""
    with suppress(OSError):
        settle(solo)
    assert solo.node is not None
    try:
        return solo.node.wait(IDLE_S) == 1
    except subprocess.TimeoutExpired:
        return False


@pytest.mark.parametrize("heal", [True, False], ids=["recovering", "struck while recovering"])
@pytest.mark.parametrize(("machine", "backend"), [("currency", "leveldb"), ("chat", "sqlite")])
def test_comet_ends_at_every_point_of_two_blocks_and_the_chain_goes_on_to_one_state(
    opened: Open, machine: str, backend: str, heal: bool
) -> None:
    solo = opened(machine, backend)
    app = solo.app

    points = strike_all(solo, heal=heal)

    restart_node(solo, {})
    settle(solo)
    assert 2 * POINTS_A_BLOCK <= points < MOST
    assert solo.app is app
    stop(solo)
    assert check_same_state(solo)
    check_logs(solo)


def test_what_waited_is_forgotten_with_the_mempool_that_held_it(opened: Open) -> None:
    solo = opened("chat", "leveldb", Blow("check_tx.answered", 1, "node"))
    solo.wait_for_height(1)
    with pytest.raises((ConnectionError, URLError)):
        solo.submit(Load(solo, post).signed(0))
    solo.bury(solo.wait_for_blow(1))
    solo.start()
    solo.wait_for_height(1)

    answer = solo.submit(Load(solo, lambda _: post(1)).signed(0))

    assert (answer["code"], answer["log"]) == (0, "")
