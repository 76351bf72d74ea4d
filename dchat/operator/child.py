"""One child process: started in its own session, its output read, stopped within a deadline.

Its own session means that Ctrl-C on the terminal reaches the supervisor alone, which then stops
everything in order.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from dchat.node import log
from dchat.node.log import Logger
from dchat.operator.logfile import LogFile

TAIL_LINES: Final = 20
MAX_LINE: Final = 16_384
CHUNK: Final = 65_536
RESERVED: Final = frozenset({"self", "level", "event", "child", "logger", "timestamp", "exc_info"})
PANIC: Final = ("panic: ", "fatal error: ")
"""How a program in Go begins its last words; a stack follows that is longer than the tail."""
ERROR: Final = "dchat: error: "
HINT: Final = "dchat: hint: "
"""How a program of ours says why it ends, and what to do."""
LAST_WORDS_S: Final = 1.0
"""How long output is still read after the process ended; a grandchild may hold the pipe."""


@dataclass(frozen=True, slots=True)
class Child:
    """How to start one process and tell that it works. `ready` is polled until it gives True."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    ready: Callable[[], Awaitable[bool]]
    ready_deadline_s: float = 30.0
    stop_deadline_s: float = 10.0
    env: Mapping[str, str] | None = field(default=None, repr=False)
    fatal: tuple[str, ...] = ()
    """Events after which the process may live on, but does its work no more."""
    remedies: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words of its output, and what to do about them."""
    advise: Callable[[str], None] = lambda _remedy: None
    """Told of a remedy whenever its words are heard."""


@dataclass(slots=True)
class Running:
    """A started child, what it said last, and the scope that reads its output.

    `lost` is set once it said that it works no more. `telling` is what it panicked over, or the
    last line that was fatal, has a remedy or is an error of ours: the tail may hold nothing but a
    stack.
    """

    child: Child
    process: trio.Process
    tail: deque[str]
    reading: trio.CancelScope
    lost: trio.Event
    stopping: bool = False
    telling: str = ""
    remedy: str = ""


async def start(child: Child, marks: Mapping[str, str] | None = None) -> Running:
    """Start the process. Its output must be read by `read_output` from now on.

    `marks` are added to its environment. Raises: OSError where the program cannot be run.
    """
    env = os.environ if child.env is None else child.env
    process = await trio.lowlevel.open_process(
        child.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**env, **(marks or {})},
    )
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    return Running(child, process, tail, trio.CancelScope(shield=True), trio.Event())


async def stop(running: Running, within_s: float = math.inf) -> None:
    """End process and output: SIGTERM, then SIGKILL after the child's deadline or sooner."""
    running.stopping = True
    with trio.CancelScope(shield=True):
        with suppress(ProcessLookupError):
            running.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(min(within_s, running.child.stop_deadline_s)):
            await running.process.wait()
        if running.process.returncode is None:
            running.process.kill()
            await running.process.wait()
    running.reading.deadline = trio.current_time() + LAST_WORDS_S


async def read_output(running: Running) -> None:
    """Pass every line on to the log file and the log stream until the output ends.

    What a child says while it is being stopped counts as debug: CometBFT calls closing its
    listeners an error. Cancellation from outside does not reach this: a child whose output nobody
    reads would block.
    """
    logger = log.get(f"dchat.operator.child.{running.child.name}").bind(child=running.child.name)
    file = LogFile(running.child.log_path)
    output = running.process.stdout
    rest = b""
    try:
        with running.reading:
            while output is not None and (chunk := await output.receive_some(CHUNK)):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    _pass_on(running, logger, file, line[:MAX_LINE])
                rest = rest[:MAX_LINE]
            if rest:
                _pass_on(running, logger, file, rest)
    finally:
        file.close()


def _pass_on(running: Running, logger: Logger, file: LogFile, line: bytes) -> None:
    file.write(line)
    level, event, fields = read_line(line)
    words = f"{event}: {fields['err']}" if "err" in fields else event
    if words:
        running.tail.append(words)
    _heed(running, words)
    logger.at("debug" if running.stopping else level, event, **safe(fields))


def _heed(running: Running, words: str) -> None:
    """Notice what the child says of its own end, and what there is something to do about."""
    child, fatal = running.child, words.startswith(running.child.fatal)
    remedy = next((what for known, what in child.remedies.items() if known in words), "")
    telling = fatal or bool(remedy) or words.startswith((ERROR, *PANIC))
    if telling and not running.telling.startswith(PANIC):
        running.telling = words.removeprefix(ERROR)
    if words.startswith(HINT):
        running.remedy = words.removeprefix(HINT)
    if remedy:
        running.remedy = remedy
        child.advise(remedy)
    if fatal:
        running.lost.set()


def safe(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields without those names that a log line is made of."""
    return {name: value for name, value in fields.items() if name not in RESERVED}


def read_line(line: bytes) -> tuple[str, str, dict[str, str]]:
    """Return (level, event, fields) of a child's output line; text that is not ours is `info`.

    CometBFT's own `info` is of use to developers only, so it counts as `debug`.
    """
    text = line.decode(errors="replace").strip()
    record = _json_object(text)
    if record is None:
        return "info", text, {}
    comet = "_msg" in record
    event = str(record.pop("_msg", None) or record.pop("event", text))
    level = str(record.pop("level", "info"))
    for noise in ("ts", "timestamp", "logger"):
        record.pop(noise, None)
    known = level if level in log.LEVELS else "info"
    shown = safe({name: str(value) for name, value in record.items()})
    return ("debug" if comet and known == "info" else known), event, shown


def _json_object(text: str) -> dict[str, object] | None:
    if not text.startswith("{"):
        return None
    try:
        record: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", record) if isinstance(record, dict) else None
