"""What the blocks of a running chain hold: read over RPC, while it makes more of them."""

from __future__ import annotations

import base64
import hashlib
import time
from datetime import datetime
from itertools import pairwise

from tests.e2e.solo import Json, Solo

QUIET_S = 15.0
"""Nothing committed for so long means that what is missing is lost."""
PAGE = 20
"""Heads that CometBFT gives at once."""


def sizes(solo: Solo, first: int, wanted: int) -> list[int]:
    """Transactions in each block from `first` on, once all wanted are in or none come any more."""
    counts: list[int] = []
    deadline = time.monotonic() + QUIET_S
    while sum(counts) < wanted and time.monotonic() < deadline:
        last = min(solo.height(), first + len(counts) + PAGE - 1)
        if last < first + len(counts):
            time.sleep(0.05)
            continue
        heads = _heads(solo, first + len(counts), last)
        counts += [int(head["num_txs"]) for head in heads]
        if any(int(head["num_txs"]) for head in heads):
            deadline = time.monotonic() + QUIET_S
    return counts


def longest_gap_s(solo: Solo, first: int, last: int) -> float:
    """The most seconds between the headers of two blocks that follow each other."""
    times = [
        datetime.fromisoformat(head["header"]["time"][:26] + "+00:00")
        for at in range(first, last + 1, PAGE)
        for head in _heads(solo, at, min(at + PAGE - 1, last))
    ]
    return max((after - before).total_seconds() for before, after in pairwise(times))


def hashes(solo: Solo, height: int) -> set[str]:
    """The transactions of one block, as CometBFT calls them."""
    txs: list[str] = solo.rpc("block", height=str(height))["block"]["data"]["txs"] or []
    return {hashlib.sha256(base64.b64decode(each)).hexdigest().upper() for each in txs}


def _heads(solo: Solo, first: int, last: int) -> list[Json]:
    answer = solo.rpc("blockchain", minHeight=str(first), maxHeight=str(last))
    return sorted(answer["block_metas"], key=lambda head: int(head["header"]["height"]))
