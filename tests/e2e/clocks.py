"""A validator whose clock is off: a CometBFT that adds a constant to its clock, and a supervisor.

`LD_PRELOAD` does not reach a Go program, and a time namespace does not shift the time of day. So
CometBFT is built once more, from the same module, with its one function that reads the clock
changed; the result is kept beside the pinned build.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dchat.kernel.ids import EpochMs
from dchat.node import log
from dchat.node.clock import SystemClock
from dchat.node.config import ValidatorConfig, load
from dchat.operator import cometbft, validator
from dchat.operator.plan import plan
from tests.e2e import nodes
from tests.e2e.nodes import Node

VARIABLE = "TEST_CLOCK_AHEAD_S"
ENTRY = "from tests.e2e.clocks import main; main()"
REPO = Path(__file__).resolve().parents[2]
NOW = "types/time/time.go"
CHANGES = {
    NOW: (
        ("Canonical(time.Now())", "Canonical(time.Now().Add(ahead))"),
        ('import (\n\t"sort"', 'import (\n\t"os"\n\t"sort"'),
    ),
    "state/validation.go": (
        ("time.Now()", "cmttime.Now()"),
        (
            '"github.com/cometbft/cometbft/types"',
            '"github.com/cometbft/cometbft/types"\n'
            '\tcmttime "github.com/cometbft/cometbft/types/time"',
        ),
    ),
}
"""Every place where consensus reads the time of day."""
READ = f'\nvar ahead, _ = time.ParseDuration(os.Getenv("{VARIABLE}") + "s")\n'
PARTS = ("docs", "spec", "DOCKER")


@dataclass(frozen=True)
class Shifted:
    """The machine's clock and a constant."""

    ahead_ms: int

    def now(self) -> EpochMs:
        return EpochMs(SystemClock().now() + self.ahead_ms)


@contextmanager
def shifted(node: Node, ahead_s: int) -> Generator[None]:
    """Within, the node runs with a clock that is so far ahead, or behind; afterwards not at all."""
    node.kill_tree()
    node.entry = ENTRY
    node.env = {
        "DCHAT_COMETBFT": str(binary(os.environ)),
        VARIABLE: str(ahead_s),
        "PYTHONPATH": str(REPO),
    }
    try:
        node.start()
        yield
    finally:
        node.kill_tree()
        node.entry, node.env = nodes.ENTRY, {}


def main() -> None:
    """Run the validator of a settings file as `dchat validator` does, with the shifted clock."""
    settings = load(ValidatorConfig, Path(sys.argv[-1]), {}).settings
    log.configure(log.settings("info", os.environ, json_logs=True))
    clock = Shifted(1000 * int(os.environ[VARIABLE]))
    validator.run(plan(settings), print, clock)


def binary(env: Mapping[str, str]) -> Path:
    """The changed CometBFT, built where it is not there yet."""
    recipe = hashlib.sha256(f"{cometbft.VERSION}{CHANGES}{READ}".encode()).hexdigest()
    path = cometbft.user_cache(env) / f"cometbft-{cometbft.VERSION}-shifted-{recipe[:16]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="shifted-") as scratch:
            _build(Path(scratch), env).replace(path)
    return path


def _build(scratch: Path, env: Mapping[str, str]) -> Path:
    go, private = cometbft._toolchain(scratch, print, env)
    settings = cometbft._go_settings(scratch, env, private=private)
    source = scratch / "source"
    shutil.copytree(
        _module(go, settings), source, ignore=shutil.ignore_patterns(*PARTS), copy_function=_copy
    )
    for folder in source.rglob("*/"):
        folder.chmod(0o755)
    for name, changes in CHANGES.items():
        _change(source / name, changes)
    with (source / NOW).open("a") as file:
        file.write(READ)
    command = [str(go), "build", "-trimpath", "-o", str(scratch / "built"), "./cmd/cometbft"]
    subprocess.run(command, cwd=source, env=settings, check=True, timeout=1200)
    return scratch / "built"


def _module(go: Path, settings: Mapping[str, str]) -> Path:
    """Where Go keeps the pinned module, checked against its checksum database."""
    command = [str(go), "mod", "download", "-json", f"{cometbft.MODULE}@{cometbft.VERSION}"]
    told = subprocess.run(command, env=dict(settings), check=True, capture_output=True, timeout=600)
    described = json.loads(told.stdout)
    assert described["Sum"] == cometbft.PINNED.checksum
    return Path(described["Dir"])


def _copy(source: str, target: str) -> None:
    """Copy a file of the module cache, which is read-only there."""
    shutil.copyfile(source, target)


def _change(path: Path, changes: tuple[tuple[str, str], ...]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
