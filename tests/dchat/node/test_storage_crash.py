"""kill -9 while blocks are committed: the store holds the old version or the new, never a mix."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from dchat.kernel.merkle.proof import verify
from dchat.kernel.roots import compute, listed
from dchat.node.storage import BACKENDS, Storage
from dchat.node.stores.backend import Tuning
from dchat.node.stores.pruner import STRIDE
from dchat.node.stores.undo import PREFIX, height_key
from tests.fakes.naive_tree import naive_root

ROOT = Path(__file__).parents[3]
KILLS = 12
# Writes block after block; says a height once it is committed.
COMMITTER = """
import sys
from pathlib import Path
from tests.dchat.node.test_storage_crash import block
from dchat.node.storage import Storage
storage = Storage.open(Path(sys.argv[1]), sys.argv[2], keep=5)
while True:
    height = storage.height + 1
    storage.commit(storage.stage(height, block(height)))
    print(height, flush=True)
"""


def block(height: int) -> dict[bytes, bytes | None]:
    """The writes of the block at a height, of some 100 kB, so that a kill hits one half done."""
    chosen = Random(height).sample(range(2000), 200)  # the same in both processes
    writes: dict[bytes, bytes | None] = {
        b"key %d" % number: b"%d %s" % (height, bytes(500)) for number in chosen
    }
    return writes | {b"key %d" % chosen[0]: None, b"height": b"%d" % height}


def roots_fit(storage: Storage, height: int) -> bool:
    """Tell whether a height's fingerprints are what its entries give."""
    entries = storage.at(height).scan(b"")
    return storage.roots_at(height)[1].modules == listed(compute(entries))


def records(path: Path, backend: str, height: int) -> list[bytes]:
    """The keys of the undo records of the blocks up to a height."""
    with closing(BACKENDS[backend](path, Tuning())) as store:
        return [key for key, _ in store.entries(PREFIX, height_key(height + 1))]


def commit_until_killed(path: Path, backend: str, chance: Random, least: int = 0) -> int:
    """Run a committer, kill it amid its work, return the last height that it said."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMITTER, str(path), backend],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        for _ in range(least + chance.randint(1, 20)):
            child.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            child.wait(chance.uniform(0, 0.02))
        child.kill()
        said = child.stdout.read().split()
    return int(said[-1]) if said else 0


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_kill_at_any_moment_leaves_the_state_of_one_block_whole(
    tmp_path: Path, backend: str
) -> None:
    chance = Random(7)  # repeatable delays
    seen: list[tuple[bool, bytes | None, bool]] = []

    for _ in range(KILLS):
        said = commit_until_killed(tmp_path / "state", backend, chance)
        storage = Storage.open(tmp_path / "state", backend, keep=5)
        now, before = storage.latest(), storage.at(storage.oldest)
        verify(before.app_hash, b"height", before.get(b"height"), before.prove(b"height"))
        whole = naive_root(dict(now.scan(b""))) == storage.app_hash == now.app_hash
        former = naive_root(dict(before.scan(b""))) == before.app_hash
        counted = all(roots_fit(storage, height) for height in (now.height, before.height))
        seen.append((whole and former and counted, now.get(b"height"), storage.height >= said))
        storage.close()

    heights = [int(height or b"0") for _, height, _ in seen]
    assert [(whole, durable) for whole, _, durable in seen] == [(True, True)] * KILLS
    assert heights == sorted(heights)


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_what_a_killed_pruning_left_goes_with_the_next_blocks(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "state"
    commit_until_killed(path, backend, Random(3), least=2 * STRIDE)

    with closing(Storage.open(path, backend, keep=5)) as storage:
        storage.commit(storage.stage(storage.height + 1, {}))
        storage.settle()
        oldest = storage.oldest

    assert (oldest > STRIDE, records(path, backend, oldest)) == (True, [])
