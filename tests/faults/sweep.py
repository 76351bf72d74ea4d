"""Strikes a database at every single write and sync of some commits, and looks what is left.

    LD_PRELOAD=disk.so python -m tests.faults.sweep BACKEND HOW [STRIDE]

Commits the same blocks in a new process for each point, which dies there; then opens what is left
in another one. Prints `points N` once a process got through, or what did not hold.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dchat.node.storage import Storage
from dchat.node.stores.backend import Tuning
from tests.fakes.naive_tree import naive_root
from tests.faults import disk
from tests.faults.blow import Blow
from tests.faults.eager import prune_eagerly

BLOCKS = 12
KEEP = 3
# Small enough that logs are sorted in, and tables merged, every few blocks.
TUNING = Tuning(cache_bytes=1 << 20, write_buffer_bytes=1 << 16)
HELD, BROKEN = 0, 3


def block(height: int) -> dict[bytes, bytes | None]:
    """Some 20 kB of writes, one of them a removal."""
    chosen = random.Random(height).sample(range(400), 40)
    writes: dict[bytes, bytes | None] = {
        b"key %d" % number: b"%d %s" % (height, bytes(500)) for number in chosen
    }
    return writes | {b"key %d" % chosen[0]: None, b"height": b"%d" % height}


def expected() -> list[bytes]:
    """The app hash after every block, by the definition of the tree."""
    state: dict[bytes, bytes] = {}
    hashes = [naive_root(state)]
    for height in range(1, BLOCKS + 1):
        for key, value in block(height).items():
            state.pop(key, None)
            if value is not None:
                state[key] = value
        hashes.append(naive_root(state))
    return hashes


def commit_blocks(path: Path, backend: str, said: Path) -> None:
    """Commit what is left of the blocks; append each height to `said` once it is committed."""
    with closing(Storage.open(path, backend, KEEP, TUNING)) as storage, said.open("ab", 0) as file:
        for height in range(storage.height + 1, BLOCKS + 1):
            storage.commit(storage.stage(height, block(height)))
            file.write(b"\n")


def examine(path: Path, backend: str, said: Path, hashes: list[bytes]) -> None:
    """Raise AssertionError unless the store holds one block whole, none less than was said."""
    committed = said.stat().st_size if said.exists() else 0
    with closing(Storage.open(path, backend, KEEP, TUNING)) as storage:
        view, height = storage.latest(), storage.height
        assert committed <= height <= committed + 1, f"said {committed}, holds {height}"
        assert naive_root(dict(view.scan(b""))) == hashes[height] == view.app_hash, "torn"
        for older in range(storage.oldest or 1, height + 1):
            former = storage.at(older)
            assert naive_root(dict(former.scan(b""))) == hashes[older] == former.app_hash, older
    commit_blocks(path, backend, said)
    with closing(Storage.open(path, backend, KEEP, TUNING)) as storage:
        assert storage.app_hash == hashes[BLOCKS], "went on to another state"


def in_child(work: Callable[[], None]) -> int:
    """Do it in a forked process; its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001 - the outermost of this process
            sys.stderr.write(f"{type(fault).__name__}: {fault}\n")
            sys.stderr.flush()
            os._exit(BROKEN)
        os._exit(HELD)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def strike(folder: Path, backend: str, blow: Blow, hashes: list[bytes]) -> tuple[int, int]:
    """How the committing process ended, and how the examining one did."""
    state, said = folder / "state", folder / "said"

    def commit() -> None:
        disk.arm(blow, state)
        commit_blocks(state, backend, said)

    ended = in_child(commit)
    return ended, in_child(lambda: examine(state, backend, said, hashes))


def sweep(backend: str, how: str, stride: int) -> str:
    """What is found at every stride-th point."""
    prune_eagerly()
    hashes = expected()
    nth = points = 0
    ended = -signal.SIGKILL
    while ended == -signal.SIGKILL:
        nth += stride
        with tempfile.TemporaryDirectory() as folder:
            ended, held = strike(Path(folder), backend, Blow(f"disk.{how}", nth, "app"), hashes)
        if held or ended not in {HELD, -signal.SIGKILL}:
            return f"{how} {nth}: ended with {ended}, then {held}"
        points += 1
    return f"points {points - 1}"


if __name__ == "__main__":
    print(sweep(sys.argv[1], sys.argv[2], int(sys.argv[3])))  # noqa: T201 - its only output
