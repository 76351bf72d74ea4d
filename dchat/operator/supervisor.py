"""Groups of processes that live and die together, kept alive until told to stop.

A group's children start in order, each once the one before is ready, and stop in reverse order.
When one ends by itself the whole group restarts after a pause that doubles; a group that fails
too often within a window ends everything, loudly. A leash process sees to it that no child
survives the supervisor, even when that is killed.
"""

from __future__ import annotations

import math
import os
import secrets
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

import trio

from dchat.kernel.errors import OperatorError
from dchat.node import log
from dchat.operator import child as processes
from dchat.operator.child import Child, Running
from dchat.operator.leash import MARK

POLL_S: Final = 0.05
LONGEST_POLL_S: Final = 0.5
"""A start that takes long is asked about less and less often: asking costs what starting needs."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
MAX_FAILURES: Final = 5
WINDOW_S: Final = 120.0
MAX_WORDS: Final = 400
BEREFT_STOP_S: Final = 5.0
"""For a child to stop in once another has died: CometBFT hangs when its application is gone."""

logger = log.get(__name__)


class Phase(Enum):
    """What a group is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "waiting to restart"
    STOPPING = "stopping"


class GaveUp(OperatorError):
    """A child failed too often. Attributes: child, lines -- its last output."""

    hint = "the child's whole output is in the data directory under logs/"

    def __init__(self, failure: Failure) -> None:
        often = f"{MAX_FAILURES} failures within {WINDOW_S:.0f} s, the last"
        super().__init__(f"{often}: {failure}", failure.remedy)
        self.child = failure.child
        self.lines = failure.lines


@dataclass(frozen=True, slots=True)
class Group:
    """Children in starting order."""

    name: str
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a group had to stop."""

    child: str
    reason: str
    lines: tuple[str, ...]
    remedy: str = ""

    def __str__(self) -> str:
        """What happened, with the last words."""
        last = f": {self.lines[-1][:MAX_WORDS]}" if self.lines else ""
        return f"{self.child} {self.reason}{last}"


Report = Callable[[str, Phase, Failure | None], None]
"""Told of every change: the group's name, its new phase, and before a pause what had failed."""


class LeashLost(OperatorError):
    """The process that would stop our children was itself ended, so we stop them now."""

    hint = "something killed a helper of this process; start it again"


class Leash:
    """The process that stops our children when we cannot."""

    def __init__(self, process: trio.Process, mark: str) -> None:
        self._process = process
        self._turn = trio.Lock()
        self.marks: Final = {MARK: mark}
        """What a child's environment needs, so that it is found even before it is held."""

    @property
    def pid(self) -> int:
        """The leash process's own number."""
        return self._process.pid

    async def hold(self, pid: int) -> None:
        """Have this process stopped should we end without doing so."""
        await self._tell(f"+{pid}\n")

    async def release(self, pid: int) -> None:
        """Forget a process that ended."""
        with suppress(LeashLost):
            await self._tell(f"-{pid}\n")

    async def _tell(self, order: str) -> None:
        if self._process.stdin is None:
            return
        try:
            async with self._turn:
                await self._process.stdin.send_all(order.encode())
        except trio.BrokenResourceError:
            raise LeashLost("the leash process has ended") from None


@asynccontextmanager
async def leash() -> AsyncGenerator[Leash]:
    """Run the leash process; leaving ends it, after it stopped what it still holds."""
    mark = secrets.token_hex(16)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "dchat.operator.leash", mark],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != MARK},
    )
    try:
        yield Leash(process, mark)
    finally:
        with trio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            await process.wait()


async def supervise(groups: Sequence[Group], tether: Leash, report: Report) -> None:
    """Keep every group alive until cancelled, then stop them all. Raises: GaveUp."""
    async with trio.open_nursery() as nursery:
        for group in groups:
            nursery.start_soon(_keep, group, tether, report)


def next_pause(pause_s: float) -> float:
    """Return the pause after the next failure, in seconds."""
    return min(2 * pause_s, LONGEST_PAUSE_S)


async def _keep(group: Group, tether: Leash, report: Report) -> None:
    failed_at: deque[float] = deque(maxlen=MAX_FAILURES)
    pause_s = FIRST_PAUSE_S
    while True:
        started = trio.current_time()
        failure = await _run(group, tether, report)
        logger.error("child_failed", child=failure.child, reason=failure.reason)
        now = trio.current_time()
        failed_at.append(now)
        if len(failed_at) == MAX_FAILURES and now - failed_at[0] < WINDOW_S:
            logger.error("child_given_up", child=failure.child, lines=failure.lines)
            raise GaveUp(failure)
        pause_s = FIRST_PAUSE_S if now - started > WINDOW_S else pause_s
        report(group.name, Phase.PAUSED, failure)
        await trio.sleep(pause_s)
        pause_s = next_pause(pause_s)


async def _run(group: Group, tether: Leash, report: Report) -> Failure:
    """Run the group once, until a child fails; then every child is stopped."""
    running: list[Running] = []
    async with trio.open_nursery() as readers:
        try:
            report(group.name, Phase.STARTING, None)
            for child in group.children:
                failure = await _start(child, running, tether, readers)
                if failure:
                    return failure
            report(group.name, Phase.RUNNING, None)
            return await _first_to_end(running)
        finally:
            report(group.name, Phase.STOPPING, None)
            bereft = any(each.process.poll() is not None for each in running)
            with trio.CancelScope(shield=True):
                for each in reversed(running):
                    await processes.stop(each, BEREFT_STOP_S if bereft else math.inf)
                    await tether.release(each.process.pid)


async def _start(
    child: Child, running: list[Running], tether: Leash, readers: trio.Nursery
) -> Failure | None:
    try:
        started = await processes.start(child, tether.marks)
    except OSError as fault:
        return Failure(child.name, f"cannot be run ({fault.strerror})", ())
    running.append(started)
    readers.start_soon(processes.read_output, started)
    await tether.hold(started.process.pid)
    pause_s = POLL_S
    with trio.move_on_after(child.ready_deadline_s):
        while started.process.poll() is None and not started.lost.is_set():
            if await child.ready():
                logger.info("child_ready", child=child.name, pid=started.process.pid)
                return None
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_POLL_S)
        return await _ended(started)
    return _failure(started, f"was not ready in {child.ready_deadline_s:.0f} s")


async def _first_to_end(running: Sequence[Running]) -> Failure:
    ended: list[Running] = []

    async def wait(each: Running, end: Callable[[], Awaitable[object]]) -> None:
        await end()
        ended.append(each)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for each in running:
            nursery.start_soon(wait, each, each.process.wait)
            nursery.start_soon(wait, each, each.lost.wait)
    return await _ended(ended[0])


async def _ended(running: Running) -> Failure:
    """Describe an end, once its last words have had a moment to arrive."""
    await trio.sleep(2 * POLL_S)
    code = running.process.returncode
    if code is None:
        return _failure(running, "works no more")
    how = f"was killed by signal {-code}" if code < 0 else f"exited with status {code}"
    return _failure(running, how)


def _failure(running: Running, reason: str) -> Failure:
    """Return the failure; the line that told why comes last."""
    telling = (running.telling,) if running.telling else ()
    return Failure(running.child.name, reason, (*running.tail, *telling), running.remedy)
