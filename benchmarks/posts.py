"""What a post costs by itself, and as one of a thousand in a batch.

`just bench posts` takes ten seconds. Ten authors are members of one channel. Measured is a whole
block, from raw bytes to the synced batch on disk, signatures included: first with two hundred posts
one by one, then with one batch of a thousand, a part for each author; the median of many, in
microseconds a post. What is paid for is the same ratio in fees. Expiry is measured by record. The
last line is one JSON object; with `--write` it becomes the baseline.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from abci_chat.machine import MACHINE
from abci_chat.state import channels, epochs, identities, members
from abci_chat.state.channels import Channel, JoinRule, Kind, Policy, Role
from abci_chat.state.epochs import Epoch
from abci_chat.state.members import Member
from abci_chat.state.post_proofs import Part
from abci_chat.txs import expire, post
from benchmarks.report import finish
from dchat.kernel import accounts, machine, params
from dchat.kernel.accounts import Account
from dchat.kernel.codec import Raw
from dchat.kernel.headers import merkle_root
from dchat.kernel.ids import Amount, Cost, EpochMs, Height, Nonce
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from dchat.node.storage import Storage
from tests.fakes.memory import CHAIN, START, MemoryState, Person, signed
from tests.fakes.posting import identity_of

AUTHORS = tuple(Person(bytes([1 + at]) * 32) for at in range(10))
CHANNEL = b"\x0c" * 32
ALONE = 200
TOGETHER = 1000
RECORDS = 100
RUNS = 15
LIMIT = Cost(20_000)


@dataclass(slots=True)
class Bench:
    """A chain on disk, and how far everybody is on it."""

    storage: Storage
    nonces: dict[Person, int]
    counters: dict[Person, int]
    records: list[int]
    """The first number of each record that is there."""
    sequence: int = 1

    def block(self, raws: list[bytes]) -> tuple[float, list[Outcome]]:
        """Carry out a block; return its microseconds and what became of its transactions."""
        height = Height(self.storage.height + 1)
        now = EpochMs(START + 1000 * height)
        context = BlockContext(CHAIN, height, now)
        start = time.perf_counter_ns()
        did = machine.run_block(MACHINE, self.storage.latest(), Block(context, raws), {})
        self.storage.commit(self.storage.stage(height, dict(did.writes)))
        took = (time.perf_counter_ns() - start) / 1000
        refused = [each.reason for each in did.outcomes if each.code]
        if refused:
            raise SystemExit(f"refused: {refused[0]}")
        return took, list(did.outcomes)

    def envelope(self, who: Person, body: tuple[Raw, ...]) -> bytes:
        """Return somebody's next transaction."""
        nonce, until = self.nonces[who], Height(self.storage.height + 50)
        self.nonces[who] += 1
        fee = Amount(LIMIT)
        return signed(who, body, nonce, cost_limit=LIMIT, fee=fee, valid_until_height=until)

    def counted(self, who: Person, count: int) -> int:
        """Return the counter of somebody's next posts."""
        self.counters[who] += count
        return self.counters[who] - count

    def took_record(self, count: int) -> None:
        """Note that a record with so many posts came."""
        self.records.append(self.sequence)
        self.sequence += count


def main() -> None:
    """Measure both ways of posting, and expiry."""
    with tempfile.TemporaryDirectory(prefix="dchat-posts-") as place:
        storage = Storage.open(Path(place) / "state", "leveldb")
        storage.commit(storage.stage(1, dict(begin().writes())))
        bench = Bench(storage, dict.fromkeys(AUTHORS, 0), dict.fromkeys(AUTHORS, 0), [])
        alone, alone_paid = measured(bench, post_alone, ALONE)
        together, together_paid = measured(bench, post_together, TOGETHER)
        expired, expired_paid = measured(bench, expire_records, RECORDS)
        storage.close()
    report: dict[str, object] = {
        "name": "posts",
        "value": together,
        "unit": f"µs a post in a batch of {TOGETHER}",
        "peer": "the same posts one by one",
        "peer_value": alone,
        "ratio": round(together / alone, 4),
        "times_cheaper": round(alone / together, 1),
        "cost_units": {"alone": alone_paid, "together": together_paid, "expire": expired_paid},
        "us_an_expired_record": expired,
        "us_a_batch": round(together * TOGETHER, 1),
    }
    print(f"alone {alone} µs, in a batch {together} µs a post; expiry {expired} µs a record")
    finish(report, write_baseline="--write" in sys.argv)


def measured(bench: Bench, build: Callable[[Bench], list[bytes]], each: int) -> tuple[float, float]:
    """Return the median microseconds, and the cost units, of each one in a block."""
    spans: list[float] = []
    cost = 0.0
    for _ in range(RUNS):
        took, outcomes = bench.block(build(bench))
        spans.append(took / each)
        cost = sum(outcome.cost_used for outcome in outcomes) / each
    return round(median(spans), 2), round(cost, 3)


def post_alone(bench: Bench) -> list[bytes]:
    """Return posts of all authors in turn, a transaction each."""
    raws: list[bytes] = []
    for at in range(ALONE):
        who = AUTHORS[at % len(AUTHORS)]
        form = post.Post(CHANNEL, 1, bench.counted(who, 1), at.to_bytes(32, "big"))
        raws.append(bench.envelope(who, post.POST.body(form)))
        bench.took_record(1)
    return raws


def post_together(bench: Bench) -> list[bytes]:
    """Return one batch, a part for each author."""
    count = TOGETHER // len(AUTHORS)
    root = merkle_root([at.to_bytes(32, "big") for at in range(count)])
    parts = tuple(
        post.sign(
            who.seed,
            CHAIN,
            CHANNEL,
            1,
            Part(who.id, who.public_key, bench.counted(who, count), count, root),
        )
        for who in AUTHORS
    )
    bench.took_record(TOGETHER)
    form = post.PostBatch(CHANNEL, 1, parts)
    return [bench.envelope(AUTHORS[0], post.BATCH.body(form))]


def expire_records(bench: Bench) -> list[bytes]:
    """Return one expiry of as many records as it takes."""
    firsts, bench.records = tuple(bench.records[:RECORDS]), bench.records[RECORDS:]
    form = expire.ExpirePosts(CHANNEL, firsts)
    return [bench.envelope(AUTHORS[0], expire.FAMILY.body(form))]


def begin() -> Draft:
    """Return a channel with all authors in it, whose posts expire at once."""
    draft = Draft(MemoryState())
    params.save(draft, replace(params.DEFAULT, max_block_cost=Cost(10**7)))
    policy = Policy(Role.MEMBER, slow_mode_ms=0, retention_ms=1, join=JoinRule.OPEN)
    now = EpochMs(START)
    record = Channel(Kind.PUBLIC, AUTHORS[0].id, Amount(0), policy, channels.NO_GATE, now, now)
    channels.save(draft, CHANNEL, record)
    epochs.save(draft, CHANNEL, Epoch(1))
    for who in AUTHORS:
        held = Account(who.public_key, 0, Nonce(0), Amount(10**12))
        accounts.save(draft, who.id, held)
        identities.save(draft, who.id, identity_of(who))
        members.save(draft, CHANNEL, who.id, Member(Role.MEMBER, now))
    return draft


if __name__ == "__main__":
    main()
