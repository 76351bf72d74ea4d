"""Two chains and a relay as real processes, and people on them: what a user's client needs."""

from __future__ import annotations

import hashlib
import json
import signal
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from dchat.client.engine import Client
from dchat.client.events import Event, Subscription
from dchat.kernel import genesis
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.kernel.ids import Amount, ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.kernel.params import DEFAULT
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry, NetworkFile
from dchat.node.rfc3339 import parse_time
from tests.e2e import relays
from tests.e2e.relays import RelayProcess
from tests.e2e.solo import Solo

FUNDS = Amount(100_000_000)
PATIENCE_S = 60


@dataclass
class Net:
    """Running processes and the network file that describes them."""

    home: Path
    chat: Solo
    currency: Solo
    relay: RelayProcess

    @property
    def file(self) -> NetworkFile:
        return NetworkFile(
            "test", (self.relay.address,), _entry(self.chat), _entry(self.currency)
        )

    def stop(self) -> None:
        self.relay.kill()
        self.chat.stop(signal.SIGKILL)
        self.currency.stop(signal.SIGKILL)


def start(home: Path, people: list[Identity]) -> Net:
    """Start everything; each of these people has funds on both chains."""
    ids = sorted(person.account_id for person in people)
    allocations = tuple(genesis.Allocation(account, FUNDS) for account in ids)
    state = genesis.SHAPE.encode(genesis.Genesis(DEFAULT, allocations))
    chat = Solo(home / "chat", "abci_chat", state, "test")
    currency = Solo(home / "currency", "abci_currency", state, "test-currency")
    chat.start()
    currency.start()
    (home / "relay").mkdir()
    relay = relays.start(home / "relay")
    chat.wait_for_height(2)
    currency.wait_for_height(2)
    return Net(home, chat, currency, relay)


def _entry(solo: Solo) -> ChainEntry:
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


async def seen(events: Subscription, is_it: Callable[[Event], bool]) -> Event:
    """Return the first event that is it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            event = await events.get()
            if is_it(event):
                return event


async def delivered(client: Client, events: Subscription, message_id: bytes) -> None:
    """Return once the recipient has confirmed the text."""
    letter = await client.letter(message_id)
    if letter is None or letter.state.name != "DELIVERED":
        await seen(
            events,
            lambda event: (
                getattr(event, "message_id", b"") == message_id
                and getattr(event, "state", None) is not None
                and event.state.name == "DELIVERED"
            ),
        )
