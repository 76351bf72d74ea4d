"""`python -m tests.fuzz NAME|all [N] [SEED]`: N inputs for one parser, and what became of them.

Guided by coverage where atheris can be imported, by new outcomes otherwise. The last line of each
target is its figures as JSON; a finding ends the run with its input and a trace.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

from tests.fuzz import guided, loop
from tests.fuzz.registry import PLACES, find

COUNT: Final = 1_000_000


def run(name: str, count: int, seed: int) -> dict[str, Any]:
    """The figures of one target. Raises: the finding, or SystemExit."""
    if guided.is_there():
        return guided.run(name, count, seed)
    started = time.perf_counter()
    tally = loop.run(find(name), count, seed)
    return guided.summary(find(name), tally, time.perf_counter() - started)


def main(args: list[str]) -> None:
    """Run what the arguments name."""
    name = args[0] if args else ""
    if name not in {"all", *PLACES}:
        raise SystemExit(f"which target? all, {', '.join(PLACES)}")
    count, seed = (int(text) for text in [*args[1:], *(str(COUNT), "0")[len(args) - 1 :]][:2])
    for each in PLACES if name == "all" else (name,):
        sys.stdout.write(json.dumps(run(each, count, seed)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
