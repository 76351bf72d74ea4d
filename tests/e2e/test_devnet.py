"""`dchat devnet` as a developer meets it: it runs, stops whole, resumes, and plays its demo."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dchat.node import network
from dchat.node.network import ChainEntry, NetworkFile
from dchat.operator import claim, estate
from tests.dchat.operator.programs import wait_until_dead
from tests.e2e.nodes import CHAINS, ENTRY, below

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PATIENCE_S = 120
READY = "talk from two other terminals:"


@dataclass
class Devnet:
    """A `dchat devnet` process on a directory."""

    root: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        return self.root.with_suffix(".out").read_text()

    @property
    def name(self) -> str:
        return tomllib.loads((self.root / estate.MARKER).read_text())["name"]

    def start(self, *flags: str) -> None:
        command = [sys.executable, "-c", ENTRY, "devnet", "--dir", str(self.root), *flags]
        with self.root.with_suffix(".out").open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def wait_until_ready(self) -> list[int]:
        """Every process below it, once it says that all runs."""
        return self.wait_until(lambda said: READY in said)

    def wait_until(self, holds: Callable[[str], bool]) -> list[int]:
        """Every process below it, once what it has said holds."""
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self.said):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self.said)
            time.sleep(0.1)
        return below(self.process.pid)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    started = Devnet(tmp_path / "net")
    yield started
    if started.process is not None:
        started.process.kill()
        started.process.wait()
    for folder in (started.root, *started.root.glob("validator-*/"), *started.root.glob("full-*/")):
        claim.end_leftovers(folder)


def test_it_stops_whole_and_resumes_the_same_chains_on_fresh_trust(devnet: Devnet) -> None:
    devnet.start()
    first = devnet.wait_until_ready()
    genesis = (devnet.root / "genesis-chat.json").read_bytes()

    assert devnet.end(signal.SIGINT) == 0

    wait_until_dead(*first)
    assert len(first) == 8
    assert devnet.said.splitlines()[-1] == "stopped"
    aged = _age(devnet.root)

    devnet.start()
    devnet.wait_until_ready()

    renewed = network.load(devnet.root / "network.toml").chat.root
    assert devnet.said.startswith("resuming devnet-")
    assert (devnet.root / "genesis-chat.json").read_bytes() == genesis
    assert renewed.time_ns > aged.chat.root.time_ns
    assert renewed.validators_hash == aged.chat.root.validators_hash


def test_a_kill_takes_every_process_along_and_the_next_start_works(devnet: Devnet) -> None:
    devnet.start()
    tree = devnet.wait_until_ready()
    name = devnet.name

    devnet.end(signal.SIGKILL)

    wait_until_dead(*tree)
    devnet.start("--fresh", "--yes")
    devnet.wait_until_ready()
    assert devnet.said.startswith("made devnet-")
    assert name not in devnet.said


def test_two_devnets_that_start_at_once_run_side_by_side(devnet: Devnet, tmp_path: Path) -> None:
    other = Devnet(tmp_path / "other")
    devnet.start()
    other.start()

    devnet.wait_until_ready()
    other.wait_until_ready()

    ports = [set(re.findall(r"127\.0\.0\.1:(\d+)", each.said)) for each in (devnet, other)]
    assert other.end(signal.SIGTERM) == 0
    assert ports[0].isdisjoint(ports[1])


def test_four_validators_and_a_full_node_are_told_to_programs_and_leave_nothing(
    devnet: Devnet,
) -> None:
    devnet.start("--validators", "4", "--full-nodes", "1", "--json")
    tree = devnet.wait_until(lambda said: '"nodes"' in said)
    told = json.loads(next(line for line in devnet.said.splitlines() if line.startswith("{")))

    heights = [_height(node[chain]["rpc"]) for node in told["nodes"] for chain in CHAINS]
    listed = network.load(Path(told["network_file"]))
    assert [node["role"] for node in told["nodes"]] == ["validator"] * 4 + ["full node"]
    assert min(heights) > 0
    assert listed.chat.rpc == tuple(node["chat"]["rpc"] for node in told["nodes"])
    assert len(listed.currency.seeds) == 4

    assert devnet.end(signal.SIGINT) == 0
    wait_until_dead(*tree)
    devnet.start("--validators", "3")
    assert devnet.process is not None
    assert devnet.process.wait(PATIENCE_S) == 1
    assert devnet.said == (
        f"dchat: error: the devnet in {devnet.root} has 4 validators, not 3\n"
        "dchat: hint: leave --validators out to resume it, or start over with --fresh\n"
    )


def test_the_demo_holds_with_four_validators(devnet: Devnet) -> None:
    devnet.start("--demo", "--validators", "4")
    assert devnet.process is not None

    code = devnet.process.wait(PATIENCE_S)

    assert code == 0, devnet.said
    assert "all 11 steps held" in devnet.said
    assert re.search(r"signed by (3000|4000) of 4000", devnet.said)
    assert list(claim.find(devnet.root)) == []


def test_the_demo_holds_every_step(devnet: Devnet) -> None:
    devnet.start("--demo")
    assert devnet.process is not None

    code = devnet.process.wait(PATIENCE_S)

    steps = re.findall(r"✓ +(\d+)\.", devnet.said)
    assert (code, steps) == (0, [str(number) for number in range(1, 12)]), devnet.said
    assert "signed by 1000 of 1000" in devnet.said
    assert "bob has 1005 DCHAT" in devnet.said
    assert list(claim.find(devnet.root)) == []


def _height(rpc: str) -> int:
    url = f"http://{rpc.removeprefix('http://')}/status"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(json.load(answer)["result"]["sync_info"]["latest_block_height"])


def _age(root: Path) -> NetworkFile:
    """Make the network file's roots of trust look five days old."""
    path = root / "network.toml"
    found = network.load(path)
    aged = replace(found, chat=_aged(found.chat), currency=_aged(found.currency))
    network.save(path, aged)
    return aged


def _aged(entry: ChainEntry) -> ChainEntry:
    five_days_ns = 5 * 86_400 * 10**9
    return replace(entry, root=replace(entry.root, time_ns=entry.root.time_ns - five_days_ns))
