"""kill -9 of application and CometBFT together, at many moments, while transfers come in."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from dchat.kernel import accounts, supply
from dchat.node.storage import Storage
from tests.e2e.load import load, rich_genesis
from tests.e2e.solo import Solo
from tests.fakes.memory import BOB

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KILLS = 10
MOMENTS = random.Random(20_250_101)


@pytest.fixture
def solo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    home = tmp_path_factory.mktemp("k")
    settings = {"timeout_commit": '"20ms"'}
    chain = Solo(home, "abci_currency", rich_genesis(), settings=settings)
    yield chain
    chain.stop(signal.SIGKILL)


def test_ten_kills_under_load_leave_a_chain_that_replays_to_the_same_hash(solo: Solo) -> None:
    solo.start()
    solo.wait_for_height(2)
    seen = 2
    with load(solo, "currency") as sender:
        for _ in range(KILLS):
            sender.over.wait(MOMENTS.uniform(0.05, 0.6))
            solo.stop(signal.SIGKILL)
            solo.start()
            solo.wait_for_height(seen + 1)
            seen = solo.height()
    solo.stop()
    with closing(Storage.open(solo.home / "state")) as before:
        expected = before.height, before.app_hash
        paid = accounts.load(before.latest(), BOB.id).balance
        supply.check_invariant(before.latest())

    # CometBFT replays every block into the empty application and compares the app hash it reaches.
    (solo.home / "state").rename(solo.home / "before")
    solo.start()
    solo.wait_for_height(expected[0] + 1)
    solo.stop()

    with closing(Storage.open(solo.home / "state", keep=10_000)) as after:
        assert after.at(expected[0]).app_hash == expected[1]
    assert paid > KILLS
