"""Disk over 10,000 blocks that overwrite the same keys, for each backend.

`just bench flat` runs all three (6 to 10 minutes), `just bench flat leveldb 2000` one of them over
that many blocks. Every block changes 50 of 20,000 leaves; 100 versions are kept. The last line is
one JSON object: bytes on disk after each twentieth of the run, in MiB.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from random import Random

from benchmarks.report import finish
from benchmarks.tree import commit, disk_bytes, fill, key
from dchat.node.storage import BACKENDS, Storage

LEAVES = 20_000
CHANGED = 50
BLOCKS = 10_000
MARKS = 20
VALUE_BYTES = 90


def main() -> None:
    """Measure the backends that the command line names, or all."""
    words = sys.argv[1:]
    blocks = next((int(word) for word in words if word.isdigit()), BLOCKS)
    chosen = [word for word in words if word in BACKENDS] or sorted(BACKENDS)
    mib = {name: run(name, blocks) for name in chosen}
    end, half = (sum(sizes[at] for sizes in mib.values()) for at in (-1, MARKS // 2 - 1))
    report: dict[str, object] = {
        "name": "flat",
        "value": end,
        "unit": f"MiB on disk after {blocks} blocks, all backends named",
        "peer": "the same after half of the blocks",
        "peer_value": half,
        "ratio": round(end / half, 3),
        "mib": mib,
    }
    finish(report, write_baseline=False)


def run(backend: str, blocks: int) -> list[int]:
    """Return the MiB on disk along a run over this backend."""
    sizes: list[int] = []
    chance = Random(1)
    with tempfile.TemporaryDirectory(prefix="dchat-flat-") as place:
        storage = Storage.open(Path(place) / "state", backend)
        fill(storage, LEAVES)
        start = time.perf_counter()
        for number in range(1, blocks + 1):
            changed = chance.sample(range(LEAVES), CHANGED)
            commit(storage, {key(one): chance.randbytes(VALUE_BYTES) for one in changed})
            if number % (blocks // MARKS) == 0:
                sizes.append(disk_bytes(Path(place)) >> 20)
        print(
            f"{backend}: {sizes} MiB, {(time.perf_counter() - start) / blocks * 1e3:.1f} ms a block"
        )
        storage.close()
    return sizes


if __name__ == "__main__":
    main()
