"""Two chains and a relay as real processes: what a user's client needs."""

from __future__ import annotations

import hashlib
import json
import signal
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

from dchat.kernel import genesis
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.kernel.ids import AccountId, Amount, ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.kernel.params import DEFAULT
from dchat.node.network import ChainEntry, NetworkFile
from dchat.node.rfc3339 import parse_time
from tests.e2e import relays
from tests.e2e.relays import RelayProcess
from tests.e2e.solo import Solo, free_ports

FUNDS = Amount(100_000_000)


@dataclass
class Net:
    """Running processes and the network file that describes them."""

    home: Path
    chat: Solo
    currency: Solo
    relay: RelayProcess
    listen: str

    @property
    def file(self) -> NetworkFile:
        """What a user is told."""
        return NetworkFile("test", (self.relay.address,), entry(self.chat), entry(self.currency))

    def restart_relay(self) -> None:
        """Start the relay again, where and with what it was before."""
        self.relay = relays.start(self.home / "relay", self.listen)

    def stop(self) -> None:
        """End every process at once."""
        self.relay.kill()
        self.chat.stop(signal.SIGKILL)
        self.currency.stop(signal.SIGKILL)


def start(home: Path, funded: list[AccountId]) -> Net:
    """Start everything; each of these accounts has funds on both chains."""
    allocations = tuple(genesis.Allocation(account, FUNDS) for account in sorted(funded))
    state = genesis.SHAPE.encode(genesis.Genesis(DEFAULT, allocations))
    chat = Solo(home / "chat", "abci_chat", state, "test")
    currency = Solo(home / "currency", "abci_currency", state, "test-currency")
    chat.start()
    currency.start()
    (home / "relay").mkdir()
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    relay = relays.start(home / "relay", listen)
    chat.wait_for_height(2)
    currency.wait_for_height(2)
    return Net(home, chat, currency, relay, listen)


def entry(solo: Solo) -> ChainEntry:
    """What a network file says of a chain with one validator."""
    path = solo.home / "config" / "genesis.json"
    content = path.read_bytes()
    described = json.loads(content)
    members = validator_set(
        Validator(b64decode(each["pub_key"]["value"]), int(each["power"]))
        for each in described["validators"]
    )
    root = TrustRoot(
        ChainId(solo.chain_id),
        Height(1),
        parse_time(described["genesis_time"]),
        validators_hash(members),
    )
    url = f"http://127.0.0.1:{solo.rpc_port}"
    return ChainEntry(path, hashlib.sha256(content).digest(), (url,), (), root, 1_209_600)
