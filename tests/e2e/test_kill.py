"""kill -9 of application and CometBFT together, at many moments, while transfers come in."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pytest

from abci_currency.txs import transfer
from dchat.kernel import accounts, supply, tx
from dchat.kernel.ids import Amount, ChainId, Cost, Height
from dchat.node.storage import Storage
from tests.e2e.solo import Solo
from tests.fakes.consensus import genesis_bytes
from tests.fakes.memory import ALICE, BOB, FUNDS, envelope

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KILLS = 10
MOMENTS = random.Random(20_250_101)
COST = 200


def payment(solo: Solo, nonce: int) -> bytes:
    body = transfer.FAMILY.body(transfer.Transfer(BOB.id, Amount(1)))
    cheap = replace(
        envelope(ALICE, body, nonce),
        chain_id=ChainId(solo.chain_id),
        fee=Amount(COST),
        cost_limit=Cost(COST),
        valid_until_height=Height(9_000),
    )
    return tx.build(cheap, ALICE.seed)


@contextmanager
def load(solo: Solo) -> Generator[threading.Event]:
    """Alice pays bob one unit after the other; what an outage swallowed is asked for again."""
    over = threading.Event()
    thread = threading.Thread(target=pay_until, args=(solo, over))
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join()


def pay_until(solo: Solo, over: threading.Event) -> None:
    nonce = 0
    while not over.is_set():
        with suppress(OSError, ValueError):
            if solo.submit(payment(solo, nonce))["code"]:
                nonce = solo.account(ALICE).nonce
            else:
                nonce += 1
            continue
        over.wait(0.02)


@pytest.fixture
def solo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solo]:
    home = tmp_path_factory.mktemp("k")
    settings = {"timeout_commit": '"20ms"'}
    chain = Solo(home, "abci_currency", genesis_bytes(), settings=settings)
    yield chain
    chain.stop(signal.SIGKILL)


def test_ten_kills_under_load_leave_a_chain_that_replays_to_the_same_hash(solo: Solo) -> None:
    solo.start()
    solo.wait_for_height(2)
    seen = 2
    with load(solo) as over:
        for _ in range(KILLS):
            over.wait(MOMENTS.uniform(0.05, 0.6))
            solo.stop(signal.SIGKILL)
            solo.start()
            solo.wait_for_height(seen + 1)
            seen = solo.height()
    solo.stop()
    with closing(Storage.open(solo.home / "state")) as before:
        expected = before.height, before.app_hash
        paid = accounts.load(before.latest(), BOB.id).balance - FUNDS
        supply.check_invariant(before.latest())

    # CometBFT replays every block into the empty application and compares the app hash it reaches.
    (solo.home / "state").rename(solo.home / "before")
    solo.start()
    solo.wait_for_height(expected[0] + 1)
    solo.stop()

    with closing(Storage.open(solo.home / "state", keep=10_000)) as after:
        assert after.at(expected[0]).app_hash == expected[1]
    assert paid > KILLS
