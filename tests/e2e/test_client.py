"""Every talk, on real chains and a real relay; and the command line, through pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dchat.client.core.conversation import Delivery
from dchat.client.engine import Client, open_client
from dchat.node import network as networks
from tests.e2e.networks import Net, start
from tests.fakes.people import identity_of
from tests.fakes.talks import TALKS, Talk, pair, tell

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PATIENCE_S = 60
OTHERS = ("typed", "killed")
SCENES = (*[talk.__name__ for talk in TALKS], *OTHERS)
WRITER = """
import sys, pathlib, trio
from dchat.client.engine import open_client
from dchat.node import network
from tests.fakes.people import identity_of
async def main():
    net, folder, name, to = network.load(pathlib.Path(sys.argv[1])), *sys.argv[2:]
    async with open_client(identity_of(name), net, pathlib.Path(folder)) as client:
        for n in range(1000):
            await client.send(to, f"number {n}")
            print(n, flush=True)
trio.run(main)
"""


_NUMBERED = [f"number {digit}" for digit in range(10)]


class RealStage:
    """The stage of one test, with three handles of its own."""

    def __init__(self, net: Net, scene: str) -> None:
        number = SCENES.index(scene)
        self.net = net
        self.alice, self.bob, self.carol = (
            f"{name}_{number}" for name in ("alice", "bob", "carol")
        )

    def folder(self, name: str, device: str = "first") -> Path:
        return self.net.home / f"{name}-{device}"

    @asynccontextmanager
    async def client(self, name: str, device: str = "first") -> AsyncGenerator[Client]:
        folder = self.folder(name, device)
        async with open_client(identity_of(name), self.net.file, folder) as client:
            yield client

    async def stop_relay(self) -> None:
        self.net.relay.kill()

    async def start_relay(self) -> None:
        await trio.to_thread.run_sync(self.net.restart_relay)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    names = [f"{name}_{n}" for n in range(len(SCENES)) for name in ("alice", "bob", "carol")]
    running = start(tmp_path_factory.mktemp("n"), [identity_of(name).account_id for name in names])
    yield running
    running.stop()


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.__name__)
def test_on_real_processes(talk: Talk, net: Net) -> None:
    trio.run(talk, RealStage(net, talk.__name__))


def test_a_client_killed_while_it_writes_loses_and_repeats_nothing(net: Net) -> None:
    stage = RealStage(net, "killed")
    trio.run(_introduce, stage)
    file = _network_file(net)
    command = [
        sys.executable,
        "-c",
        WRITER,
        file,
        stage.folder(stage.alice),
        stage.alice,
        stage.bob,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(25)]
        writer.kill()

    texts = trio.run(_read_on, stage, len(told))

    assert texts[: len(told)] == [f"number {n}" for n in told]
    assert len(texts) == len(set(texts))


async def _introduce(stage: RealStage) -> None:
    async with pair(stage) as (alice, _bob):
        await tell(alice, stage.bob, "number -1", Delivery.DELIVERED)


async def _read_on(stage: RealStage, expected: int) -> list[str]:
    """Let Alice send what she had queued, and return what Bob has in the end."""
    async with stage.client(stage.alice) as alice, stage.client(stage.bob) as bob:
        await tell(alice, stage.bob, "the end", Delivery.DELIVERED)
        with bob.events() as events, trio.fail_after(PATIENCE_S):
            while len(letters := await bob.history(stage.alice, 5000)) < expected + 2:
                await events.get()
    return [letter.body for letter in letters if letter.body[:8] in _NUMBERED]


class Typist:
    """A `dchat user` process: lines in, lines out."""

    def __init__(self, net: Net, name: str) -> None:
        folder = net.home / f"{name}-cli"
        folder.mkdir()
        key = folder / "identity.json"
        me = identity_of(name)
        key.touch(0o600)
        fields = {"version": 1, "kind": "user", "public_key": me.public_key.hex()}
        key.write_text(json.dumps({**fields, "seed": me.seed.hex()}))
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from dchat.cli.main import main; main()", "user"),
                *("--identity", key, "--network", _network_file(net), "--handle", name),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.shown = ""

    def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def sees(self, text: str) -> None:
        """Wait for text on the screen, and forget what stood before its end."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.shown}"
            assert self.process.stdout is not None
            self.shown += (self.process.stdout.read() or b"").decode()
            time.sleep(0.02)
        self.shown = self.shown.split(text, 1)[1]

    def leaves(self) -> int:
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


def _network_file(net: Net) -> Path:
    path = net.home / "network.toml"
    networks.save(path, net.file)
    return path


def test_two_people_chat_and_pay_in_line_mode(net: Net) -> None:
    stage = RealStage(net, "typed")
    alice, bob = Typist(net, stage.alice), Typist(net, stage.bob)
    alice.sees(f"you are {stage.alice}, proved")
    bob.sees(f"you are {stage.bob}, proved")

    alice.types(f"/msg {stage.bob} hello \x1b[2J\x1b]0;owned\x07 there")
    bob.sees(f"{stage.alice} (a stranger; /msg {stage.alice} answers): ")
    bob.sees("hello \\x1b[2J\\x1b]0;owned\\x07 there")
    alice.sees("#1 delivered")
    bob.types(f"/msg {stage.alice}")
    bob.types("hello yourself")
    alice.sees(f"{stage.bob}: hello yourself")
    bob.sees("#1 delivered")
    alice.types(f"/pay {stage.bob} 5")
    alice.sees(f"paid 5 DCHAT to {stage.bob} in block")
    alice.sees("you hold 94.9")  # so the header that proves the payment is there for bob too
    bob.types("/balance")
    bob.sees("you hold 105 DCHAT, proved by block")
    alice.types("/msg nobody_here hi")
    alice.sees("error: nobody is registered as 'nobody_here'")

    assert (alice.leaves(), bob.leaves()) == (0, 0)
