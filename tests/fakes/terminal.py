"""A person at a terminal: runs `dchat` on a pseudo-terminal and types when asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
DCHAT = "from dchat.cli.main import main; main()"
DEADLINE_S = 30
ROOT = Path(__file__).parents[2]


def type_into(answers: Sequence[str], *args: object) -> tuple[int, str]:
    """Exit status and screen of one command line; each answer is typed after its own question."""
    command = [sys.executable, "-P", "-c", DCHAT, *map(str, args)]
    with subprocess.Popen(
        [sys.executable, "-c", SPAWN, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        deadline = threading.Timer(DEADLINE_S, process.kill)
        deadline.start()
        assert process.stdin
        assert process.stdout
        screen = "".join(_answer(process.stdin, process.stdout, each) for each in answers)
        screen += process.stdout.read().decode()
        deadline.cancel()
    return process.returncode, screen


def _answer(keys: IO[bytes], screen: IO[bytes], answer: str) -> str:
    shown = b""
    while not shown.endswith(b": "):
        char = screen.read(1)
        assert char, f"the command ended without asking; it said: {shown.decode()}"
        shown += char
    keys.write(answer.encode() + b"\n")
    keys.flush()
    return shown.decode()
