from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from dchat.node import network
from dchat.operator import devnet, reservation
from dchat.operator.estate import Wanted
from dchat.operator.layout import Estate
from dchat.operator.ports import Ports
from tests.dchat.operator.networks import network as make_network

DEAD = Ports(1, 1, 1, 1, 1, 1, 1)


def place(root: Path, ports: Ports = DEAD) -> Estate:
    return Estate(root, "devnet-x", ports)


def test_what_a_devnet_is_made_of_is_said_in_words(tmp_path: Path) -> None:
    said: list[str] = []
    root = tmp_path / "net"

    with reservation.book(tmp_path) as book:
        devnet.open_estate(root, Wanted(4, 1), book, said.append)
        devnet.open_estate(root, Wanted(full_nodes=0), book, said.append)

    assert said[0].endswith(f" in {root}: 4 validators, a full node, a relay, alice and bob")
    assert said[1].startswith("resuming devnet-")
    assert said[1].endswith(f" in {root}: 4 validators, a relay, alice and bob")


def test_a_young_root_of_trust_is_kept(tmp_path: Path) -> None:
    net = make_network(tmp_path)
    before = net.file.read_bytes()

    trio.run(devnet.renew_roots, place(tmp_path))

    assert net.file.read_bytes() == before
    assert network.load(net.file).chat.root.height == 1


def test_other_nodes_settings_do_not_leak_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_DATA_DIR", "/elsewhere")
    monkeypatch.setenv("DCHAT_LOG", "debug")

    env = devnet.environment(place(tmp_path), Path("/bin/cometbft"))

    assert "DCHAT_DATA_DIR" not in env
    assert (env["DCHAT_LOG"], env["DCHAT_COMETBFT"]) == ("debug", "/bin/cometbft")
    assert env["DCHAT_TREE"] == str(tmp_path.resolve())
    assert env["PATH"] == os.environ["PATH"]
