"""The same targets under atheris: libFuzzer keeps what reaches lines that nothing had reached."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, cast

from tests.fuzz.loop import Tally, judge, mutated
from tests.fuzz.registry import find
from tests.fuzz.target import REFUSED, Target

OURS: Final = ("dchat", "abci_chat", "abci_currency", "relay", "genesis")
KEPT: Final = Path("build") / "fuzz"
"""Where an input that is a finding is written."""
MOST_SECONDS: Final = 10
"""For one input; more is a finding."""
MOST_MEBIBYTES: Final = 1024


class Fuzzer(Protocol):
    """What is used of atheris, which has no types of its own."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Modules imported inside report which of their branches run."""
        ...

    def Mutate(self, data: bytes, most: int) -> bytes:  # noqa: N802 -- its name
        """libFuzzer's own change."""
        ...

    def Setup(self, args: list[str], one: Any, **more: Any) -> None:  # noqa: N802 -- its name
        """Takes libFuzzer's options."""
        ...

    def Fuzz(self) -> None:  # noqa: N802 -- its name
        """Does not return."""
        ...


def is_there() -> bool:
    """Whether atheris can be imported."""
    return importlib.util.find_spec("atheris") is not None


def run(name: str, count: int, seed: int) -> dict[str, Any]:
    """Run a target in a process of its own, which libFuzzer ends. Raises: SystemExit."""
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(count), str(seed)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out, said = child.communicate()
    reports = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    if child.returncode or not reports:
        raise SystemExit(f"{said[-6000:]}\n{name}: a finding, see {KEPT}")
    edges = [int(number) for number in re.findall(r"\bcov: (\d+)", said)]
    return {**reports[-1], "edges": max(edges, default=0)}


def summary(target: Target, tally: Tally, took_s: float) -> dict[str, Any]:
    """The figures of a run without findings."""
    refused = sum(n for label, n in tally.outcomes.items() if label.startswith(REFUSED))
    return {
        "name": target.name,
        "inputs": tally.inputs,
        "seconds": round(took_s, 1),
        "per_s": round(tally.inputs / took_s),
        "outcomes": len(tally.outcomes),
        "not_refused": tally.inputs - refused,
        "slowest_ms": round(slowest_s(target, tally) * 1000, 1),
        "findings": 0,
    }


def slowest_s(target: Target, tally: Tally) -> float:
    """CPU time of the input that took longest, at its best: the first time may have met a pause."""
    again = Tally()
    took: list[float] = [tally.slowest_s]
    for _ in range(3):
        judge(target, tally.slowest, again)
        took.append(again.slowest_s)
        again.slowest_s = 0
    return min(took)


def main(name: str, count: int, seed: int) -> None:
    """Fuzz for `count` inputs; never returns."""
    atheris = cast("Fuzzer", importlib.import_module("atheris"))
    with atheris.instrument_imports(include=list(OURS)):
        target = find(name)
    KEPT.mkdir(parents=True, exist_ok=True)
    corpus = Path(tempfile.mkdtemp(prefix="dchat-fuzz-corpus-"))
    for number, data in enumerate(target.seeds):
        (corpus / f"{number:03}").write_bytes(data)
    options = [
        *(f"-runs={count}", f"-seed={seed + 1}", f"-max_len={target.max_bytes}"),
        *(f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MEBIBYTES}"),
        *(f"-artifact_prefix={KEPT}/{name}-", str(corpus)),
    ]
    atheris.Setup([name, *options], _one(target, count), custom_mutator=_changes(atheris, target))
    atheris.Fuzz()


def _one(target: Target, count: int) -> Callable[[bytes], None]:
    tally, started = Tally(), time.perf_counter()

    def one(data: bytes) -> None:
        judge(target, data, tally)
        if tally.inputs == count:
            figures = summary(target, tally, time.perf_counter() - started)
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()

    return one


def _changes(atheris: Fuzzer, target: Target) -> Callable[[bytes, int, int], bytes]:
    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.randrange(8) == 0:
            return atheris.Mutate(data, most)
        begun = data if rng.randrange(3) else rng.choice(target.seeds)
        return mutated(target, rng, begun, rng.choice(target.seeds))[:most]

    return change


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
