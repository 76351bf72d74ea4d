"""The economy at scale: genesis, what blocks owe, and a mixed load, as delegators grow.

    just bench economy [--accounts N] [--rounds N] [--write-baseline]

A hundred validators vote. What blocks owe is measured at each number of delegations, with as many
accounts at all of them, for what the database takes grows with those. Then a million accounts. Each
is a genesis of its own, loaded into a database as CometBFT has it done, by a process of its own
whose memory is measured. On the last one's state, blocks of transfers alone and blocks of 70 %
transfers, 20 % delegations and 10 % withdrawals take turns; each transaction passes CheckTx, is
executed, staged and committed. Delegations alone and withdrawals alone show what the difference
comes from. Times are medians: of the clock, and of the processor where `cpu` is in the name, which
says more on a busy machine; what blocks owe is of the processor. The headline is the mixed load's
transactions a second to those of transfers alone. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from google.protobuf.timestamp_pb2 import Timestamp

from abci_currency import genesis as currency
from abci_currency.hooks import active_set, fees
from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS
from abci_currency.state import rewards, slashing
from abci_currency.state.liability import Fault
from abci_currency.state.slashing import Charge
from benchmarks import stakers
from benchmarks.counted import Counted
from benchmarks.report import finish
from benchmarks.stakers import CHAIN, SELF_STAKE, Kind
from benchmarks.tree import memory_mib
from dchat.kernel.ids import Amount, EpochMs, Height
from dchat.kernel.machine import BlockContext, Vote
from dchat.kernel.store import Draft
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.storage import Storage
from tests.fakes.consensus import GENESIS_S

DELEGATIONS = (100, 10_000, 100_000)
CURVE_ACCOUNTS = 200_000
RUNS = 60
ROUNDS = 12
MIB = 1 << 20
FEES = Amount(2_000_000)
NOW = EpochMs(GENESIS_S * 1_000 + 60_000)
MIX: Sequence[Kind] = (
    *[stakers.transfers] * 7,
    *[stakers.delegations] * 2,
    stakers.withdrawals,
)
LOADS: dict[str, Sequence[Kind]] = {
    "transfers": (stakers.transfers,),
    "mixed": MIX,
    "delegations": (stakers.delegations,),
    "withdrawals": (stakers.withdrawals,),
}

Figures = dict[str, float]


def main() -> None:
    """Measure every size, then the loads on the largest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write-baseline", action="store_true")
    chosen = parser.parse_args()
    hooks: dict[int, Figures] = {}
    for count in DELEGATIONS:
        with begun(CURVE_ACCOUNTS, count) as (storage, _):
            hooks[count] = owed(storage)
            show(f"{count} delegations, us", hooks[count])
    with begun(chosen.accounts, min(DELEGATIONS[-1], chosen.accounts // 10)) as (storage, took):
        show(f"{chosen.accounts} accounts", took)
        took |= {f"{name}_us": each for name, each in owed(storage).items()}
        loads = run_loads(storage, chosen.rounds)
    finish(report(took, hooks, loads), write_baseline=chosen.write_baseline)


def show(what: str, figures: Figures) -> None:
    """Print figures in one line."""
    print(f"{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)


def report(
    took: Figures, hooks: dict[int, Figures], loads: dict[str, Figures]
) -> dict[str, object]:
    """Return all of it."""
    alone, mixed = loads["transfers"], loads["mixed"]
    first, last = hooks[min(hooks)], hooks[max(hooks)]
    return {
        "name": "economy",
        "value": mixed["per_s"],
        "unit": "transactions/s of the mixed load, CheckTx to Commit, one thread",
        "peer": "transfers alone in the same run",
        "peer_value": alone["per_s"],
        "ratio": round(mixed["per_s"] / alone["per_s"], 3),
        "cpu_ratio": round(alone["cpu_us"] / mixed["cpu_us"], 3),
        "cost_unit_ratio": round(alone["us_a_cost_unit"] / mixed["us_a_cost_unit"], 3),
        "cpu_cost_unit_ratio": round(alone["cpu_us_a_cost_unit"] / mixed["cpu_us_a_cost_unit"], 3),
        "loads": loads,
        "hooks_growth": {name: round(last[name] / first[name], 2) for name in last},
        "hooks_us": hooks,
        "genesis": took,
        "load_average": round(os.getloadavg()[0], 1),
    }


# What it takes to begin


@contextmanager
def begun(holders: int, delegations: int) -> Generator[tuple[Storage, Figures]]:
    """Yield the state that a chain begins with, and what it took to begin."""
    with tempfile.TemporaryDirectory(prefix="dchat-economy-") as folder:
        place = Path(folder) / "init-chain"
        took = begin(place, holders, delegations)
        with closing(Storage.open(state_of(place))) as storage:
            yield storage, took


def begin(place: Path, holders: int, delegations: int) -> Figures:
    """Begin a chain; what is written beforehand counts neither as time nor as memory."""
    apart(write, place, holders, delegations)
    decoded, loaded = apart(decode, place), apart(load, place)
    sizes = {
        "accounts": holders,
        "canonical_mib": round(stakers.canonical(place).stat().st_size / MIB, 1),
        "request_mib": round(place.stat().st_size / MIB, 1),
    }
    return {**sizes, **decoded, **loaded}


def apart(work: Callable[..., Figures], *given: object) -> Figures:
    """Return what work gives in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    answer, question = spawn.Pipe(duplex=False)
    worker = spawn.Process(target=_answer, args=(question, work, given))
    worker.start()
    question.close()
    found: Figures = answer.recv()
    worker.join()
    return found


def _answer(to: Connection, work: Callable[..., Figures], given: Sequence[object]) -> None:
    to.send(work(*given))


def write(place: Path, holders: int, delegations: int) -> Figures:
    """Write the genesis."""
    stakers.write(place, holders, delegations)
    return {}


def decode(place: Path) -> Figures:
    """Decode a genesis and check it."""
    state = stakers.canonical(place).read_bytes()
    took = timed(lambda: currency.decode(state))
    return {"decode_s": took.wall_s, "decode_cpu_s": took.cpu_s, "decode_peak_mib": peak_mib()}


def load(place: Path) -> Figures:
    """Begin the chain, up to the first block on disk."""
    with closing(Storage.open(state_of(place))) as storage:
        node = Node(MACHINE, storage)
        begun = timed(lambda: node.init_chain(pb.RequestInitChain.FromString(place.read_bytes())))
        first = timed(lambda: next_block(node, 1, ()))
        return {
            "init_chain_s": begun.wall_s,
            "first_block_s": first.wall_s,
            "load_s": round(begun.wall_s + first.wall_s, 2),
            "load_cpu_s": round(begun.cpu_s + first.cpu_s, 2),
            "load_peak_mib": peak_mib(),
        }


def state_of(place: Path) -> Path:
    """Return where the state is."""
    return place.with_name("state")


def peak_mib() -> int:
    """Return the most resident memory that this process has had."""
    return memory_mib()["peak_resident_mib"]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds, by the clock and of the processor."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], object]) -> Took:
    """Return what work takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Took(round(time.perf_counter() - wall, 3), round(time.process_time() - cpu, 3))


# What every block owes


def owed(storage: Storage) -> Figures:
    """Return the microseconds of what blocks owe, each the median of runs on what disk has.

    Beside each stands how many entries of the state it looks at, which is the same on any machine.
    """
    found: Figures = {}
    for name, step in steps(Height(storage.height + 1)).items():
        found[name] = median_us(storage, step)
        found[f"{name}_reads"] = reads(storage, step)
    return found


def steps(height: Height) -> dict[str, Callable[[Draft], object]]:
    """Return what blocks owe, by name."""
    empty = BlockContext(CHAIN, height, NOW)
    voted = replace(empty, last_commit=voters())
    operator = stakers.operators()[0]
    charge = Charge(Fault.DUPLICATE_VOTE, Height(1), SELF_STAKE, 500)
    return {
        "begin": lambda draft: begin_block(draft, empty),
        "begin_100_votes": lambda draft: begin_block(draft, voted),
        "fees": lambda draft: fees.take(draft, {operator: FEES}, empty),
        "updates": lambda draft: active_set.updates(draft, empty),
        "slash": lambda draft: slashing.slash(draft, operator, charge, voted),
        "epoch": lambda draft: rewards.accrue(draft, EpochMs(NOW + DAY_MS)),
        "withdrawal": withdrawal,
    }


def reads(storage: Storage, step: Callable[[Draft], object]) -> int:
    """Return how many entries of the state a step looks at."""
    counted = Counted(storage.working())
    step(Draft(counted))
    return counted.reads


def voters() -> tuple[Vote, ...]:
    """Return that every validator has signed."""
    members = [each.validator for each in stakers.votes().votes]
    return tuple([Vote(each.address, each.power, present=True) for each in members])


def begin_block(draft: Draft, context: BlockContext) -> None:
    """Do what comes before the transactions."""
    for hook in MACHINE.begin_block:
        hook(draft, context)


def withdrawal(draft: Draft) -> None:
    """Withdraw what one delegator has earned by a block's fees."""
    rewards.share_out(draft, Amount(1_000 * FEES))
    if not rewards.claim(draft, stakers.signer(0), stakers.operator_of(0)):
        raise SystemExit("there was nothing to withdraw")


def median_us(storage: Storage, step: Callable[[Draft], object]) -> float:
    """Return what a step takes in a block of its own, nothing of the state read before."""
    spans: list[int] = []
    for _ in range(RUNS):
        storage.commit(storage.stage(storage.height + 1, {}))
        draft = Draft(storage.working())
        start = time.thread_time_ns()
        step(draft)
        spans.append(time.thread_time_ns() - start)
    return round(median(spans) / 1_000, 1)


# Transfers alone, and beside stake


def run_loads(storage: Storage, rounds: int) -> dict[str, Figures]:
    """Let blocks of each load take turns, and return what a transaction takes in each."""
    node, orders = Node(MACHINE, storage), stakers.Orders()
    took: dict[str, list[Took]] = {name: [] for name in LOADS}
    used: dict[str, int] = {}
    for _ in range(rounds + 1):
        for name, kinds in LOADS.items():
            txs = orders.of(kinds)
            spent, used[name] = block(node, storage.height + 1, txs)
            took[name].append(spent)
    found = {name: figures(took[name][1:], used[name]) for name in LOADS}
    for name, each in found.items():
        show(name, each)
    return found


def block(node: Node, height: int, txs: Sequence[bytes]) -> tuple[Took, int]:
    """Return what the transactions took from CheckTx to Commit, and the cost units they used."""
    costs: list[int] = []

    def run() -> None:
        node.foresee(txs)
        codes = {node.check_tx(pb.RequestCheckTx(tx=raw)).code for raw in txs}
        answer = next_block(node, height, txs)
        codes |= {each.code for each in answer.tx_results}
        if codes != {0}:
            raise SystemExit(f"refused: {codes}")
        costs.extend(each.gas_used for each in answer.tx_results)

    return timed(run), sum(costs)


def next_block(node: Node, height: int, txs: Sequence[bytes]) -> pb.ResponseFinalizeBlock:
    """Execute and commit a block that everybody signed the last one of."""
    answer = node.finalize_block(
        pb.RequestFinalizeBlock(
            height=height,
            time=Timestamp(seconds=GENESIS_S + height),
            txs=txs,
            decided_last_commit=stakers.votes() if height > 1 else None,
        )
    )
    node.commit(pb.RequestCommit())
    return answer


def figures(took: Sequence[Took], cost: int) -> Figures:
    """Return what a transaction takes, of blocks of one load."""
    wall, cpu = (median(spans) for spans in ([t.wall_s for t in took], [t.cpu_s for t in took]))
    return {
        "per_s": round(stakers.SIGNERS / wall),
        "us": round(wall / stakers.SIGNERS * 1e6, 1),
        "cpu_us": round(cpu / stakers.SIGNERS * 1e6, 1),
        "cost_units": round(cost / stakers.SIGNERS, 1),
        "us_a_cost_unit": round(wall / cost * 1e6, 3),
        "cpu_us_a_cost_unit": round(cpu / cost * 1e6, 3),
    }


if __name__ == "__main__":
    main()
