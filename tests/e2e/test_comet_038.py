"""The same applications under CometBFT v0.38.26, alone and beside v0.40.0.

Its ABCI and its blocks are the same on the wire; config.toml has keys that it does not know and
passes over. So a network can be moved from one to the other node by node, in either direction.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from dchat.kernel import accounts
from dchat.kernel.ids import Cost
from dchat.node.chain import Order, open_chain
from dchat.node.clock import SystemClock
from dchat.node.reader import MemoryTrustStore
from dchat.operator import cometbft
from dchat.operator.cometbft import Binary, NoCometBft, Release
from tests.dchat.operator import networks
from tests.e2e import fleet
from tests.e2e.load import ORDERS, rich_genesis
from tests.e2e.networks import entry
from tests.e2e.nodes import Node, Sender, high_ports
from tests.e2e.solo import Solo
from tests.fakes.memory import ALICE
from tests.fakes.orders import CHAINS
from tests.vectors.record import taken
from tests.vectors.replay import play, signed_hashes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

OLDER = Release("v0.38.26", "h1:MIPYgOSvyyiN1jo3SZljKy4ZXqs896aQnj3pQFfUmaE=")
COST = Cost(1000)
BLOCKS = 6


@pytest.fixture(scope="module")
def older() -> Binary:
    """The program; built once for all runs, which takes a minute and a Go toolchain."""
    try:
        return cometbft.find_release(OLDER, print, os.environ)
    except NoCometBft as fault:
        if shutil.which("go"):
            raise
        pytest.skip(f"CometBFT {OLDER.version} cannot be built here: {fault}")


@pytest.fixture(params=CHAINS)
def solo(
    older: Binary, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Solo]:
    home = tmp_path_factory.mktemp("o")
    chain = Solo(home, f"abci_{request.param}", rich_genesis(), release=OLDER)
    assert chain.binary == older.path
    yield chain
    chain.stop(signal.SIGKILL)


async def proved_nonce(solo: Solo, name: str, nonce: int) -> int:
    """Alice's nonce under a verified header, once her order is carried out."""
    order = Order(ORDERS[name](nonce), COST, ALICE.seed)
    async with open_chain(entry(solo), MemoryTrustStore(), SystemClock()) as chain:
        included = await chain.execute(order)
        proved = await chain.reader.read(accounts.key(ALICE.id), included.height)
        return accounts.decode(proved.value or b"").nonce


def test_orders_are_carried_out_and_proved_before_and_after_a_restart(
    solo: Solo, tmp_path: Path
) -> None:
    name = solo.module.removeprefix("abci_")

    solo.start()
    solo.wait_for_height(2)
    first = trio.run(proved_nonce, solo, name, 0)
    codes = solo.stop()
    solo.start()
    solo.wait_for_height(2)
    second = trio.run(proved_nonce, solo, name, 1)

    recording = taken(solo, solo.height())
    hashes = [line[0] for line in play(CHAINS[name].machine, recording, tmp_path / "app")]
    assert (first, second, codes) == (1, 2, [0, 0])
    assert hashes == signed_hashes(recording)


@pytest.fixture
def mixed(older: Binary, tmp_path: Path) -> Iterator[list[Node]]:
    """Two validators, each of which the other needs for every block."""
    first = high_ports(2)
    places = [first.at(number) for number in range(2)]
    net = networks.four(tmp_path, places)
    nodes = [
        Node(
            net,
            f"validator-{number}",
            tmp_path / f"validator-{number}.json",
            place,
            fleet.SPEED,
            env=env,
        )
        for number, place, env in zip(
            (1, 2), places, ({}, {"DCHAT_COMETBFT": str(older.path)}), strict=True
        )
    ]
    yield nodes
    [node.kill_tree() for node in nodes]


def test_a_validator_of_each_version_make_one_chain_together(mixed: list[Node]) -> None:
    [node.start() for node in mixed]
    [node.wait_for_heights({"chat": 1, "currency": 1}) for node in mixed]
    payer = Sender(mixed[1], mixed[0].network.folder / "rich.json")
    payer.start()
    reached = {chain: height + BLOCKS for chain, height in mixed[0].heights().items()}
    [node.wait_for_heights(reached) for node in mixed]
    payer.stop()

    versions = {node.rpc("chat", "status")["node_info"]["version"] for node in mixed}
    assert fleet.quarrels(mixed) == []
    assert payer.accepted > 0
    assert versions == {"0.38.26", "0.39.0"}
