from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from dchat.kernel.errors import OperatorError
from dchat.node import identity
from dchat.node.config import RelayConfig, load
from relay.net.address import BadAddress, peer_id
from relay.net.lock import InUse, locked
from relay.node import NamelessPeer, check, limits_of, plan, rehearse, run
from tests.fakes.peers import seed

KNOWN = f"/ip4/127.0.0.1/tcp/7070/p2p/{peer_id(seed('known'))}"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., RelayConfig]:
    """Make settings on free ports in this test's directory, with some of them changed."""
    identity.create(tmp_path / "id.json", "node")

    def make(**changes: object) -> RelayConfig:
        flags = {
            "node.identity_file": tmp_path / "id.json",
            "node.data_dir": tmp_path / "data",
            "network.listen_address": "127.0.0.1:0",
            "observability.health_port": 0,
            "observability.metrics_port": 0,
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        return load(RelayConfig, None, flags, {}).settings

    return make


def leaf(fault: BaseException) -> BaseException:
    """The first fault inside a nursery's groups."""
    return leaf(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else fault


def test_a_plan_takes_the_libp2p_child_of_the_identity(config: Any, tmp_path: Path) -> None:
    planned = plan(config(network__bootstrap_nodes=[KNOWN]))

    assert planned.seed == identity.load(tmp_path / "id.json").child("libp2p")
    assert [str(peer) for peer in planned.bootstrap] == [KNOWN]


def test_a_plan_shows_no_secret(config: Any) -> None:
    planned = plan(config())

    assert repr(planned.seed) not in repr(planned)


def test_the_announced_address_is_the_public_one(config: Any) -> None:
    planned = plan(config(network__public_address="/ip4/203.0.113.7/tcp/7070"))

    assert [str(address) for address in planned.announce] == ["/ip4/203.0.113.7/tcp/7070"]


def test_a_bootstrap_address_must_name_its_peer(config: Any) -> None:
    with pytest.raises(NamelessPeer) as caught:
        check(config(network__bootstrap_nodes=["/ip4/127.0.0.1/tcp/7070"]))
    assert "/p2p/ID" in caught.value.hint


def test_an_address_that_nobody_can_dial_is_refused(config: Any) -> None:
    with pytest.raises((BadAddress, OperatorError)):
        check(config(network__bootstrap_nodes=[KNOWN[:-1]]))


def test_the_settings_become_the_queues_bounds(config: Any) -> None:
    limits = limits_of(config(relay__max_queue_size=7, storage__max_message_age=60))

    assert (limits.max_queue_size, limits.max_message_age_ms) == (7, 60_000)


def test_a_rehearsal_opens_everything_and_leaves_nothing_running(
    config: Any, tmp_path: Path
) -> None:
    trio.run(rehearse, plan(config()))

    assert (tmp_path / "data" / "relay.db").exists()
    assert not (tmp_path / "data" / "ready.json").exists()
    with locked(tmp_path / "data", tmp_path / "data" / "lock"):
        pass


def test_a_running_relay_says_where_it_is_until_it_stops(config: Any, tmp_path: Path) -> None:
    ready = tmp_path / "data" / "ready.json"
    seen: dict[str, Any] = {}

    async def look() -> None:
        seen.update(json.loads(ready.read_text()))

    trio.run(run, plan(config()), None, look)

    assert seen["addresses"][0].endswith(seen["peer_id"])
    assert not seen["health"].endswith(":0")
    assert not ready.exists()


def test_what_a_killed_relay_left_is_not_taken_for_readiness(config: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ready.json").write_text("stale")

    trio.run(rehearse, plan(config()))

    assert not (tmp_path / "data" / "ready.json").exists()


def test_a_database_that_another_relay_has_is_refused(config: Any, tmp_path: Path) -> None:
    shared = tmp_path / "shared.db"

    with locked(shared, tmp_path / "shared.db.lock"), pytest.raises(InUse, match=r"shared\.db is"):
        trio.run(rehearse, plan(config(storage__db_path=shared)))


def test_a_taken_health_port_stops_the_start_with_a_hint(config: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = config(observability__health_port=taken.getsockname()[1])

        with pytest.raises(BaseException) as caught:  # noqa: PT011 -- the leaf is judged below
            trio.run(rehearse, plan(settings))

    fault = leaf(caught.value)
    assert isinstance(fault, OperatorError)
    assert "already in use" in str(fault)


def test_a_damaged_database_stops_the_start_with_a_hint(config: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "relay.db").write_bytes(b"not a database" * 500)

    with pytest.raises(OperatorError, match="is damaged") as caught:
        trio.run(rehearse, plan(config()))
    assert "backup" in caught.value.hint
