from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from dchat.node import network
from dchat.operator import devnet, estate
from dchat.operator.devnet import Condition
from dchat.operator.estate import Estate
from dchat.operator.ports import Ports
from tests.dchat.operator.networks import network as make_network
from tests.fakes.cometbft_rpc import FakeNode, serving

DEAD = Ports(1, 1, 1, 1, 1, 1, 1)


def place(root: Path, ports: Ports = DEAD) -> Estate:
    return Estate(root, "devnet-x", ports)


@pytest.mark.parametrize("user", estate.USERS)
def test_the_commands_to_copy_name_every_file(tmp_path: Path, user: str) -> None:
    lines = "\n".join(devnet.instructions(place(tmp_path)))

    assert "RPC http://127.0.0.1:11" in lines
    assert str(tmp_path / "identities" / f"{user}.json") in lines
    assert f"--handle {user}" in lines


def test_a_path_with_a_space_is_quoted(tmp_path: Path) -> None:
    command = devnet.user_command(place(tmp_path / "my net"), "bob")

    assert f"--network '{tmp_path / 'my net' / 'network.toml'}'" in command


def test_paths_are_shown_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert "--network net/network.toml" in devnet.user_command(place(Path("net")), "bob")


def test_the_status_line_says_what_runs() -> None:
    line = devnet.describe(Condition(chat=5, currency=6, relay_peers=2, queued=1, ready=True))

    assert line == "ready · chat block 5 · currency block 6 · relay: 2 connected, 1 waiting"


def test_what_does_not_answer_counts_as_nothing(tmp_path: Path) -> None:
    now = trio.run(devnet.condition, place(tmp_path))

    assert now == Condition(0, 0, 0, 0, ready=False)


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"chains": 5, "peers": "x"}'])
def test_what_answers_nonsense_counts_as_nothing(tmp_path: Path, body: bytes) -> None:
    with serving(FakeNode(broken=body)) as url:
        port = int(url.rpartition(":")[2])

        now = trio.run(devnet.condition, place(tmp_path, Ports(1, 1, port, 1, 1, port, 1)))

    assert (now.chat, now.relay_peers) == (0, 0)


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
