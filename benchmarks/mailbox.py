"""Deposits a second with durable receipts, beside SQLite's own group commits in the same run.

    just bench mailbox [--deposits N] [--clients N] [--write-baseline]

Each side stores the same 2 KiB envelopes with the same pragmas. `raw` inserts them in batches of
256, one synced transaction each, in one thread: the disk's ceiling. `relay` is the whole relay
without libp2p: sessions, checks, quotas, group commit, signed receipts, over links in memory with
a full window per client. `pull` gives everything out again and acknowledges it, page by page. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from benchmarks.report import finish
from dchat.node import log
from dchat.node.clock import SystemClock
from relay.core.desk import Desk
from relay.core.envelope import SIZE_CLASSES
from relay.core.limits import Limits, Rate
from relay.core.messages import Custody, Deposit, Page, encode
from relay.core.queue import Queue
from relay.net.meter import Meter
from relay.net.pump import MAX_BATCH, Pump
from relay.net.schema import open_database
from relay.net.server import Server
from relay.net.store import Store
from tests.fakes.links import link_pair
from tests.fakes.mailbox_user import MailboxUser

FREE = Rate(per_minute=10**9, burst=10**9)
LIMITS = Limits(
    max_queue_size=10**6, max_queue_bytes=10**11, requests=FREE, traffic=FREE, max_meters=64
)


def main() -> None:
    """Measure both sides and print them; `--write-baseline` stores the figures."""
    parser = argparse.ArgumentParser(prog="just bench mailbox")
    parser.add_argument("--deposits", type=int, default=8_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--write-baseline", action="store_true")
    args = parser.parse_args()
    log.configure(log.settings("warn", {}, json_logs=False))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as home:
        raw = measure_raw(Path(home) / "raw.db", args.deposits)
        deposits, pulls = trio.run(
            measure_relay, Path(home) / "relay.db", args.deposits, args.clients
        )
    print(f"raw     {raw:8,.0f} inserts/s in batches of {MAX_BATCH}")
    print(f"relay   {deposits:8,.0f} deposits/s receipted, {deposits / raw:.2f} of raw")
    print(f"pull    {pulls:8,.0f} envelopes/s read and acknowledged")
    figures: dict[str, object] = {
        "name": "mailbox",
        "value": round(deposits),
        "unit": "deposits/s with a durable receipt",
        "peer": "raw SQLite inserts in the same group commits",
        "peer_value": round(raw),
        "ratio": round(deposits / raw, 3),
        "pulled_per_s": round(pulls),
        "deposits": args.deposits,
        "clients": args.clients,
    }
    finish(figures, write_baseline=args.write_baseline)


def measure_raw(path: Path, count: int) -> float:
    """Return inserts a second."""
    connection = open_database(path)
    rows = [(*(secrets.token_bytes(32) for _ in range(3)), bytes(SIZE_CLASSES[0]))] * MAX_BATCH
    begin = time.perf_counter()
    for first in range(0, count, MAX_BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO envelopes(mailbox_id, message_id, expires_at_ms, accepted_at_ms,"
            " size_class, ciphertext_hash, ciphertext) VALUES(?, ?, 9, 1, 0, ?, ?)",
            [
                (row[0], (first + at).to_bytes(32, "big"), row[2], row[3])
                for at, row in enumerate(rows)
            ],
        )
        connection.execute("COMMIT")
    spent = time.perf_counter() - begin
    connection.close()
    return -(-count // MAX_BATCH) * MAX_BATCH / spent


async def measure_relay(path: Path, count: int, clients: int) -> tuple[float, float]:
    """Return deposits a second and envelopes pulled a second."""
    store = Store(path, LIMITS)
    async with trio.open_nursery() as nursery:
        pump = Pump(store)
        desk = Desk(b"r" * 32, LIMITS, Queue(LIMITS))
        server = Server(desk, pump, SystemClock(), Meter(CollectorRegistry()))
        nursery.start_soon(pump.run, server.settled)
        begin = time.perf_counter()
        async with trio.open_nursery() as crowd:
            for client in range(clients):
                crowd.start_soon(_deposit, server, client, count // clients)
        stored = time.perf_counter()
        async with trio.open_nursery() as crowd:
            for client in range(clients):
                crowd.start_soon(_pull, server, client)
        pulled = time.perf_counter()
        nursery.cancel_scope.cancel()
    store.close()
    total = count // clients * clients
    return total / (stored - begin), total / (pulled - stored)


@asynccontextmanager
async def _user(server: Server, client: int) -> AsyncGenerator[MailboxUser]:
    mine, theirs = link_pair(client=f"client {client}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, theirs)
        yield await MailboxUser.meet(mine, client.to_bytes(32, "big"))
        await mine.aclose()


async def _deposit(server: Server, client: int, count: int) -> None:
    async with _user(server, client) as user, trio.open_nursery() as nursery:
        window = trio.Semaphore(LIMITS.max_in_flight)

        async def take_receipts() -> None:
            for _ in range(count):
                if not isinstance(await user.answer(), Custody):
                    raise SystemExit("a deposit was refused: the figures mean nothing")
                window.release()

        nursery.start_soon(take_receipts)
        for number in range(count):
            await window.acquire()
            request = Deposit(number, user.envelope(number.to_bytes(32, "big")))
            await user.link.send(encode(request))


async def _pull(server: Server, client: int) -> None:
    async with _user(server, client) as user:
        while True:
            page = await user.pull()
            if not isinstance(page, Page) or not page.items:
                return
            await user.ack(page)


if __name__ == "__main__":
    main()
