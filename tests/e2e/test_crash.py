"""A validator's whole process tree is killed at random moments, and loses nothing it committed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat.node import identity
from tests.dchat.operator.networks import network
from tests.e2e.nodes import CHAINS, Node, Sender, high_ports

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KILLS = 10
SEED = 20_261_123


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """A validator, and a full node that follows it."""
    place = high_ports()
    net = network(tmp_path, rpc_port=place.rpc)
    validator = Node(net, "validator", net.identity, place)
    follower = Node(net, "follower", tmp_path / "follower.json")
    identity.create(follower.identity, "node")
    validator.start()
    validator.wait_for_heights({"chat": 1, "currency": 1})
    _introduce(validator, follower)
    yield validator, follower
    validator.kill_tree()
    follower.kill_tree()


def test_after_every_kill_the_chain_goes_on_and_a_follower_agrees(
    pair: tuple[Node, Node],
) -> None:
    validator, follower = pair
    follower.start()
    follower.wait_for_heights({"chat": 2, "currency": 2})
    sender = Sender(validator, validator.network.folder / "rich.json")
    sender.start()

    moments = _kill_at_random_moments(validator)
    validator.wait_until(lambda: sender.accepted > 0, "accepted transaction")
    sender.stop()

    reached = validator.heights()
    follower.wait_for_heights(reached)
    assert len(moments) == KILLS
    assert sender.accepted > 100
    assert [moment for moment in moments if min(moment.values()) < 1] == []
    for chain in CHAINS:
        heights = range(1, reached[chain] + 1)
        assert validator.app_hashes(chain, heights) == follower.app_hashes(chain, heights)
        assert _same_state(validator, follower, chain)


def _introduce(validator: Node, follower: Node) -> None:
    """Tell the network file where the validator listens; only the follower is told."""
    for chain, port in (("chat", validator.ports.p2p), ("currency", validator.ports.p2p + 10)):
        node_id = validator.rpc(chain, "status")["node_info"]["id"]
        validator.network.change("seeds = []", f'seeds = ["{node_id}@127.0.0.1:{port}"]')
    assert follower.identity.exists()


def _kill_at_random_moments(validator: Node) -> list[dict[str, int]]:
    """Kill and restart; how far each chain came between two kills."""
    dice = random.Random(SEED)
    gained: list[dict[str, int]] = []
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.05, 2.0))
        before = validator.heights()
        time.sleep(dice.uniform(0.0, 0.3))
        validator.kill_tree()
        validator.start()
        validator.wait_for_heights({chain: height + 1 for chain, height in before.items()})
        after = validator.heights()
        gained.append({chain: after[chain] - before[chain] for chain in CHAINS})
    return gained


def _same_state(validator: Node, follower: Node, chain: str) -> bool:
    """Whether both applications had one app hash at one height, of many looked at."""
    seen: dict[str, dict[int, str]] = {"validator": {}, "follower": {}}

    def agree() -> bool:
        for name, node in (("validator", validator), ("follower", follower)):
            height, app_hash = node.app_state(chain)
            seen[name][height] = app_hash
        common = seen["validator"].keys() & seen["follower"].keys()
        assert all(seen["validator"][each] == seen["follower"][each] for each in common)
        return len(common) > 0

    follower.wait_until(agree, f"common height of {chain}")
    return True
