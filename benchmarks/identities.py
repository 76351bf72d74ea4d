"""What identities and handles cost a chain that has many already, and a look-up with its proof.

`just bench identities` takes half a minute with 10,000 identities beforehand; `--people N` for
another number. Measured is a whole block of a hundred transactions of one kind, from raw bytes to
the synced batch on disk, signatures included: the median, in microseconds a transaction. The last
line is one JSON object; with `--write` it becomes the baseline.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median

from abci_chat import keys
from abci_chat.machine import MACHINE
from abci_chat.state import handles, identities
from abci_chat.state.handles import Handle
from abci_chat.state.identities import Identity
from abci_chat.txs import handle, identity
from benchmarks.report import finish
from dchat.kernel import accounts, machine
from dchat.kernel.accounts import Account
from dchat.kernel.ids import AccountId, Amount, Cost, EpochMs, Height, Nonce
from dchat.kernel.machine import Block, BlockContext
from dchat.kernel.store import Draft
from dchat.node.storage import Storage
from tests.fakes import orders
from tests.fakes.memory import CHAIN, START, MemoryState, Person, signed

EACH = 100
ROUNDS = 5
SALT = bytes(32)
LIMIT = Cost(2000)
FILL = 5_000
Body = orders.Body


@dataclass(slots=True)
class Bench:
    """A chain on disk, and whose nonce is where."""

    storage: Storage
    nonces: dict[Person, int] = field(default_factory=dict[Person, int])
    cost: int = 0

    def block(self, people: list[Person], order: Callable[[Person], Body]) -> float:
        """Carry out one order of everybody; return microseconds for each."""
        raws = [self._signed(who, order(who)) for who in people]
        height = Height(self.storage.height + 1)
        context = BlockContext(CHAIN, height, EpochMs(START + 1000 * height), block_hash=SALT)
        start = time.perf_counter_ns()
        did = machine.run_block(MACHINE, self.storage.latest(), Block(context, raws), {})
        self.storage.commit(self.storage.stage(height, dict(did.writes)))
        took = (time.perf_counter_ns() - start) / 1000
        refused = [each.reason for each in did.outcomes if each.code]
        if refused:
            raise SystemExit(f"refused: {refused[0]}")
        self.cost = did.outcomes[0].cost_used
        return took / len(raws)

    def _signed(self, who: Person, body: Body) -> bytes:
        nonce, until = self.nonces.get(who, 0), Height(self.storage.height + 50)
        self.nonces[who] = nonce + 1
        return signed(who, body, nonce, cost_limit=LIMIT, valid_until_height=until)


def name_of(who: Person) -> str:
    """Return the handle that somebody takes."""
    return "h" + who.seed.hex()[:20]


STEPS: tuple[tuple[str, Callable[[Person], Body]], ...] = (
    ("commit_handle", lambda who: orders.commitment(who, name_of(who), SALT)),
    ("register_identity", lambda who: orders.registration(who, name_of(who), SALT)),
    ("update_prekeys", lambda _: identity.UPDATE_PREKEYS.body(identity.UpdatePrekeys(SALT))),
    ("release_handle", lambda _: handle.RELEASE.body(handle.ReleaseHandle())),
    ("commit again", lambda who: orders.commitment(who, name_of(who) + "x", SALT)),
    ("claim_handle", lambda who: handle.CLAIM.body(handle.ClaimHandle(name_of(who) + "x", SALT))),
    ("deactivate_identity", lambda _: identity.DEACTIVATE.body(identity.Deactivate())),
)


def main() -> None:
    """Fill a chain, and measure."""
    people = int(sys.argv[sys.argv.index("--people") + 1]) if "--people" in sys.argv else 10_000
    with tempfile.TemporaryDirectory(prefix="dchat-identities-") as place:
        storage = Storage.open(Path(place) / "state", "leveldb")
        for height, writes in enumerate(filled(people), 1):
            storage.commit(storage.stage(Height(height), writes))
        report = measured(Bench(storage), people)
        storage.close()
    finish(report, write_baseline="--write" in sys.argv)


def measured(bench: Bench, people: int) -> dict[str, object]:
    """Return what each step takes, and a look-up with its proof."""
    spans: dict[str, list[float]] = {name: [] for name, _ in STEPS}
    units: dict[str, int] = {}
    for at in range(ROUNDS):
        group = [somebody(at * EACH + one) for one in range(EACH)]
        for name, order in STEPS:
            spans[name].append(bench.block(group, order))
            units[name] = bench.cost
    steps = {name: round(median(each), 1) for name, each in spans.items()}
    looked_up = round(median(look_up(bench.storage, at) for at in range(200)), 1)
    print({name: (took, units[name]) for name, took in steps.items()}, f"look-up {looked_up}")
    return {
        "name": "identities",
        "value": steps["register_identity"],
        "unit": f"µs a registration with {people} identities",
        "peer": "a new prekey commitment",
        "peer_value": steps["update_prekeys"],
        "ratio": round(steps["register_identity"] / steps["update_prekeys"], 2),
        "us": steps,
        "cost_units": units,
        "us_a_look_up_with_proofs": looked_up,
    }


def look_up(storage: Storage, at: int) -> float:
    """Return the microseconds that a handle and its identity take, each with a proof."""
    owner, name = stranger(at), f"stranger_{at}"
    start = time.perf_counter_ns()
    view = storage.latest()
    for key in (keys.handle(handles.skeleton(name)), keys.identity(owner)):
        if view.get(key) is None:
            raise SystemExit("somebody is missing")
        view.prove(key).encode()
    return (time.perf_counter_ns() - start) / 1000


def somebody(at: int) -> Person:
    """Return a person who can pay."""
    return Person(sha256(at.to_bytes(8, "big")).digest())


def stranger(at: int) -> AccountId:
    """Return the account of one of those who are there already."""
    return AccountId(sha256(b"stranger" + at.to_bytes(8, "big")).digest())


def filled(people: int) -> Iterator[dict[bytes, bytes | None]]:
    """Yield the writes of blocks that leave so many identities with handles, and payers."""
    draft = Draft(MemoryState())
    for at in range(EACH * ROUNDS):
        accounts.save(draft, somebody(at).id, Account(b"", 0, Nonce(0), Amount(10**9)))
    yield dict(draft.writes())
    for first in range(0, people, FILL):
        draft = Draft(MemoryState())
        for at in range(first, min(first + FILL, people)):
            owner, name = stranger(at), f"stranger_{at}"
            record = Identity(name, SALT, SALT, (orders.RELAY,), SALT, Height(1))
            identities.save(draft, owner, record)
            draft.put(keys.handle(handles.skeleton(name)), Handle(name, owner))
        yield dict(draft.writes())


if __name__ == "__main__":
    main()
