from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dchat.operator import estate, layout, tour
from dchat.operator.estate import Wanted
from dchat.operator.layout import Estate
from dchat.operator.ports import Ports
from dchat.operator.tour import Condition
from tests.fakes.cometbft_rpc import FakeNode, serving

DEAD = Ports(1, 1, 1, 1, 1, 1, 1)


def place(root: Path, ports: Ports = DEAD) -> Estate:
    return Estate(root, "devnet-x", ports)


@pytest.mark.parametrize("user", layout.USERS)
def test_the_commands_to_copy_name_every_file(tmp_path: Path, user: str) -> None:
    lines = "\n".join(tour.instructions(place(tmp_path)))

    assert "RPC http://127.0.0.1:11" in lines
    assert str(tmp_path / "identities" / f"{user}.json") in lines
    assert f"--handle {user}" in lines


def test_a_path_with_a_space_is_quoted(tmp_path: Path) -> None:
    command = tour.user_command(place(tmp_path / "my net"), "bob")

    assert f"--network '{tmp_path / 'my net' / 'network.toml'}'" in command


def test_paths_are_shown_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert "--network net/network.toml" in tour.user_command(place(Path("net")), "bob")


def test_the_status_line_says_what_runs() -> None:
    line = tour.describe(Condition(5, 6, ready=4, nodes=4, relay_peers=2, queued=1))

    assert line == (
        "ready · chat block 5 · currency block 6 · 4 of 4 nodes · relay: 2 connected, 1 waiting"
    )


def test_the_status_line_ends_with_what_is_wrong() -> None:
    now = Condition(5, 6, ready=3, nodes=4, relay_peers=0, queued=0, why="validator-2: starting")

    line = tour.describe(now)

    assert line.startswith("not ready · ")
    assert line.endswith(" · validator-2: starting")


def test_what_does_not_answer_counts_as_nothing(tmp_path: Path) -> None:
    now = trio.run(tour.condition, place(tmp_path))

    silent = "validator-1: does not answer"
    assert now == Condition(0, 0, ready=0, nodes=1, relay_peers=0, queued=0, why=silent)


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"chains": 5, "peers": "x"}'])
def test_what_answers_nonsense_counts_as_nothing(tmp_path: Path, body: bytes) -> None:
    with serving(FakeNode(broken=body)) as url:
        port = int(url.rpartition(":")[2])

        now = trio.run(tour.condition, place(tmp_path, Ports(1, 1, port, 1, 1, port, 1)))

    assert (now.chat, now.relay_peers) == (0, 0)


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("true", (1, "")),
        ('false, "trouble": "it stands still"', (0, "validator-1: it stands still")),
    ],
)
def test_a_node_is_taken_at_its_word(tmp_path: Path, ready: str, expected: tuple[int, str]) -> None:
    chain = f'{{"height": 7, "ready": {ready}}}'
    body = f'{{"chains": {{"chat": {chain}, "currency": {chain}}}}}'.encode()

    with serving(FakeNode(broken=body)) as url:
        port = int(url.rpartition(":")[2])
        now = trio.run(tour.condition, place(tmp_path, Ports(1, 1, port, 1, 1, 1, 1)))

    assert (now.ready, now.why) == expected
    assert (now.chat, now.currency) == (7, 7)


def test_a_program_is_told_every_address(tmp_path: Path) -> None:
    made = estate.create(tmp_path / "net", 1_795_410_000, Wanted(2, 1))

    told = tour.manifest(made)

    text = str(told)
    nodes = [told["nodes"][number]["name"] for number in range(3)]  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue, reportOptionalSubscript] - JSON of any shape
    assert nodes == ["validator-1", "validator-2", "full-node-1"]
    assert f"http://127.0.0.1:{made.ports.rpc + 110}" in text
    assert f"/ip4/127.0.0.1/tcp/{made.ports.p2p}/p2p/" in text
    assert str(tmp_path / "net" / "passphrases" / "bob.txt") in text
    assert told["network_file"] == str((tmp_path / "net" / "network.toml").resolve())
