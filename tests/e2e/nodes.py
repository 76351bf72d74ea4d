"""`dchat validator` as real process trees on free ports, and a sender that keeps them busy."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abci_currency.txs.transfer import FAMILY, Transfer
from dchat.kernel import accounts, params, tx
from dchat.kernel.ids import Amount, ChainId, Cost, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.kernel.tx import Envelope
from dchat.node import identity
from dchat.operator import claim, ports
from dchat.operator.ports import Ports
from tests.dchat.operator.networks import Network

PATIENCE_S = 90
POLL_S = 0.05
ENTRY = "from dchat.cli.main import main; main()"
CHAINS = ("chat", "currency")
Json = dict[str, Any]


def high_ports(nodes: int = 1) -> Ports:
    """Free ports for so many nodes: away from the usual ones, and from those that the system gives
    to outgoing connections, which could take one between now and the start."""
    base = random.Random().randrange(10_000, 25_000, 20)
    return ports.choose(Ports(*range(base, base + 7)), nodes)


@dataclass
class Node:
    """One `dchat validator` on a directory; it is started, killed and started again."""

    network: Network
    name: str
    identity: Path
    ports: Ports = field(default_factory=high_ports)
    consensus: str = "timeout_commit = 300\ncreate_empty_blocks = true"
    finds: str | None = None
    """Settings that replace the network file: how else the node finds its chains."""
    bootstrap: str = ""
    """A multiaddr of a known node."""
    entry: str = ENTRY
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    @property
    def data_dir(self) -> Path:
        return self.network.folder / self.name

    @property
    def log(self) -> Path:
        return self.network.folder / f"{self.name}.log"

    def write_config(self) -> Path:
        path = self.network.folder / f"{self.name}.toml"
        path.write_text(f"""
[validator]
identity_file = "{self.identity}"
chain_id = "test"
data_dir = "{self.data_dir}"
{self.finds or f'network = "{self.network.file}"'}
json_logs = true
moniker = "{self.name}"
[network]
listen_address = "127.0.0.1:{self.ports.p2p}"
rpc_listen_address = "127.0.0.1:{self.ports.rpc}"
{f'bootstrap_validators = ["{self.bootstrap}"]' if self.bootstrap else ""}
[consensus]
{self.consensus}
[observability]
health_port = {self.ports.validator_health}
metrics_port = {self.ports.validator_metrics}
""")
        return path

    def start(self) -> None:
        command = [
            *(sys.executable, "-c", self.entry),
            *("validator", "--config", str(self.write_config())),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.env}
            )

    def stop(self) -> int:
        """Ask it to stop; the exit status, once it ended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def ended(self) -> int:
        """The exit status, once it ended by itself."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def tree(self) -> list[int]:
        """The supervisor, its leash and all children."""
        return [] if self.process is None else [self.process.pid, *below(self.process.pid)]

    def kill_tree(self) -> None:
        """Kill every process at once, the supervisor first so that it can help nobody."""
        for pid in self.tree():
            _kill(pid)
        if self.process is not None:
            self.process.wait()
        self.process = None

    def leftovers(self) -> list[int]:
        return list(claim.find(self.data_dir))

    def rpc(self, chain: str, method: str, **query: str) -> Json:
        """The result of one call. Raises: OSError while the node is not up."""
        port = self.ports.rpc + (10 if chain == "currency" else 0)
        url = f"http://127.0.0.1:{port}/{method}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                body: Json = json.load(answer)
        except urllib.error.HTTPError as fault:
            raise OSError(fault.read()) from None
        except ValueError as fault:
            raise OSError(str(fault)) from None
        return body["result"]

    def height(self, chain: str) -> int:
        return int(self.rpc(chain, "status")["sync_info"]["latest_block_height"])

    def heights(self) -> dict[str, int]:
        return {chain: self.height(chain) for chain in CHAINS}

    def wait_for_heights(self, wanted: dict[str, int]) -> None:
        for chain, height in wanted.items():
            self.wait_until(
                lambda chain=chain, height=height: self.height(chain) >= height,
                f"{chain} block {height}",
            )

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Poll until it holds; an OSError counts as not yet."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except OSError:
                self._refuse_dead()
            time.sleep(POLL_S)
        raise AssertionError(f"{self.name}: no {what}\n{self.tail()}")

    def get(self, path: str) -> Json:
        """The answer of the health endpoint."""
        url = f"http://127.0.0.1:{self.ports.validator_health}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: Json = json.load(answer)
        except urllib.error.HTTPError as fault:
            found = json.load(fault)
        return found

    def metrics(self) -> str:
        url = f"http://127.0.0.1:{self.ports.validator_metrics}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

    def app_hashes(self, chain: str, heights: Sequence[int]) -> dict[int, str]:
        """The app hash in the header of each height."""
        found: dict[int, str] = {}
        for height in heights:
            said = self.rpc(chain, "commit", height=str(height))
            found[height] = said["signed_header"]["header"]["app_hash"]
        return found

    def app_state(self, chain: str) -> tuple[int, str]:
        """What the application itself says: its height and its app hash."""
        said = self.rpc(chain, "abci_info")["response"]
        return int(said["last_block_height"]), said["last_block_app_hash"]

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def _refuse_dead(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")


class Sender(threading.Thread):
    """Pays from one account without a pause; what a killed node forgot is signed again."""

    def __init__(self, node: Node, payer: Path) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._owner = identity.load(payer)
        self._over = threading.Event()
        self.accepted = 0

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._send_some(self._nonce())
            except OSError:
                self._over.wait(POLL_S)

    def stop(self) -> None:
        self._over.set()
        self.join(PATIENCE_S)

    def _send_some(self, nonce: int) -> None:
        for step in range(20):
            raw = signed_transfer(self._owner, nonce + step)
            answer = self._node.rpc("currency", "broadcast_tx_sync", tx=f"0x{raw.hex()}")
            if answer["code"] != 0 or self._over.is_set():
                return
            self.accepted += 1

    def _nonce(self) -> int:
        key = accounts.key(self._owner.account_id)
        said = self._node.rpc("currency", "abci_query", path='"/store"', data=f"0x{key.hex()}")
        value = base64.b64decode(said["response"]["value"] or "")
        return accounts.decode(value).nonce if value else 0


def signed_transfer(owner: identity.Identity, nonce: int) -> bytes:
    """A payment of one base unit to an account that changes with the nonce."""
    to = accounts.account_id(nonce.to_bytes(32, "big"))
    cost = cost_of(1000, FAMILY.cost)
    envelope = Envelope(
        chain_id=ChainId("test-currency"),
        sender=owner.account_id,
        public_key=owner.public_key,
        nonce=Nonce(nonce),
        fee=params.least_fee(params.DEFAULT, cost),
        cost_limit=Cost(cost),
        valid_until_height=Height(9_000),
        body=FAMILY.body(Transfer(to, Amount(1))),
    )
    return tx.build(envelope, owner.child("account"))


def below(pid: int) -> list[int]:
    """Every living descendant of a process, by the kernel's own lists."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *below(child)]
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
