"""The state tree: blocks of 2,000 changed keys, look-ups with proof, disk and memory.

`just bench tree` measures at 10^4 and 10^5 leaves, `just bench tree 1000000` at a number of your
own (10^6 takes two minutes), `just bench tree rocksdb 1000000` another backend than LevelDB. The
last line is one JSON object for the last of the numbers.

A block's keys are read, as its execution would; then it is staged (tree and undo record, no write)
and committed (one synced batch). The peer is the same 2,000 changes on the same state, staged one
key at a time. `cpu` is the thread's processor time: it says more where the machine is busy, and so
does `node_hash_us`, what a hash of a node costs there at that moment: a changed key needs fourteen.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median, quantiles

from benchmarks.report import finish
from dchat.kernel.codec import pack
from dchat.kernel.merkle.hashing import EMPTY_ROOT, node_hash
from dchat.node.storage import BACKENDS, StateView, Storage

BLOCK = 2_000
WARM_UP = 3
BLOCKS = 12
LOOK_UPS = 2_000
VALUE_BYTES = 90
HASHES = 50_000
DEFAULT_LEAVES = (10_000, 100_000)

Changes = dict[bytes, bytes | None]


def main() -> None:
    """Measure at every number of leaves named on the command line."""
    words = [word for word in sys.argv[1:] if word != "--write-baseline"]
    backend = next((word for word in words if word in BACKENDS), "leveldb")
    counts = [int(word.replace("_", "")) for word in words if word not in BACKENDS]
    report: dict[str, object] = {}
    for leaves in counts or DEFAULT_LEAVES:
        report = measure(leaves, backend)
        print(", ".join(f"{name} {value}" for name, value in report.items()))
    finish(report, write_baseline="--write-baseline" in sys.argv)


def measure(leaves: int, backend: str) -> dict[str, object]:
    """Return the figures for a state of this many leaves, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="dchat-tree-") as place:
        storage = Storage.open(Path(place) / "state", backend)
        built_s = timed(lambda: fill(storage, leaves))
        chance = Random(leaves)
        blocks = [block(storage, chance, leaves) for _ in range(WARM_UP + BLOCKS)][WARM_UP:]
        staged = median(took.stage_us for took in blocks)
        one_by_one = one_by_one_us(storage, chance, leaves)
        back = storage.at(storage.height - 10)
        figures: dict[str, object] = {
            "name": "tree",
            "value": round(staged, 1),
            "unit": f"us a key, staged in blocks of {BLOCK} at {leaves} leaves",
            "peer": "the same changes staged one key at a time",
            "peer_value": round(one_by_one, 1),
            "ratio": round(one_by_one / staged, 2),
            "backend": backend,
            "node_hash_us": round(timed(hash_nodes) / HASHES * 1e6, 2),
            "stage_cpu_us": round(median(took.stage_cpu_us for took in blocks), 1),
            "stage_best_us": round(min(took.stage_us for took in blocks), 1),
            "read_us": round(median(took.read_us for took in blocks), 1),
            "commit_us": round(median(took.commit_us for took in blocks), 1),
            "commit_cpu_us": round(median(took.commit_cpu_us for took in blocks), 1),
            "look_up_p99_us": p99_us(storage.latest(), chance, leaves),
            "look_up_10_blocks_back_p99_us": p99_us(back, chance, leaves),
            "build_s": round(built_s, 1),
            "disk_bytes_a_leaf": disk_bytes(Path(place)) // leaves,
            **memory_mib(),
        }
        storage.close()
    return figures


def key(number: int) -> bytes:
    """Return a state key of the usual form."""
    return pack(("account", sha256(b"%d" % number).digest()))


def fill(storage: Storage, leaves: int) -> None:
    """Write that many leaves, block by block."""
    chance = Random(0)
    for start in range(0, leaves, BLOCK):
        numbers = range(start, min(start + BLOCK, leaves))
        commit(storage, {key(number): chance.randbytes(VALUE_BYTES) for number in numbers})


def commit(storage: Storage, changes: Changes) -> None:
    """Make the changes in one block."""
    storage.commit(storage.stage(storage.height + 1, changes))


def chosen(chance: Random, leaves: int) -> Changes:
    """Return new values for a block's worth of keys."""
    numbers = chance.sample(range(leaves), BLOCK)
    return {key(number): chance.randbytes(VALUE_BYTES) for number in numbers}


@dataclass(frozen=True, slots=True)
class Took:
    """What a key of one block cost, step by step."""

    read_us: float
    stage_us: float
    stage_cpu_us: float
    commit_us: float
    commit_cpu_us: float


def block(storage: Storage, chance: Random, leaves: int) -> Took:
    """Change a block's worth of keys as a node does."""
    changes = chosen(chance, leaves)
    view = storage.working()
    marks = [time.perf_counter()]
    for name in changes:
        view.get(name)
    marks.append(time.perf_counter())
    cpu = time.thread_time()
    staged = storage.stage(storage.height + 1, changes)
    cpu = time.thread_time() - cpu
    marks.append(time.perf_counter())
    commit_cpu = time.thread_time()
    storage.commit(staged)
    commit_cpu = time.thread_time() - commit_cpu
    marks.append(time.perf_counter())
    read, stage, write = ((end - start) / BLOCK * 1e6 for start, end in pairwise(marks))
    return Took(read, stage, cpu / BLOCK * 1e6, write, commit_cpu / BLOCK * 1e6)


def one_by_one_us(storage: Storage, chance: Random, leaves: int) -> float:
    """Return what a key costs where every change is a batch of its own."""
    changes = list(chosen(chance, leaves).items())

    def stage_each() -> None:
        for name, value in changes:
            storage.stage(storage.height + 1, {name: value})

    storage.stage(storage.height + 1, dict(changes))
    return timed(stage_each) / BLOCK * 1e6


def p99_us(view: StateView, chance: Random, leaves: int) -> int:
    """Return the 99th percentile of reading a value with its proof."""
    names = [key(number) for number in chance.choices(range(leaves), k=LOOK_UPS)]
    times = [timed(lambda name=name: (view.get(name), view.prove(name))) for name in names]
    return round(quantiles(times, n=100)[98] * 1e6)


def hash_nodes() -> None:
    """Hash as many nodes as `HASHES` says."""
    for _ in range(HASHES):
        node_hash(EMPTY_ROOT, EMPTY_ROOT)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def disk_bytes(place: Path) -> int:
    """Return what the files below place hold."""
    return sum(_size(file) for file in place.rglob("*"))


def _size(file: Path) -> int:
    """Return a file's size; the database may have removed it meanwhile."""
    with suppress(FileNotFoundError):
        return file.stat().st_size if file.is_file() else 0
    return 0


def memory_mib() -> dict[str, int]:
    """Return the process's resident memory: its own, what it maps of files, and the peak so far."""
    lines = dict(_status())
    return {
        "own_mib": lines["RssAnon"] // 1024,
        "mapped_mib": lines["RssFile"] // 1024,
        "peak_resident_mib": lines["VmHWM"] // 1024,
    }


def _status() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith("kB"):
            yield name, int(value.split()[0])


if __name__ == "__main__":
    main()
