"""Relay processes for tests: real, on free ports, known by the file they write when ready."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dchat.node import identity
from relay.core.messages import PROTOCOL
from relay.net.address import parse_address
from relay.net.host import open_host
from relay.net.link import open_link
from relay.net.stream import Stream
from tests.fakes.mailbox_user import MailboxUser

START_S = 60
POLL_S = 0.05


@dataclass(frozen=True)
class RelayProcess:
    process: subprocess.Popen[bytes]
    address: str
    health: str
    metrics: str
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def settings(home: Path, listen: str = "127.0.0.1:0", **relay: int) -> Path:
    """Write an identity, unless there is one, and a relay's settings on free ports."""
    if not (home / "id.json").exists():
        identity.create(home / "id.json", "node")
    file = home / "relay.toml"
    lines = [f"{key} = {value}" for key, value in relay.items()]
    file.write_text(
        f'[node]\nidentity_file = "{home}/id.json"\ndata_dir = "{home}/data"\n'
        f'[network]\nlisten_address = "{listen}"\n'
        "[observability]\nhealth_port = 0\nmetrics_port = 0\n[relay]\n" + "\n".join(lines)
    )
    return file


def start(home: Path, listen: str = "127.0.0.1:0", **relay: int) -> RelayProcess:
    """Start a relay and return once it says that it is ready."""
    file = settings(home, listen, **relay)
    log = home / "relay.log"
    with log.open("ab") as out:
        command = [sys.executable, "-m", "relay", "--config", str(file)]
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ})
    facts = _facts(home / "data" / "ready.json", process, log)
    return RelayProcess(process, facts["addresses"][0], facts["health"], facts["metrics"], log)


def _facts(ready: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists() and (facts := json.loads(ready.read_text()))["pid"] == process.pid:
            return facts
        time.sleep(POLL_S)
    process.kill()
    process.wait()
    raise AssertionError(f"the relay did not start:\n{log.read_text()}")


@asynccontextmanager
async def stream_of(relay: RelayProcess, peer_seed: bytes) -> AsyncGenerator[Stream]:
    """Send the relay any bytes while the block runs."""
    address = parse_address(relay.address)
    assert address.peer_id is not None
    async with open_host(peer_seed) as host:
        await host.dial(address.peer_id, [address])
        yield await host.open_stream(address.peer_id, PROTOCOL)


@asynccontextmanager
async def user_of(
    relay: RelayProcess, inbox_seed: bytes = b"i" * 32, peer_seed: bytes = b"p" * 32
) -> AsyncGenerator[MailboxUser]:
    """Talk to the relay over libp2p while the block runs."""
    async with stream_of(relay, peer_seed) as stream, open_link(stream) as link:
        yield await MailboxUser.meet(link, inbox_seed)
