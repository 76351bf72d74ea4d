"""Groups of processes that live and die together, kept alive until told to stop.

A group's children start in order, each once the one before is ready, and stop in reverse order.
When one ends by itself the whole group restarts after a pause that doubles; a group that fails
too often within a window ends everything, loudly. A leash process sees to it that no child
survives the supervisor, even when that is killed.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

import trio

from dchat.kernel.errors import OperatorError
from dchat.node import log
from dchat.operator import child as processes
from dchat.operator.child import Child, Running

POLL_S: Final = 0.05
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
MAX_FAILURES: Final = 5
WINDOW_S: Final = 120.0

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

    def __init__(self, child: str, reason: str, lines: Sequence[str]) -> None:
        last = f": {lines[-1][:400]}" if lines else ""
        super().__init__(f"{child} {reason}, {MAX_FAILURES} times within {WINDOW_S:.0f} s{last}")
        self.child = child
        self.lines = tuple(lines)


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


Report = Callable[[str, Phase], None]
"""Told of every change: the group's name and its new phase."""


class LeashLost(OperatorError):
    """The process that would stop our children was itself ended, so we stop them now."""

    hint = "something killed a helper of this process; start it again"


class Leash:
    """The process that stops our children when we cannot."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._turn = trio.Lock()

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
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "dchat.operator.leash"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Leash(process)
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
            raise GaveUp(failure.child, failure.reason, failure.lines)
        pause_s = FIRST_PAUSE_S if now - started > WINDOW_S else pause_s
        report(group.name, Phase.PAUSED)
        await trio.sleep(pause_s)
        pause_s = next_pause(pause_s)


async def _run(group: Group, tether: Leash, report: Report) -> Failure:
    """Run the group once, until a child fails; then every child is stopped."""
    running: list[Running] = []
    async with trio.open_nursery() as readers:
        try:
            report(group.name, Phase.STARTING)
            for child in group.children:
                failure = await _start(child, running, tether, readers)
                if failure:
                    return failure
            report(group.name, Phase.RUNNING)
            return await _first_to_end(running)
        finally:
            report(group.name, Phase.STOPPING)
            with trio.CancelScope(shield=True):
                for each in reversed(running):
                    await processes.stop(each)
                    await tether.release(each.process.pid)


async def _start(
    child: Child, running: list[Running], tether: Leash, readers: trio.Nursery
) -> Failure | None:
    try:
        started = await processes.start(child)
    except OSError as fault:
        return Failure(child.name, f"cannot be run ({fault.strerror})", ())
    running.append(started)
    readers.start_soon(processes.read_output, started)
    await tether.hold(started.process.pid)
    with trio.move_on_after(child.ready_deadline_s):
        while started.process.poll() is None:
            if await child.ready():
                logger.info("child_ready", child=child.name, pid=started.process.pid)
                return None
            await trio.sleep(POLL_S)
        return await _ended(started)
    return Failure(child.name, f"was not ready in {child.ready_deadline_s:.0f} s", _tail(started))


async def _first_to_end(running: Sequence[Running]) -> Failure:
    ended: list[Running] = []

    async def wait(each: Running) -> None:
        await each.process.wait()
        ended.append(each)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for each in running:
            nursery.start_soon(wait, each)
    return await _ended(ended[0])


async def _ended(running: Running) -> Failure:
    """Describe an end, once its last words have had a moment to arrive."""
    await trio.sleep(2 * POLL_S)
    code = running.process.returncode
    how = f"was killed by signal {-code}" if code and code < 0 else f"exited with status {code}"
    return Failure(running.child.name, how, _tail(running))


def _tail(running: Running) -> tuple[str, ...]:
    return tuple(running.tail)
