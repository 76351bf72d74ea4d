"""Signed transfers a second on one validator, beside CometBFT's kvstore loaded the same way.

    just bench transfers [--txs N] [--sync-txs N] [--bundle N] [--rounds N] [--write-baseline]

Both sides get as many transactions of the same size over the same connections, and the
configuration of CometBFT that `dchat validator` writes. They take turns, and what counts is the
median of each side's rounds: how blocks fall into a run of seconds moves a single one by half. As
many transfers are then sent again in bundles. A transfer counts once a block holding it is
committed and its account's nonce says that it was charged; nothing that was answered with code 0
may be missing. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from abci_currency.txs import transfer
from benchmarks import blocks
from benchmarks.lanes import Submitted, encode, send
from benchmarks.report import finish
from dchat.kernel import accounts, bundle, genesis, params, signing, tx
from dchat.kernel.ids import AccountId, Amount, ChainId, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.node.address import Address
from dchat.node.config import Consensus
from dchat.operator import home
from tests.e2e.solo import Json, Solo

CHAIN = ChainId("bench-1")
ACCOUNTS = 200
TXS = 100_000
"""What fits into one block tells of a pause, not of a rate; the mempool must hold what is sent."""
ROUNDS = 3
BATCH = 100
"""Calls in one HTTP request. Operators have 10; more here keeps the load itself cheap."""
COST = cost_of(200, transfer.FAMILY.cost)
"""Transfers without memo are a little under 200 bytes."""
TIMES = Consensus(timeout_commit=1_000, create_empty_blocks=True)
"""A block a second; the rest is as every operator has it."""


@dataclass(frozen=True, slots=True)
class Load:
    """How transactions are handed over."""

    name: str
    method: str
    lanes: int
    """Connections; each waits for the answer to one request before it sends the next."""
    batch: int
    """Calls in a request."""
    bundle: int = 1
    """Transfers in a call."""


ASYNC = Load("async", "broadcast_tx_async", lanes=4, batch=BATCH)
SYNC = Load("sync", "broadcast_tx_sync", lanes=200, batch=1)


def bundled(size: int) -> Load:
    """Return the load in bundles: whoever makes them waits for the answer to each."""
    return Load("bundle", "broadcast_tx_sync", lanes=4, batch=1, bundle=size)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    per_s: float
    committed: int
    """Transfers, those in bundles counted one by one."""
    blocks: int
    most_in_block: int
    longest_gap_s: float
    submitted: Submitted
    app_cpu_us: float
    node_cpu_us: float
    load_cpu_us: float
    """Processor time a transaction that the load itself took; it is taken from both sides."""


def main() -> None:
    """Run all of them, print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--txs", type=int, default=TXS)
    parser.add_argument("--sync-txs", type=int, default=12_000)
    parser.add_argument("--bundle", type=int, default=bundle.MAX_CARRIED)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    together = bundled(chosen.bundle)
    if chosen.txs % (together.lanes * chosen.bundle) or chosen.txs % ACCOUNTS:
        parser.error("the transfers do not fill whole bundles on every connection and account")
    rounds: list[tuple[str, Load, int]] = [
        (peer, load, chosen.txs)
        for load in (ASYNC, together)
        for _ in range(chosen.rounds)
        for peer in (("kvstore", "dchat") if load is ASYNC else ("dchat",))
    ]
    rounds += [(peer, SYNC, chosen.sync_txs) for peer in ("kvstore", "dchat")]
    gave: dict[str, list[Figures]] = {}
    for peer, load, count in rounds:
        gave.setdefault(f"{peer}-{load.name}", []).append(_run(peer, load, _txs(peer, load, count)))
    finish(_report(gave), write_baseline=chosen.write_baseline)


@cache
def _txs(peer: str, load: Load, count: int) -> list[list[bytes]]:
    """HTTP requests, a list for each connection."""
    make = _transfers if peer == "dchat" else _pairs
    lanes = make(count, load.lanes)
    if load.bundle > 1:
        lanes = [_bundles(txs, load.bundle) for txs in lanes]
    return [encode(load.method, txs, load.batch) for txs in lanes]


def _bundles(txs: Sequence[bytes], size: int) -> list[bytes]:
    return [bundle.build(txs[at : at + size]) for at in range(0, len(txs), size)]


def _run(peer: str, load: Load, requests: Sequence[Sequence[bytes]]) -> Figures:
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder:
        solo = _chain(peer, Path(folder))
        try:
            if peer == "dchat":
                solo.start_app()
            solo.start_node()
            solo.wait_for_height(2)
            figures = _measure(solo, requests, load)
            solo.stop()
            _print(peer, load, figures, solo)
        finally:
            solo.stop(signal.SIGKILL)
    return figures


def _chain(peer: str, folder: Path) -> Solo:
    """A chain with the configuration that `dchat validator` writes, for either application."""
    solo = Solo(
        folder / "n",
        "abci_currency",
        _genesis(),
        chain_id=CHAIN,
        app_args=("--stats", "--json-logs"),
    )
    p2p, rpc = (Address("127.0.0.1", port) for port in (solo.p2p_port, solo.rpc_port))
    tables = home.settings(home.Node("bench", solo.socket, p2p, rpc, (), 100, TIMES))
    tables = {
        **tables,
        "rpc": {**tables["rpc"], "max_request_batch_size": BATCH},
        "mempool": {**tables["mempool"], "size": TXS, "cache_size": 2 * TXS},
    }
    if peer == "kvstore":
        tables = {**tables, "": {**tables[""], "proxy_app": "kvstore"}}
    (solo.home / "config" / "config.toml").write_text(home.as_toml(tables))
    return solo


def _measure(solo: Solo, requests: Sequence[Sequence[bytes]], load: Load) -> Figures:
    first = solo.height() + 1
    busy_before = _cpu_s(solo)
    started = time.perf_counter()
    submitted = send(solo.rpc_port, requests)
    sizes = blocks.sizes(solo, first, submitted.accepted)
    took_s = time.perf_counter() - started
    app, node, own = (
        after - before for after, before in zip(_cpu_s(solo), busy_before, strict=True)
    )
    solo.wait_for_height(solo.height() + 1)
    committed = sum(sizes) * load.bundle if solo.app is None else _charged(solo)
    return Figures(
        per_s=committed / took_s,
        committed=committed,
        blocks=sum(1 for size in sizes if size),
        most_in_block=max(sizes) * load.bundle,
        longest_gap_s=blocks.longest_gap_s(solo, first - 1, solo.height()),
        submitted=submitted,
        app_cpu_us=app / committed * 1e6,
        node_cpu_us=node / committed * 1e6,
        load_cpu_us=own / committed * 1e6,
    )


def _cpu_s(solo: Solo) -> tuple[float, float, float]:
    """Seconds of processor time so far: of application, node and this process."""
    return _process_cpu_s(solo.app), _process_cpu_s(solo.node), time.process_time()


def _process_cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _charged(solo: Solo) -> int:
    """Transfers that their senders have paid for: the sum of all nonces."""
    return sum(_nonce(solo, accounts.key(each)) for each in _ids())


def _nonce(solo: Solo, key: bytes) -> int:
    said = solo.rpc("abci_query", path='"/store"', data=f"0x{key.hex()}")["response"]
    return accounts.decode(base64.b64decode(said["value"])).nonce


def _ids() -> list[AccountId]:
    return sorted(accounts.account_id(signing.public_key(seed)) for seed in _seeds())


def _genesis() -> bytes:
    allocations = tuple(genesis.Allocation(each, Amount(10**12)) for each in _ids())
    return genesis.SHAPE.encode(genesis.Genesis(params.DEFAULT, allocations))


def _seeds() -> list[bytes]:
    return [n.to_bytes(32, "big") for n in range(1, ACCOUNTS + 1)]


@cache
def _transfers(count: int, lanes: int) -> list[list[bytes]]:
    """Transfers in a ring of accounts; all of one account's lie in one lane, in order."""
    seeds = _seeds()
    keys = [signing.public_key(seed) for seed in seeds]
    ids = [accounts.account_id(key) for key in keys]
    out: list[list[bytes]] = [[] for _ in range(lanes)]
    for nonce in range(count // ACCOUNTS):
        for at, seed in enumerate(seeds):
            order = transfer.Transfer(ids[(at + 1) % ACCOUNTS], Amount(1))
            envelope = tx.Envelope(
                CHAIN,
                ids[at],
                keys[at],
                Nonce(nonce),
                Amount(COST),
                COST,
                Height(5_000),
                transfer.FAMILY.body(order),
            )
            out[at % lanes].append(tx.build(envelope, seed))
    return out


def _pairs(count: int, lanes: int) -> list[list[bytes]]:
    """Key=value transactions, each of the size of a transfer and with a key of its own."""
    size = len(_transfers(ACCOUNTS, 1)[0][0])
    pairs = [(b"%016x=" % n).ljust(size, b"v") for n in range(count)]
    return [pairs[lane::lanes] for lane in range(lanes)]


def _print(peer: str, load: Load, figures: Figures, solo: Solo) -> None:
    sent = figures.submitted
    print(
        f"{peer:8} {load.name:6} {figures.per_s:8.0f} committed/s   {figures.committed} in "
        f"{figures.blocks} blocks, most {figures.most_in_block}, longest gap "
        f"{figures.longest_gap_s:.1f} s; answered {sent.accepted} + {sent.refused} refused "
        f"+ {sent.turned_away} sent again in "
        f"{sent.took_s:.1f} s; cpu per transfer: app {figures.app_cpu_us:.0f} us, node and rpc "
        f"{figures.node_cpu_us:.0f} us, load {figures.load_cpu_us:.0f} us",
        flush=True,
    )
    if sent.refused:
        print(f"    first refusal: {sent.first_refusal}")
    lost = sent.accepted * load.bundle - figures.committed
    if lost:
        print(f"    LOST: {lost} accepted but not committed")
    for line in _spent(solo):
        print(
            f"    {line['kind']:18} {line['us_per_tx'] or line['us_per_call']:>8} us a "
            f"{'tx  ' if line['us_per_tx'] else 'call'} {line['calls']:>8} calls "
            f"{line['took_us'] / 1e6:6.2f} s"
        )


def _spent(solo: Solo) -> list[Json]:
    path = solo.home / "app.log"
    lines = path.read_text().splitlines() if path.exists() else []
    records: list[Json] = [json.loads(line) for line in lines if line.startswith("{")]
    return [record for record in records if record.get("event") == "time_spent"]


def _report(gave: Mapping[str, Sequence[Figures]]) -> dict[str, object]:
    """The async run is the headline, in transactions of one transfer; the others stand beside."""
    rate = {name: median(each.per_s for each in rounds) for name, rounds in gave.items()}
    cpu = {name: _cpu_us(rounds) for name, rounds in gave.items()}
    ours, peer = rate["dchat-async"], rate["kvstore-async"]
    return {
        "name": "transfers",
        "value": round(ours),
        "unit": "committed signed transfers/s, broadcast_tx_async, one a transaction, median",
        "peer": "CometBFT v0.40.0 in-process kvstore",
        "peer_value": round(peer),
        "ratio": round(ours / peer, 3),
        "rounds": {name: [round(each.per_s) for each in rounds] for name, rounds in gave.items()},
        "bundle_value": round(rate["dchat-bundle"]),
        "bundle_ratio": round(rate["dchat-bundle"] / peer, 3),
        "sync_value": round(rate["dchat-sync"]),
        "sync_peer_value": round(rate["kvstore-sync"]),
        "sync_ratio": round(rate["dchat-sync"] / rate["kvstore-sync"], 3),
        "longest_gap_s": {
            name: max(each.longest_gap_s for each in rounds) for name, rounds in gave.items()
        },
        "app_and_node_cpu_us": cpu,
    }


def _cpu_us(rounds: Sequence[Figures]) -> list[int]:
    """Microseconds a transfer: the application's, and CometBFT's with its RPC."""
    return [
        round(median(each.app_cpu_us for each in rounds)),
        round(median(each.node_cpu_us for each in rounds)),
    ]


if __name__ == "__main__":
    main()
