"""One validator of one chain: a real CometBFT and a real application process on free ports."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dchat.kernel import accounts
from dchat.kernel.machine import ValidatorPower
from dchat.operator import cometbft
from dchat.operator.cometbft import Release
from tests.fakes.memory import Person, founded

PATIENCE_S = 60
Json = dict[str, Any]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    [holder.close() for holder in holders]
    return ports


@dataclass
class Solo:
    """A chain directory; processes are started and killed one by one."""

    home: Path
    module: str
    app_state: bytes
    """The kernel's part of genesis as given; the chain's own, once the home is written."""
    chain_id: str = "solo-1"
    settings: Mapping[str, str] = field(default_factory=dict)
    app_args: tuple[str, ...] = ()
    release: Release | None = None
    node_env: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "error"
    app: subprocess.Popen[bytes] | None = None
    node: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        found = (
            cometbft.find_release(self.release, print, os.environ)
            if self.release
            else cometbft.find(print, os.environ)
        )
        self.binary = found.path
        self.rpc_port, self.p2p_port = free_ports(2)
        self.run_cometbft("init")
        self._write_genesis()
        self._write_config()

    @property
    def socket(self) -> Path:
        return self.home / "app.sock"

    def rewrite_genesis(self, app_state: bytes) -> None:
        """Let the chain, which has not run yet, begin with this state."""
        self.app_state = app_state
        path = self.home / "config" / "genesis.json"
        genesis: Json = json.loads(path.read_text())
        genesis["app_state"] = base64.b64encode(app_state).decode()
        path.write_text(json.dumps(genesis))

    def start(self) -> None:
        self.start_app()
        self.start_node()

    def start_app(self) -> None:
        with (self.home / "app.log").open("ab") as log:
            self.app = subprocess.Popen(
                [
                    *(sys.executable, "-W", "error", "-m", self.module),
                    *("--socket", self.socket, "--data-dir", self.home / "state"),
                    *self.app_args,
                ],
                stderr=log,
                stdout=log,
            )
        self._wait_for_socket()

    def start_node(self) -> None:
        command = ["start", "--home", self.home, "--log_level", self.log_level]
        with (self.home / "node.log").open("ab") as log:
            self.node = subprocess.Popen(
                [self.binary, *command],
                stderr=log,
                stdout=log,
                env={**os.environ, **self.node_env},
            )

    def run_cometbft(self, command: str) -> str:
        """What one of CometBFT's commands about its home prints."""
        return subprocess.run(
            [self.binary, command, "--home", self.home],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[int | None]:
        """Both processes are gone; CometBFT goes first. Exit codes: node, app."""
        codes: list[int | None] = []
        for process in (self.node, self.app):
            if process is not None:
                process.send_signal(number)
                codes.append(process.wait(PATIENCE_S))
        self.node = self.app = None
        return codes

    def rpc(self, method: str, **params: str) -> Json:
        """The `result` of one RPC call. Raises: OSError while the node is not up."""
        url = f"http://127.0.0.1:{self.rpc_port}/{method}?{urllib.parse.urlencode(params)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                body: Json = json.load(answer)
        except urllib.error.HTTPError as fault:
            body = json.load(fault)
            raise OSError(body.get("error")) from None
        return body["result"]

    def height(self) -> int:
        return int(self.rpc("status")["sync_info"]["latest_block_height"])

    def wait_for_height(self, height: int) -> None:
        """Polls until the chain has the block; fails with the logs where it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if self.height() >= height:
                    return
            except OSError:
                self._refuse_dead()
            time.sleep(0.05)
        raise AssertionError(f"no block {height}\n{self.logs()}")

    def submit(self, raw: bytes) -> Json:
        """The result of CheckTx."""
        return self.rpc("broadcast_tx_sync", tx="0x" + raw.hex())

    def commit(self, raw: bytes) -> Json:
        """The result of CheckTx and of the block that carries it."""
        return self.rpc("broadcast_tx_commit", tx="0x" + raw.hex())

    def query(self, path: str, data: bytes = b"", **params: str) -> Json:
        return self.rpc("abci_query", path=f'"{path}"', data="0x" + data.hex(), **params)[
            "response"
        ]

    def account(self, who: Person) -> accounts.Account:
        """The committed account, taken on trust."""
        value = base64.b64decode(self.query("/store", accounts.key(who.id))["value"] or "")
        return accounts.decode(value)

    def app_hash_after(self, height: int) -> bytes:
        """The app hash in the header that follows block `height`."""
        self.wait_for_height(height + 1)
        header = self.rpc("block", height=str(height + 1))["block"]["header"]
        return bytes.fromhex(header["app_hash"])

    def logs(self) -> str:
        return "\n".join(
            f"--- {name}\n{(self.home / name).read_text(errors='replace')[-4000:]}"
            for name in ("app.log", "node.log")
            if (self.home / name).exists()
        )

    def _refuse_dead(self) -> None:
        if any(each is not None and each.poll() is not None for each in (self.app, self.node)):
            raise AssertionError(f"a process ended by itself\n{self.logs()}")

    def _wait_for_socket(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(os.fspath(self.socket)) == 0:
                    return
            if self.app is None or self.app.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(self.logs())

    @property
    def chain(self) -> str:
        """Whose rules it runs: chat or currency."""
        return self.module.removeprefix("abci_")

    def _write_genesis(self) -> None:
        path = self.home / "config" / "genesis.json"
        genesis: Json = json.loads(path.read_text())
        genesis["chain_id"] = self.chain_id
        voter = genesis["validators"][0]
        key = base64.b64decode(voter["pub_key"]["value"])
        self.voter = ValidatorPower(key, int(voter["power"]))
        path.write_text(json.dumps(genesis))
        self.rewrite_genesis(founded(self.chain, self.app_state, self.voter))

    def _write_config(self) -> None:
        path = self.home / "config" / "config.toml"
        text = path.read_text()
        text = text.replace('"tcp://127.0.0.1:26657"', f'"tcp://127.0.0.1:{self.rpc_port}"')
        text = text.replace('"tcp://0.0.0.0:26656"', f'"tcp://127.0.0.1:{self.p2p_port}"')
        chosen = {
            "proxy_app": f'"unix://{self.socket}"',
            "timeout_commit": '"100ms"',
            "pprof_laddr": '""',
            **self.settings,
        }
        for key, value in chosen.items():
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        path.write_text(text)
