from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from dchat.operator import leash as leash_module
from tests.dchat.operator.programs import (
    SLEEPER,
    STUBBORN,
    is_alive,
    python,
    wait_until_dead,
    wait_until_ignored,
)

STOP = "import dchat.operator.leash as leash; import sys; leash.watch(sys.stdin.buffer, 0.2)"


@contextmanager
def child(program: str, env: Mapping[str, str] | None = None) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(python(program), stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def leash(command: list[str], orders: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=orders, timeout=30, check=False, capture_output=True)


@pytest.mark.parametrize(
    ("program", "number"), [(SLEEPER, signal.SIGTERM), (STUBBORN, signal.SIGKILL)]
)
def test_what_it_holds_is_stopped_when_its_input_ends(program: str, number: int) -> None:
    with child(program) as process:
        ended = leash([sys.executable, "-c", STOP], b"+%d\n" % process.pid)

        assert (ended.returncode, process.wait(10)) == (0, -number)


def test_what_it_was_told_to_forget_lives_on() -> None:
    with child(SLEEPER) as process:
        leash([sys.executable, "-c", STOP], b"+%d\n-%d\n" % (process.pid, process.pid))

        assert is_alive(process.pid)


def test_a_process_that_is_gone_already_is_no_fault() -> None:
    with child(SLEEPER) as process:
        process.kill()
        process.wait()

        ended = leash([sys.executable, "-c", STOP], b"+%d\n-%d\n" % (process.pid, 4_000_000))

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_carries_its_mark_is_stopped_without_having_been_named() -> None:
    program = STOP.replace("0.2)", "0.2, 'mine')")
    with child(SLEEPER, {**os.environ, leash_module.MARK: "mine"}) as process:
        ended = leash([sys.executable, "-c", program], b"")

        assert (ended.returncode, process.wait(10)) == (0, -signal.SIGTERM)


def test_what_carries_another_mark_lives_on() -> None:
    program = STOP.replace("0.2)", "0.2, 'mine')")
    with child(SLEEPER) as process:
        leash([sys.executable, "-c", program], b"")

        assert is_alive(process.pid)


def test_ctrl_c_and_a_service_managers_stop_do_not_end_it() -> None:
    with child(SLEEPER) as process:
        command = [sys.executable, "-m", "dchat.operator.leash"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
            assert running.stdin is not None
            running.stdin.write(b"+%d\n" % process.pid)
            running.stdin.flush()
            wait_until_ignored(running.pid, signal.SIGTERM)

            running.send_signal(signal.SIGINT)
            running.send_signal(signal.SIGTERM)
            running.stdin.close()

            wait_until_dead(process.pid)

            assert running.wait(20) == 0
