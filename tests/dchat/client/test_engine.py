"""Every talk, in a town: real rules, real relay server, no sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dchat.client.engine import NoRelay, open_client
from dchat.node.network import ChainEntry, NetworkFile
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.talks import TALKS, Talk
from tests.fakes.town import PEOPLE, in_town


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
