"""100,000 signed transfers from 200 accounts at once, and what the node is like meanwhile.

    just bench flood [--txs N] [--block-cost N] [--write-baseline]

Each account has a connection and submits its transfers in order with `broadcast_tx_sync`; what is
refused because the pool is full is submitted again. Another connection asks for an account's record
with proof all the while. Nothing that was answered with code 0 may be missing
from the blocks, no gap between two blocks may exceed 3 s, and 99 of 100 queries must be answered
within 250 ms; else the exit status is 1. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path

from abci_currency.txs import transfer
from benchmarks import blocks, lanes
from benchmarks.report import finish
from dchat.kernel import accounts, errors, genesis, params, signing, tx
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, Height, Nonce
from dchat.kernel.machine import cost_of
from tests.e2e.solo import Json, Solo

CHAIN = ChainId("flood-1")
ACCOUNTS = 200
COST = cost_of(200, transfer.FAMILY.cost)
"""Transfers without memo are a little under 200 bytes."""
SETTINGS = {
    "timeout_commit": '"1s"',
    "size": "50000",
    "cache_size": "100000",
    "recheck_timeout": '"10s"',
}
ASK_EVERY_S = 0.02
COUNT_EVERY = 20
MOST_GAP_S = 3.0
MOST_QUERY_MS = 250.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one flood gave."""

    accepted: int
    lost: int
    """Answered with code 0 and in no block."""
    turned_away: int
    """Refusals for want of room; each was submitted again."""
    failed: int
    """Any other refusal, and queries without a value and a proof; none is expected."""
    first_failure: str
    per_s: float
    blocks: int
    most_in_block: int
    most_waiting: int
    longest_gap_s: float
    queries: int
    query_p50_ms: float
    query_p99_ms: float

    def within_limits(self) -> bool:
        """Whether this is what we promise."""
        calm = self.longest_gap_s <= MOST_GAP_S and self.query_p99_ms < MOST_QUERY_MS
        return calm and self.lost == self.failed == 0


def main() -> None:
    """Flood one validator and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--txs", type=int, default=100_000)
    parser.add_argument("--block-cost", type=int, default=params.DEFAULT.max_block_cost)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder:
        figures = run(Path(folder), chosen.txs, Cost(chosen.block_cost))
    for name, value in asdict(figures).items():
        print(f"{name:16} {value}")
    finish(_report(figures), write_baseline=chosen.write_baseline)
    sys.exit(not figures.within_limits())


def run(folder: Path, txs: int, block_cost: Cost) -> Figures:
    """Flood a fresh validator of the currency chain with so many transfers."""
    people = [_Person(n.to_bytes(32, "big")) for n in range(1, ACCOUNTS + 1)]
    clients = [_Client(_requests(people, at, txs // ACCOUNTS)) for at in range(ACCOUNTS)]
    solo = Solo(
        folder / "n",
        "abci_currency",
        _genesis(people, block_cost),
        chain_id=CHAIN,
        settings=SETTINGS,
    )
    try:
        solo.start()
        solo.wait_for_height(2)
        figures = _measure(solo, clients, accounts.key(people[0].id))
        solo.stop()
    finally:
        solo.stop(signal.SIGKILL)
    return figures


class _Person:
    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.key = signing.public_key(seed)
        self.id: AccountId = accounts.account_id(self.key)


@dataclass(slots=True)
class _Client:
    """Submits one account's transfers in order and insists on what there was no room for."""

    requests: list[bytes]
    """The next one last."""
    accepted: list[str] = field(default_factory=list[str])
    turned_away: int = 0
    failures: list[str] = field(default_factory=list[str])
    _sent: bytes = b""

    def request(self) -> bytes | None:
        """The next transfer, or again the one that was turned away."""
        if not self.requests:
            return None
        self._sent = self.requests.pop()
        return self._sent

    def answered(self, body: bytes) -> None:
        """Takes note, and puts back what is to be sent again."""
        (answer,) = lanes.parse(body)
        result = answer.get("result", {})
        match result.get("code"):
            case 0:
                self.accepted.append(result["hash"])
            case errors.PoolFull.code:
                self.turned_away += 1
                self.requests.append(self._sent)
            case _:
                self.failures.append(json.dumps(answer)[:300])


class _Asker(threading.Thread):
    """Asks for one record with its proof, again and again, and now and then how many wait."""

    def __init__(self, port: int, key: bytes) -> None:
        super().__init__()
        self._query = _call("abci_query", {"path": "/store", "data": key.hex(), "prove": True})
        self._peer = http.client.HTTPConnection("127.0.0.1", port, timeout=lanes.PATIENCE_S)
        self._over = threading.Event()
        self.took_ms: list[float] = []
        self.failures: list[str] = []
        self.most_waiting = 0

    def run(self) -> None:
        while not self._over.wait(ASK_EVERY_S):
            started = time.perf_counter()
            answer = self._ask(self._query)
            self.took_ms.append((time.perf_counter() - started) * 1000)
            response = answer.get("response", {})
            if not (response.get("value") and response.get("proofOps")):
                self.failures.append(json.dumps(answer)[:300])
            if len(self.took_ms) % COUNT_EVERY == 0:
                waiting = int(self._ask(_call("num_unconfirmed_txs", {}))["total"])
                self.most_waiting = max(self.most_waiting, waiting)
        self._peer.close()

    def end(self) -> None:
        """Returns once the last answer is there."""
        self._over.set()
        self.join()

    def _ask(self, call: bytes) -> Json:
        self._peer.request("POST", "/", call)
        answer: Json = json.loads(self._peer.getresponse().read())
        return answer.get("result", answer)


def _measure(solo: Solo, clients: Sequence[_Client], key: bytes) -> Figures:
    first = solo.height() + 1
    asker = _Asker(solo.rpc_port, key)
    asker.start()
    started = time.perf_counter()
    try:
        lanes.drive(solo.rpc_port, clients)
        accepted = {each for client in clients for each in client.accepted}
        sizes = blocks.sizes(solo, first, len(accepted))
        took_s = time.perf_counter() - started
    finally:
        asker.end()
    last = first + len(sizes) - 1
    committed = {each for height in range(first, last + 1) for each in blocks.hashes(solo, height)}
    failures = [*asker.failures, *chain.from_iterable(client.failures for client in clients)]
    waits = sorted(asker.took_ms)
    return Figures(
        accepted=len(accepted),
        lost=len(accepted - committed),
        turned_away=sum(client.turned_away for client in clients),
        failed=len(failures),
        first_failure=failures[0] if failures else "",
        per_s=round(len(committed) / took_s, 1),
        blocks=sum(1 for size in sizes if size),
        most_in_block=max(sizes),
        most_waiting=asker.most_waiting,
        longest_gap_s=blocks.longest_gap_s(solo, first - 1, last),
        queries=len(waits),
        query_p50_ms=round(waits[len(waits) // 2], 1),
        query_p99_ms=round(waits[len(waits) * 99 // 100], 1),
    )


def _genesis(people: Sequence[_Person], block_cost: Cost) -> bytes:
    ids = sorted(person.id for person in people)
    allocations = tuple(genesis.Allocation(each, Amount(10**12)) for each in ids)
    rules = replace(params.DEFAULT, max_block_cost=block_cost)
    return genesis.SHAPE.encode(genesis.Genesis(rules, allocations))


def _requests(people: Sequence[_Person], at: int, count: int) -> list[bytes]:
    """One account's transfers to its neighbour, the first one last."""
    who, to = people[at], people[(at + 1) % len(people)]
    body = transfer.FAMILY.body(transfer.Transfer(to.id, Amount(1)))
    raws = [
        tx.build(
            tx.Envelope(
                CHAIN, who.id, who.key, Nonce(nonce), Amount(COST), COST, Height(5_000), body
            ),
            who.seed,
        )
        for nonce in range(count)
    ]
    return list(reversed(lanes.encode("broadcast_tx_sync", raws, 1)))


def _call(method: str, arguments: Json) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": arguments}).encode()


def _report(figures: Figures) -> dict[str, object]:
    return {
        "name": "flood",
        "value": figures.longest_gap_s,
        "unit": "s between two blocks at most, timeout_commit 1 s",
        "peer": f"limits: {MOST_GAP_S} s, nothing lost, p99 of queries {MOST_QUERY_MS} ms",
        "peer_value": MOST_GAP_S,
        "ratio": round(figures.longest_gap_s / MOST_GAP_S, 3),
        **asdict(figures),
    }


if __name__ == "__main__":
    main()
