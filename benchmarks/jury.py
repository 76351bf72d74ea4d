"""What the roll of jurors costs as it grows from a thousand to a hundred thousand.

`just bench jury` takes a minute. The jurors' bonds differ; the state lies in LevelDB as a node's
does. Measured are one juror more, another bond, one juror less, and the draw of a jury of seven,
each the median of many and each on state that the store has to be asked for. The peer is the least
that a draw without the tree would do: to read everybody's bond. `touched` counts keys: those that a
change writes, those that a draw reads. The last line is one JSON object; with `--write-baseline` it
becomes the baseline.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median

from abci_chat.state import roll
from benchmarks.report import finish
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.store import Draft, State
from dchat.node.storage import Storage

SIZES = (1_000, 100_000)
RUNS = 400
JURY = 7
A_BLOCK = 2_000

Step = Callable[[Draft, Random, int], object]


def main() -> None:
    """Measure every size of the roll."""
    curve = {size: measure(size) for size in SIZES}
    for size, figures in curve.items():
        print(f"{size:>7} jurors:", *(f"{name} {value}" for name, value in figures.items()))
    least, most = curve[SIZES[0]], curve[SIZES[-1]]
    report: dict[str, object] = {
        "name": "jury",
        "value": most["draw_us"],
        "unit": f"µs to draw {JURY} of {SIZES[-1]} jurors",
        "peer": "to read the bond of every one of them",
        "peer_value": most["walk_us"],
        "ratio": round(most["draw_us"] / most["walk_us"], 5),
        "growth": {name: round(most[name] / least[name], 2) for name in most},
        "figures": curve,
    }
    finish(report, write_baseline="--write-baseline" in sys.argv)


def measure(size: int) -> dict[str, float]:
    """Return what each step takes with so many jurors."""
    with tempfile.TemporaryDirectory(prefix="dchat-jury-") as place:
        storage = Storage.open(Path(place) / "state", "leveldb")
        fill(storage, size)
        view, chance = storage.working(), Random(size)
        figures = {f"{name}_us": cost(view, step, chance, size) for name, step in STEPS.items()}
        figures |= touched(view, chance, size)
        start = time.perf_counter()
        weighed = sum(1 for _ in roll.members(view))
        figures["walk_us"] = round((time.perf_counter() - start) * 1e6, 1)
        storage.close()
    if weighed != size:
        raise SystemExit(f"{weighed} of {size} jurors are on the roll")
    return figures


def named(number: int) -> AccountId:
    """Return the account of a juror."""
    return AccountId(sha256(b"juror %d" % number).digest())


def fill(storage: Storage, size: int) -> None:
    """Write a roll of that size, block by block."""
    chance = Random(0)
    for start in range(0, size, A_BLOCK):
        draft = Draft(storage.working())
        for number in range(start, min(start + A_BLOCK, size)):
            roll.set_weight(draft, named(number), Amount(chance.randrange(1, 10**9)))
        storage.commit(storage.stage(storage.height + 1, draft.writes()))


def cost(view: State, step: Step, chance: Random, size: int) -> float:
    """Return the median of the microseconds that a step takes on a draft of its own."""
    took: list[float] = []
    for _ in range(RUNS):
        draft = Draft(view)
        start = time.perf_counter()
        step(draft, chance, size)
        took.append((time.perf_counter() - start) * 1e6)
    return round(median(took), 1)


class Counting:
    """A state that counts the keys that are read of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.read = set[bytes]()

    def get(self, key: bytes) -> bytes | None:
        """Return the value at key."""
        self.read.add(key)
        return self._state.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Refuse: what is measured walks along nothing."""
        raise SystemExit(f"the keys under {prefix.hex()} were scanned")


def touched(view: State, chance: Random, size: int) -> dict[str, float]:
    """Return how many keys a juror less writes, and the draw of one juror reads."""
    draft, counting = Draft(view), Counting(view)
    less(draft, chance, size)
    roll.draw(counting, chance.randbytes(roll.SEED_BYTES), 1, ())
    return {"touched_by_change": len(draft.writes()), "touched_by_draw": len(counting.read)}


def more(draft: Draft, chance: Random, _size: int) -> None:
    """Add a juror."""
    roll.set_weight(draft, AccountId(chance.randbytes(32)), Amount(1_000))


def other(draft: Draft, chance: Random, size: int) -> None:
    """Change a juror's weight."""
    roll.set_weight(draft, named(chance.randrange(size)), Amount(1_000))


def less(draft: Draft, chance: Random, size: int) -> None:
    """Take a juror away."""
    roll.set_weight(draft, named(chance.randrange(size)), Amount(0))


def draw(draft: Draft, chance: Random, _size: int) -> None:
    """Draw a jury."""
    roll.draw(draft, chance.randbytes(roll.SEED_BYTES), JURY, ())


STEPS: dict[str, Step] = {"join": more, "change": other, "leave": less, "draw": draw}


if __name__ == "__main__":
    main()
