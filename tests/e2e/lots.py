"""Four validators of one chat chain that draw lots, real CometBFT and real applications."""

from __future__ import annotations

import base64
import json
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abci_chat import genesis as chat
from abci_chat import keys
from abci_chat.params import Moderation
from abci_chat.state import beacon, targets
from abci_chat.state.beacon import Draw
from abci_chat.state.cases import Reason
from abci_chat.state.targets import Target
from abci_chat.txs.report import REPORT, Report
from dchat.kernel import contribution, genesis, headers
from dchat.kernel.genesis import Allocation
from dchat.kernel.ids import Amount, ChainId, Cost
from dchat.kernel.params import DEFAULT
from genesis import build
from tests.e2e.quick import Change
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.memory import ALICE, BOB, CAROL, FOUNDER, Person, signed
from tests.fakes.orders import registration

CHAIN = ChainId("lots-1")
FUNDS = Amount(10**10)
LENGTH = 200
PREIMAGES = 8
"""Of a window."""
OPERATORS: tuple[Person, ...] = (ALICE, BOB, CAROL, FOUNDER)
SETTINGS = {
    "create_empty_blocks": "false",
    # blocks that do not come because of what the one before wrote come far too late for a test
    "create_empty_blocks_interval": '"600s"',
    "timeout_propose": '"700ms"',
    "timeout_commit": '"100ms"',
    "addr_book_strict": "false",
    "allow_duplicate_ip": "true",
}
COST = Cost(5000)


def secret(at: int) -> bytes:
    """Return what a validator's chain in genesis was made of."""
    return bytes([0x70 + at]) * 32


@dataclass
class Lots:
    """The four; their secrets are files, which a test may replace while they are down."""

    nodes: list[Solo]

    def start(self) -> None:
        """Start all of them."""
        [each.start() for each in self.nodes]
        [each.wait_for_height(1) for each in self.nodes]

    def kill(self) -> None:
        """End every process at once."""
        [each.stop(signal.SIGKILL) for each in self.nodes]

    def address(self, at: int) -> bytes:
        """Return a validator's 20-byte address."""
        return headers.address_of(self.nodes[at].voter.public_key)

    def submit(self, who: Person, body: Any, nonce: int) -> int:
        """Return the height of the block that carries a transaction."""
        raw = signed(who, body, nonce, chain_id=CHAIN, cost_limit=COST, fee=Amount(COST))
        answer = self.nodes[0].commit(raw)
        assert answer["check_tx"]["code"] == answer["tx_result"]["code"] == 0, answer
        return int(answer["height"])

    def register(self) -> None:
        """Let there be somebody whom others can report."""
        self.submit(BOB, registration(BOB), 0)

    def report(self, nonce: int) -> int:
        """Open a case, which asks for a seed; return its height."""
        target = Target(targets.Kind.ACCOUNT, BOB.id)
        body = Report(target, (), Reason.SPAM, bytes(32), Amount(10**6))
        return self.submit(ALICE, REPORT.body(body), nonce)

    def draw(self, at: int) -> Draw:
        """Return the draw as a node has committed it."""
        found = base64.b64decode(self.nodes[at].query("/store", keys.DRAW)["value"] or "")
        return beacon.DRAW.decode(found)

    def wait_for(self, met: Callable[[], bool], what: str) -> None:
        """Poll until it is met; fail with all logs where it is not."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if met():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"no {what}\n" + "\n".join(each.logs() for each in self.nodes))

    def seeds(self, at: int, last: int) -> dict[bytes, tuple[int, bytes]]:
        """Return the seeds that a node told up to a height: by entry, window and seed."""
        told = [each for height in range(1, last + 1) for each in self._events(at, height)]
        drawn = [each for each in told if each["type"] == "SeedDrawn"]
        found = [{each["key"]: each["value"] for each in event["attributes"]} for event in drawn]
        return {
            bytes.fromhex(each["entry"]): (int(each["window"]), bytes.fromhex(each["seed"]))
            for each in found
        }

    def block(self, height: int) -> Json:
        """Return a block of the first node's."""
        return self.nodes[0].rpc("block", height=str(height))["block"]

    def revealed(self, last: int) -> list[tuple[int, bytes, bytes]]:
        """Return height, proposer and preimage of every contribution up to a height."""
        found: list[tuple[int, bytes, bytes]] = []
        for height in range(1, last + 1):
            block = self.block(height)
            lead, _ = contribution.split([base64.b64decode(each) for each in block["data"]["txs"]])
            if lead:
                found.append((height, bytes.fromhex(block["header"]["proposer_address"]), lead))
        return found

    def rounds(self, first: int, last: int) -> dict[int, int]:
        """Return the round in which each block was decided."""
        found = {at: self.nodes[0].rpc("commit", height=str(at)) for at in range(first, last + 1)}
        return {at: int(each["signed_header"]["commit"]["round"]) for at, each in found.items()}

    def app_hashes(self, at: int, last: int) -> list[str]:
        """Return the app hash in each header that a node has."""
        node = self.nodes[at]
        return [
            node.rpc("header", height=str(each))["header"]["app_hash"]
            for each in range(1, last + 1)
        ]

    def _events(self, at: int, height: int) -> list[Json]:
        result = self.nodes[at].rpc("block_results", height=str(height))
        events: list[Json] = result["finalize_block_events"] or []
        return events


def build_four(
    home: Path, change: Change = lambda begun: begun, settings: Mapping[str, str] = SETTINGS
) -> Lots:
    """Write four homes of one chain, whose beginning was changed so; nothing runs yet."""
    nodes = [_solo(home / f"node{at}", at, settings) for at in range(len(OPERATORS))]
    ids = [each.run_cometbft("show-node-id").strip() for each in nodes]
    peers = ",".join(
        f"{node_id}@127.0.0.1:{each.p2p_port}" for node_id, each in zip(ids, nodes, strict=True)
    )
    document = _genesis(nodes, change)
    for each in nodes:
        (each.home / "config" / "genesis.json").write_text(document)
        config = each.home / "config" / "config.toml"
        text = config.read_text()
        text = re.sub(r"(?m)^persistent_peers = .*$", f'persistent_peers = "{peers}"', text)
        config.write_text(text)
    return Lots(nodes)


def write_secret(node: Solo, content: bytes) -> Path:
    """Put a secret where a node's application looks for it."""
    path = node.home / "secret"
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _solo(home: Path, at: int, settings: Mapping[str, str]) -> Solo:
    home.mkdir()
    made = Solo(
        home,
        "abci_chat",
        genesis.SHAPE.encode(genesis.Genesis(DEFAULT, ())),
        CHAIN,
        settings,
        ("--beacon-secret", str(home / "secret")),
    )
    write_secret(made, secret(at))
    return made


def _genesis(nodes: list[Solo], change: Change) -> str:
    files = [json.loads((each.home / "config" / "genesis.json").read_text()) for each in nodes]
    members = [member for each in files for member in each["validators"]]
    bound = [
        chat.Validator(
            node.voter.public_key,
            OPERATORS[at].id,
            beacon.value(secret(at), CHAIN, 1, LENGTH),
            LENGTH,
        )
        for at, node in enumerate(nodes)
    ]
    beginning = chat.Beginning(
        genesis.Genesis(
            DEFAULT,
            tuple(sorted((Allocation(who.id, FUNDS) for who in OPERATORS), key=_account)),
        ),
        replace(chat.Rules(), moderation=Moderation(draw_blocks=PREIMAGES)),
        tuple(sorted((chat.Voter(who.id, 10) for who in OPERATORS), key=_account)),
        tuple(sorted(bound, key=lambda each: each.consensus_key)),
        build.currency_bounds(),
    )
    changed = change(beginning)
    chat.check(changed)
    state = base64.b64encode(chat.SHAPE.encode(changed)).decode()
    return json.dumps({**files[0], "validators": members, "app_state": state})


def _account(holder: Allocation | chat.Voter) -> bytes:
    return holder.account
