"""Every talk, in a town: real rules, real relay server, no sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dchat.client import engine
from dchat.client.engine import NoRelay, open_client
from dchat.client.events import Noticed
from dchat.node.network import ChainEntry, NetworkFile
from dchat.node.rpc import NodeUnreachable
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.talks import TALKS, Talk
from tests.fakes.town import PEOPLE, TownStage, in_town


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.__name__)
def test_in_a_town(talk: Talk, tmp_path: Path) -> None:
    in_town(talk, tmp_path)


def test_without_any_relay_a_client_does_not_open(tmp_path: Path) -> None:
    root = FakeChain((Signer("ann"),)).root
    entry = ChainEntry(tmp_path / "genesis.json", bytes(32), ("http://127.0.0.1:1",), (), root, 1)
    network = NetworkFile("nowhere", ("/ip4/127.0.0.1/tcp/7070",), entry, entry)

    async def main() -> None:
        async with open_client(PEOPLE[0], network, tmp_path / "data"):
            pass

    with pytest.raises(NoRelay):
        trio.run(main)


def test_who_is_registered_needs_no_chain_to_come_back(tmp_path: Path) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice") as alice:
            proved = await alice.register("alice")
        stage.town.chat.is_up = False
        async with stage.client("alice") as alice:
            assert await alice.register("alice") == proved

    in_town(scene, tmp_path)


@pytest.mark.parametrize("handle", ["alice", "alicia"])
def test_without_a_chain_nobody_is_registered_anew(tmp_path: Path, handle: str) -> None:
    async def scene(stage: TownStage) -> None:
        async with stage.client("alice", "first") as alice:
            await alice.register("alice")
        stage.town.chat.is_up = False
        async with stage.client("alice", "first" if handle == "alicia" else "second") as alice:
            with pytest.raises(NodeUnreachable):
                await alice.register(handle)

    in_town(scene, tmp_path)


def test_a_chain_that_stays_away_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STEWARD_RETRY_S", 0)
    told: list[str] = []

    async def scene(stage: TownStage) -> None:
        stage.town.chat.is_up = False
        async with stage.client("alice") as alice, trio.open_nursery() as nursery:

            async def listen() -> None:
                with alice.events() as events:
                    async for event in events:
                        told.extend([event.what] if isinstance(event, Noticed) else [])

            nursery.start_soon(listen)
            while stage.town.chat.refused < 20:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    in_town(scene, tmp_path)

    assert len(told) <= 1
