"""Signed transfers a second on one validator, beside CometBFT's kvstore loaded the same way.

    just bench transfers [--async-txs N] [--sync-txs N] [--write-baseline]

Both sides get as many transactions of the same size over the same connections, and the
configuration of CometBFT that `dchat validator` writes. A transaction counts once a block holding
it is committed and nothing that was answered with code 0 may be missing. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abci_currency.txs import transfer
from benchmarks import blocks
from benchmarks.lanes import Submitted, encode, send
from benchmarks.report import finish
from dchat.kernel import accounts, genesis, params, signing, tx
from dchat.kernel.ids import Amount, ChainId, Height, Nonce
from dchat.kernel.machine import cost_of
from dchat.node.address import Address
from dchat.node.config import Consensus
from dchat.operator import home
from tests.e2e.solo import Json, Solo

CHAIN = ChainId("bench-1")
ACCOUNTS = 200
ASYNC_TXS = 100_000
"""What fits into one block tells of a pause, not of a rate; the mempool must hold what is sent."""
ASYNC_LANES = 4
ASYNC_BATCH = 100
"""Calls in one HTTP request. Operators have 10; more here keeps the load itself cheap."""
SYNC_LANES = 200
COST = cost_of(200, transfer.FAMILY.cost)
"""Transfers without memo are a little under 200 bytes."""
TIMES = Consensus(timeout_commit=1_000, create_empty_blocks=True)
"""A block a second; the rest is as every operator has it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    per_s: float
    committed: int
    blocks: int
    most_in_block: int
    longest_gap_s: float
    submitted: Submitted
    app_cpu_us: float
    node_cpu_us: float
    load_cpu_us: float
    """Processor time a transaction that the load itself took; it is taken from both sides."""


def main() -> None:
    """Run all four, print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--async-txs", type=int, default=ASYNC_TXS)
    parser.add_argument("--sync-txs", type=int, default=12_000)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    results: dict[str, Figures] = {}
    for method, count in (("async", chosen.async_txs), ("sync", chosen.sync_txs)):
        lanes = ASYNC_LANES if method == "async" else SYNC_LANES
        for peer in ("kvstore", "dchat"):
            txs = _transfers(count, lanes) if peer == "dchat" else _pairs(count, lanes)
            results[f"{peer}-{method}"] = _run(peer, method, txs)
    finish(_report(results), write_baseline=chosen.write_baseline)


def _run(peer: str, method: str, lanes: Sequence[Sequence[bytes]]) -> Figures:
    batch = ASYNC_BATCH if method == "async" else 1
    requests = [encode(f"broadcast_tx_{method}", txs, batch) for txs in lanes]
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder:
        solo = _chain(peer, Path(folder))
        try:
            if peer == "dchat":
                solo.start_app()
            solo.start_node()
            solo.wait_for_height(2)
            figures = _measure(solo, requests)
            solo.stop()
            _print(peer, method, figures, solo)
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
        "rpc": {**tables["rpc"], "max_request_batch_size": ASYNC_BATCH},
        "mempool": {**tables["mempool"], "size": ASYNC_TXS, "cache_size": 2 * ASYNC_TXS},
    }
    if peer == "kvstore":
        tables = {**tables, "": {**tables[""], "proxy_app": "kvstore"}}
    (solo.home / "config" / "config.toml").write_text(home.as_toml(tables))
    return solo


def _measure(solo: Solo, requests: Sequence[Sequence[bytes]]) -> Figures:
    first = solo.height() + 1
    busy_before = _cpu_s(solo)
    started = time.perf_counter()
    submitted = send(solo.rpc_port, requests)
    sizes = blocks.sizes(solo, first, submitted.accepted)
    took_s = time.perf_counter() - started
    app, node, load = (
        after - before for after, before in zip(_cpu_s(solo), busy_before, strict=True)
    )
    committed = sum(sizes)
    return Figures(
        per_s=committed / took_s,
        committed=committed,
        blocks=sum(1 for size in sizes if size),
        most_in_block=max(sizes),
        longest_gap_s=blocks.longest_gap_s(solo, first - 1, solo.height()),
        submitted=submitted,
        app_cpu_us=app / committed * 1e6,
        node_cpu_us=node / committed * 1e6,
        load_cpu_us=load / committed * 1e6,
    )


def _cpu_s(solo: Solo) -> tuple[float, float, float]:
    """Seconds of processor time so far: of application, node and this process."""
    return _process_cpu_s(solo.app), _process_cpu_s(solo.node), time.process_time()


def _process_cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _genesis() -> bytes:
    ids = sorted(accounts.account_id(signing.public_key(seed)) for seed in _seeds())
    allocations = tuple(genesis.Allocation(each, Amount(10**12)) for each in ids)
    return genesis.SHAPE.encode(genesis.Genesis(params.DEFAULT, allocations))


def _seeds() -> list[bytes]:
    return [n.to_bytes(32, "big") for n in range(1, ACCOUNTS + 1)]


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


def _print(peer: str, method: str, figures: Figures, solo: Solo) -> None:
    sent = figures.submitted
    print(
        f"{peer:8} {method:5} {figures.per_s:8.0f} committed/s   {figures.committed} in "
        f"{figures.blocks} blocks, most {figures.most_in_block}, longest gap "
        f"{figures.longest_gap_s:.1f} s; answered {sent.accepted} + {sent.refused} refused in "
        f"{sent.took_s:.1f} s; cpu per tx: app {figures.app_cpu_us:.0f} us, node and rpc "
        f"{figures.node_cpu_us:.0f} us, load {figures.load_cpu_us:.0f} us"
    )
    if sent.refused:
        print(f"    first refusal: {sent.first_refusal}")
    if figures.committed < sent.accepted:
        print(f"    LOST: {sent.accepted - figures.committed} accepted but not committed")
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


def _report(results: dict[str, Figures]) -> dict[str, object]:
    """The async run is the headline; sync stands beside it."""
    ours, peer = results["dchat-async"].per_s, results["kvstore-async"].per_s
    return {
        "name": "transfers",
        "value": round(ours),
        "unit": "committed signed transfers/s, broadcast_tx_async",
        "peer": "CometBFT v0.40.0 in-process kvstore",
        "peer_value": round(peer),
        "ratio": round(ours / peer, 3),
        "sync_value": round(results["dchat-sync"].per_s),
        "sync_peer_value": round(results["kvstore-sync"].per_s),
        "sync_ratio": round(results["dchat-sync"].per_s / results["kvstore-sync"].per_s, 3),
        "longest_gap_s": results["dchat-async"].longest_gap_s,
        "app_cpu_us": round(results["dchat-async"].app_cpu_us),
        "node_cpu_us": round(results["dchat-async"].node_cpu_us),
        "peer_cpu_us": round(results["kvstore-async"].node_cpu_us),
    }


if __name__ == "__main__":
    main()
