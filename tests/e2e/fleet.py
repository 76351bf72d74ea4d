"""Several validators of both chains as real process trees, traffic, and what must always hold."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from abci_chat.txs.identity import UPDATE_PREKEYS, UpdatePrekeys
from dchat.kernel import accounts, params, tx
from dchat.kernel.ids import ChainId, Cost, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.kernel.tx import Envelope
from dchat.node import identity
from dchat.node.identity import Identity
from tests.dchat.operator import networks
from tests.e2e.nodes import CHAINS, Json, Node, high_ports, signed_transfer

SPEED = """timeout_propose = 1000
timeout_prevote = 500
timeout_precommit = 500
timeout_commit = 300
create_empty_blocks = true"""
PAGE = 20
"""Headers in one answer of `/blockchain`."""
PACE_S = 0.3


@dataclass
class Fleet:
    """Validators, and a node that may join them later."""

    validators: list[Node]
    late: Node

    @property
    def nodes(self) -> list[Node]:
        """The validators, and the late node once it was started."""
        return [*self.validators, *([self.late] if self.late.data_dir.exists() else [])]

    @property
    def network(self) -> networks.Network:
        return self.validators[0].network

    def start(self) -> None:
        """Start whatever does not run, and wait until every node is ready."""
        [node.start() for node in self.nodes if not is_running(node)]
        for node in self.nodes:
            node.wait_until(lambda node=node: bool(node.get("/ready")["ready"]), "readiness")

    def advance(self, blocks: int = 3) -> dict[str, int]:
        """Wait until every running node has seen so many more blocks of both chains."""
        running = [node for node in self.nodes if is_running(node)]
        wanted = {chain: max(n.height(chain) for n in running) + blocks for chain in CHAINS}
        [node.wait_for_heights(wanted) for node in running]
        return wanted

    def ask_to_stop(self) -> None:
        """SIGTERM to every supervisor at once; all have ended afterwards."""
        running = [node for node in self.nodes if is_running(node)]
        [os.kill(node.tree()[0], signal.SIGTERM) for node in running]
        assert [node.ended() for node in running] == [0] * len(running)

    def kill(self) -> None:
        """SIGKILL to every process of every node, supervisors first."""
        trees = [pid for node in self.nodes for pid in node.tree()]
        for pid in trees:
            with suppress(ProcessLookupError):  # a child may end by itself just then
                os.kill(pid, signal.SIGKILL)
        [node.kill_tree() for node in self.nodes]


def build(folder: Path) -> Fleet:
    """Four validators and a full node, none of which runs yet."""
    first = high_ports(5)
    places = [first.at(number) for number in range(5)]
    net = networks.four(folder, places[:4])
    identity.create(folder / "late.json", "node")
    names = [*(f"validator-{number}" for number in range(1, 5)), "late"]
    *validators, late = (
        Node(net, name, folder / f"{name}.json", place, SPEED)
        for name, place in zip(names, places, strict=True)
    )
    return Fleet(validators, late)


def is_running(node: Node) -> bool:
    return node.process is not None and node.process.poll() is None


def headers(node: Node, chain: str, first: int, last: int) -> list[Json]:
    """The headers from first to last, each with the block's own hash added."""
    found: list[Json] = []
    for low in range(first, last + 1, PAGE):
        high = min(last, low + PAGE - 1)
        said = node.rpc(chain, "blockchain", minHeight=str(low), maxHeight=str(high))
        metas = sorted(said["block_metas"], key=lambda meta: int(meta["header"]["height"]))
        found += [{**meta["header"], "block": meta["block_id"]["hash"]} for meta in metas]
    return found


def quarrels(nodes: Sequence[Node]) -> list[str]:
    """Where two nodes have different blocks, up to the height that all of them have reached."""
    found: list[str] = []
    for chain in CHAINS:
        last = min(node.height(chain) for node in nodes)
        first, *others = ([_gist(h) for h in headers(node, chain, 1, last)] for node in nodes)
        for node, other in zip(nodes[1:], others, strict=True):
            found += [
                f"{chain} {mine} is {theirs} to {node.name}"
                for mine, theirs in zip(first, other, strict=True)
                if mine != theirs
            ]
    return found


def _gist(header: Json) -> tuple[str, str, str]:
    return header["height"], header["app_hash"], header["block"]


def rises(times: Sequence[str]) -> bool:
    """Whether RFC 3339 times in UTC, with or without a fraction, only rise."""
    padded = [f"{time.removesuffix('Z').ljust(20, '.').ljust(30, '0')}" for time in times]
    return all(before < after for before, after in pairwise(padded))


class Traffic(threading.Thread):
    """Sends a transaction to a chain every now and then, by whichever node answers."""

    def __init__(self, nodes: Sequence[Node], payer: Path, chain: str) -> None:
        super().__init__(daemon=True)
        self._nodes = nodes
        self._owner = identity.load(payer)
        self._chain = chain
        self._over = threading.Event()
        self.accepted = 0

    def run(self) -> None:
        while not self._over.wait(PACE_S):
            for node in self._nodes:
                try:
                    self._send(node)
                except OSError:
                    continue
                break

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _send(self, node: Node) -> None:
        nonce = self._nonce(node)
        build = signed_transfer if self._chain == "currency" else signed_commitment
        raw = build(self._owner, nonce)
        answer = node.rpc(self._chain, "broadcast_tx_sync", tx=f"0x{raw.hex()}")
        self.accepted += answer["code"] == 0

    def _nonce(self, node: Node) -> int:
        key = accounts.key(self._owner.account_id)
        said = node.rpc(self._chain, "abci_query", path='"/store"', data=f"0x{key.hex()}")
        value = base64.b64decode(said["response"]["value"] or "")
        return accounts.decode(value).nonce if value else 0


def signed_commitment(owner: Identity, nonce: int) -> bytes:
    """A transaction of the chat chain that is charged for, and refused: its sender has no handle.

    What it leaves in the state, a nonce and a balance, differs after every one.
    """
    cost = cost_of(1000, UPDATE_PREKEYS.cost)
    body = UPDATE_PREKEYS.body(UpdatePrekeys(hashlib.sha256(nonce.to_bytes(8, "big")).digest()))
    envelope = Envelope(
        chain_id=ChainId("test"),
        sender=owner.account_id,
        public_key=owner.public_key,
        nonce=Nonce(nonce),
        fee=params.least_fee(params.DEFAULT, cost),
        cost_limit=Cost(cost),
        valid_until_height=Height(9_000),
        body=body,
    )
    return tx.build(envelope, owner.child("account"))
