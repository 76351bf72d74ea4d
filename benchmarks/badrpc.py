"""The pace of blocks while RPC is flooded with requests that no node should take.

    just bench badrpc [--requests N] [--chain currency|chat] [--write-baseline]

A light load of good transactions runs all the time; first alone, then beside bad requests of every
kind on many connections. What counts is the time between blocks, during against before.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.report import finish
from dchat.node.rfc3339 import parse_time
from tests.e2e.bad_requests import BAD, CONNECTIONS, Flood, funded_genesis
from tests.e2e.load import load
from tests.e2e.solo import Solo

PROFILE = {"timeout_commit": '"1s"'}
ALONE_S = 20
LEAST_BLOCKS = 10


def main() -> None:
    """Run one chain, without and with the flood; print both paces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--chain", choices=("currency", "chat"), default="currency")
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder:
        solo = Solo(Path(folder), f"abci_{chosen.chain}", funded_genesis(), settings=PROFILE)
        solo.start()
        try:
            report = _measure(solo, chosen.chain, chosen.requests)
        finally:
            solo.stop(signal.SIGKILL)
    finish(report, write_baseline=chosen.write_baseline)


def _measure(solo: Solo, chain: str, requests: int) -> dict[str, object]:
    solo.wait_for_height(3)
    with load(solo, chain) as good:
        first = solo.height()
        time.sleep(ALONE_S)
        between = solo.height()
        floods, flood_s = _flood(solo, requests, between)
        last = solo.height()
    solo.wait_for_height(last + 2)
    before, during = _gaps_s(solo, first, between), _gaps_s(solo, between, last)
    took = sum((flood.took for flood in floods[1:]), floods[0].took)
    pace, alone = statistics.median(during), statistics.median(before)
    return {
        "name": "badrpc",
        "value": round(pace, 3),
        "unit": "s between blocks under bad requests, median",
        "peer": "the same chain a moment before",
        "peer_value": round(alone, 3),
        "ratio": round(pace / alone, 3),
        "longest_s": round(max(during), 3),
        "longest_alone_s": round(max(before), 3),
        "bad_requests": took.total(),
        "kinds": len(BAD),
        "connections": CONNECTIONS,
        "requests_per_s": round(took.total() / flood_s),
        "hung_up_on": sum(n for name, n in took.items() if name.endswith("hung up")),
        "blocks": last - between,
        "accepted": good.accepted,
        "committed": good.committed_nonce(),
    }


def _flood(solo: Solo, requests: int, start: int) -> tuple[list[Flood], float]:
    """Flood until there are enough requests, and blocks to tell their pace from."""
    floods: list[Flood] = []
    began = time.monotonic()
    while not floods or solo.height() < start + LEAST_BLOCKS:
        flood = Flood(solo.rpc_port, requests)
        flood.run()
        floods.append(flood)
    return floods, time.monotonic() - began


def _gaps_s(solo: Solo, first: int, last: int) -> Sequence[float]:
    times = [_time_ns(solo, height) for height in range(first, last + 1)]
    return [(after - before) / 1e9 for before, after in pairwise(times)]


def _time_ns(solo: Solo, height: int) -> int:
    return parse_time(solo.rpc("block", height=str(height))["block"]["header"]["time"])


if __name__ == "__main__":
    main()
