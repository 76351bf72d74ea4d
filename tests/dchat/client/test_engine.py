"""Every talk, in a town: real rules, real relay server, no sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dchat.client.engine import Client, NoRelay, open_client
from dchat.node.network import ChainEntry, NetworkFile
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.people import identity_of
from tests.fakes.talks import TALKS, Talk
from tests.fakes.town import Town, town

PEOPLE = [identity_of(name) for name in ("alice", "bob", "carol")]


class TownStage:
    """The stage of one test."""

    alice, bob, carol = "alice", "bob", "carol"

    def __init__(self, where: Town) -> None:
        self._town = where

    @asynccontextmanager
    async def client(self, name: str, device: str = "first") -> AsyncGenerator[Client]:
        async with self._town.client(identity_of(name), f"{name}-{device}") as client:
            yield client

    async def stop_relay(self) -> None:
        self._town.relay_is_up = False
        await self._town.cut()

    async def start_relay(self) -> None:
        self._town.relay_is_up = True


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.__name__)
def test_in_a_town(talk: Talk, tmp_path: Path) -> None:
    async def main() -> None:
        async with town(tmp_path, PEOPLE) as where:
            await talk(TownStage(where))

    trio.run(main)


def test_without_any_relay_a_client_does_not_open(tmp_path: Path) -> None:
    root = FakeChain((Signer("ann"),)).root
    entry = ChainEntry(tmp_path / "genesis.json", bytes(32), ("http://127.0.0.1:1",), (), root, 1)
    network = NetworkFile("nowhere", ("/ip4/127.0.0.1/tcp/7070",), entry, entry)

    async def main() -> None:
        async with open_client(PEOPLE[0], network, tmp_path / "data"):
            pass

    with pytest.raises(NoRelay):
        trio.run(main)
