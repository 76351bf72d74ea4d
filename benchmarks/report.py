"""The last line of every benchmark: one JSON object, and on request the stored baseline."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Final

BASELINES: Final = Path(__file__).with_name("baselines")
HEADLINE: Final = ("name", "value", "unit", "peer", "peer_value", "ratio")


def finish(report: dict[str, object], *, write_baseline: bool) -> None:
    """Print the report with the machine it was made on; keep it as the baseline if asked.

    It has the six headline entries; `ratio` is ours to the peer's, measured in the same run.
    """
    missing = [name for name in HEADLINE if name not in report]
    if missing:
        raise SystemExit(f"the report lacks {', '.join(missing)}")
    complete = {**report, "machine": machine(), "python": platform.python_version()}
    if write_baseline:
        BASELINES.mkdir(exist_ok=True)
        baseline = BASELINES / f"{report['name']}.json"
        baseline.write_text(json.dumps(complete, indent=2) + "\n")
    print(json.dumps(complete))


def machine() -> str:
    """Return the number of cores and their model."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {models[0] if models else platform.machine()}"
