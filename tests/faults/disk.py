"""`disk.c`, compiled: what strikes between two writes of the database itself."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.blow import Blow

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("cc")


def build(folder: Path) -> Path:
    """Compile into the folder; there must be a C compiler."""
    library = folder / "disk.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", library, SOURCE, "-ldl"], check=True, capture_output=True)
    return library


def environment(library: Path, blow: Blow, state: Path) -> dict[str, str]:
    """What a process must be started with so that the blow meets it at its writes below `state`."""
    return {
        "LD_PRELOAD": str(library),
        "FAULT_DISK": f"{blow.point.removeprefix('disk.')}:{blow.nth}:{blow.victims}",
        "FAULT_UNDER": str(state.resolve()),
        "FAULT_MARKER": str(state.parent / "struck"),
        "FAULT_NODE": str(state.parent / "node.pid"),
    }


def arm(blow: Blow, state: Path) -> None:
    """Let the blow meet this process, which was started with the library preloaded."""
    os.environ.update(environment(Path(), blow, state))
    ctypes.CDLL(None).configure_faults()
