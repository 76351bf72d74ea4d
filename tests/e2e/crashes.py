"""Chains that are struck where a seed says, again and again, and what must hold afterwards.

    python -m tests.e2e.crashes --seeds 0-49 --jobs 2

One line a seed: what ran, whom each blow hit, how high the chain was then, and what failed. The
exit status is 1 if anything did; its directory is kept then.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dchat.node.storage import BACKENDS, Storage
from tests.e2e.load import Load, load, rich_genesis
from tests.e2e.struck import KEEP, Struck, Witness, check_whole, witness
from tests.fakes.naive_tree import naive_root
from tests.faults import disk
from tests.faults.blow import ABCI, BACKGROUND, DISK, STORE, VICTIMS, Blow

BLOWS = 3
POINTS = (*ABCI, *STORE, *BACKGROUND, *DISK)
FIRST_NTH, LATER_NTH, DISK_NTH = 12, 3, 40
# Blocks after the last blow, and transactions that must have got in meanwhile.
AFTERWARDS = 3
WHOLE_CHAIN = 1_000_000
# What no log may hold: a fault of ours, and CometBFT in disagreement with the application.
FORBIDDEN = ("Traceback", "CONSENSUS FAILURE", "panic:", "does not match AppHash", "wrong Block.")
# CometBFT calls it a consensus failure that the application died amid a request.
GONE = ("EOF", "connection reset", "broken pipe")

Headers = dict[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one seed does."""

    seed: int
    machine: str
    backend: str
    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.machine} on {self.backend}"


def scenario(seed: int) -> Scenario:
    """Backends and points take turns: 50 seeds strike each backend at each point, most of them
    twice, on both machines.
    """
    dice = random.Random(seed)
    visit, turn = divmod(seed, len(BACKENDS))
    machine = ("currency", "chat")[(visit + BLOWS * visit // len(POINTS)) % 2]
    points = [POINTS[(BLOWS * visit + number) % len(POINTS)] for number in range(BLOWS)]
    blows = tuple(_blow(point, dice, number) for number, point in enumerate(points))
    return Scenario(seed, machine, sorted(BACKENDS)[turn], blows)


def _blow(point: str, dice: random.Random, number: int) -> Blow:
    """The first comes some blocks in; a later one may hit the recovery from the one before."""
    if point in DISK:
        return Blow(point, dice.randint(1, DISK_NTH), dice.choice(("app", "both")))
    once = point.startswith(("info", "init_chain"))
    most = 1 if once else FIRST_NTH if number == 0 and point in (*ABCI, *STORE) else LATER_NTH
    return Blow(point, dice.randint(1, most), dice.choice(VICTIMS))


def run(plan: Scenario, home: Path, library: Path) -> list[str]:
    """Strike, restart, go on; what was hit at which height. Raises: AssertionError."""
    solo = Struck(
        home,
        "",
        rich_genesis(),
        settings={"timeout_commit": '"20ms"'},
        app_args=("--write-buffer-mib", "1", "--eager"),
        machine=plan.machine,
        backend=plan.backend,
        blows=plan.blows,
        library=library,
    )
    try:
        with load(solo, plan.machine) as sender, witness(solo) as watching:
            told = [_strike(solo, number, watching) for number in range(1, BLOWS + 1)]
            _go_on(solo, sender)
        stop(solo)
        headers = check_same_state(solo)
        assert watching.changed(headers) == []
        check_logs(solo)
    finally:
        solo.stop(signal.SIGKILL)
    return [*told, f"{len(headers)} blocks, {sender.accepted} txs"]


def _strike(solo: Struck, number: int, watching: Witness) -> str:
    solo.start()
    hit = solo.wait_for_blow(number)
    seen = watching.height
    solo.bury(hit)
    stored = ""
    if solo.app is None:
        stored = f"/{check_whole(solo.state, solo.backend)}"
    return (
        f"{solo.blows[number - 1].point}:{solo.blows[number - 1].nth}:{hit.victims}@{seen}{stored}"
    )


def _go_on(solo: Struck, sender: Load) -> None:
    solo.start()
    solo.wait_for_height(1)
    goal, accepted = solo.height() + AFTERWARDS, sender.accepted
    solo.poll(
        lambda: solo.height() >= goal and sender.accepted > accepted + AFTERWARDS,
        "block with transactions after the last blow",
    )


def check_same_state(solo: Struck) -> Headers:
    """The application's own state, and a replay of all blocks by another database, give one hash.

    Returns every block's hash and app hash. CometBFT itself compares each block that it replays
    with the header that follows.
    """
    with closing(Storage.open(solo.state, solo.backend, KEEP)) as storage:
        kept = {at: storage.at(at).app_hash for at in range(storage.oldest, storage.height + 1)}
        assert naive_root(dict(storage.latest().scan(b""))) == storage.app_hash
    headers, replayed = _replay(solo)
    expected = {
        height - 1: bytes.fromhex(app) for height, (_, app) in headers.items() if height > 1
    }
    assert replayed.items() >= expected.items()
    shared = kept.keys() & expected.keys()
    assert len(shared) >= KEEP - 1
    assert {at: kept[at] for at in shared} == {at: expected[at] for at in shared}
    return headers


def _replay(solo: Struck) -> tuple[Headers, dict[int, bytes]]:
    """All headers, and the app hash at every height when they are played into an empty store."""
    solo.state.rename(solo.home / "first")
    with closing(Storage.open(solo.home / "first", solo.backend, KEEP)) as storage:
        reached = storage.height
    solo.backend = next(name for name in sorted(BACKENDS) if name != solo.backend)
    solo.keep = WHOLE_CHAIN
    solo.start()
    solo.wait_for_height(reached)
    headers = solo.headers()
    stop(solo)
    with closing(Storage.open(solo.state, solo.backend, WHOLE_CHAIN)) as storage:
        return headers, {
            at: storage.at(at).app_hash for at in range(storage.oldest, storage.height + 1)
        }


def stop(solo: Struck) -> None:
    """Both end in order; CometBFT answers before it is ready to be told so."""
    node, app = solo.stop()
    assert node in {0, -signal.SIGTERM}, solo.logs()
    assert app == 0, solo.logs()


def check_logs(solo: Struck) -> None:
    """No process said that it disagrees, or that it has a fault."""
    lines = [
        line
        for name in ("app.log", "node.log")
        for line in (solo.home / name).read_text(errors="replace").splitlines()
        if any(words in line for words in FORBIDDEN)
    ]
    assert [line for line in lines if not any(words in line for words in GONE)] == []


def tell(seed: int, library: Path, folder: Path) -> tuple[bool, str]:
    """Run one seed; whether it held, and the line that says what happened."""
    plan, home, began = scenario(seed), folder / str(seed), time.monotonic()
    home.mkdir()
    try:
        events = run(plan, home, library)
    except Exception:  # noqa: BLE001 - one seed's end must not hide the others
        why = traceback.format_exc()
        return False, f"{plan}, {', '.join(map(str, plan.blows))}: FAILED in {home}\n{why}"
    shutil.rmtree(home)
    return True, f"{plan}, {', '.join(events)}, {time.monotonic() - began:.0f} s"


def main() -> int:
    """Run the seeds; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-49", help="FIRST-LAST, or one seed")
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time")
    chosen = parser.parse_args()
    first, _, last = chosen.seeds.partition("-")
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    one = partial(tell, library=disk.build(folder), folder=folder)
    failed = 0
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for held, line in pool.map(one, range(int(first), int(last or first) + 1)):
            failed += not held
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
