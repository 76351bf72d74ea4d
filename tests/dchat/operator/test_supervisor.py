from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
import trio

from dchat.operator import supervisor
from dchat.operator.child import Child
from dchat.operator.supervisor import Failure, GaveUp, Group, LeashLost, Phase
from tests.dchat.operator.programs import (
    SLEEPER,
    kill,
    python,
    until,
    wait_for_file,
    wait_until_dead,
)

DEADLINE_S = 30
LAST = ("no space left",)
REPO = Path(supervisor.__file__).parent.parent.parent


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


def telling(path: Path) -> str:
    """A program that appends its number to a file when it starts and when it is stopped."""
    return (
        "import os, signal, sys, time\n"
        f"def say(word):\n    open({str(path)!r}, 'a').write(f'{{word}} {{os.getpid()}}\\n')\n"
        "def stop(*_):\n    say('stopped')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nsay('started')\ntime.sleep(600)"
    )


class Scene:
    """One group under supervision, the words it reported, and who may end the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.phases: list[Phase] = []
        self.failures: list[Failure] = []

    def child(
        self, name: str, program: str, ready: Callable[[], Awaitable[bool]] = at_once
    ) -> Child:
        return Child(name, python(program), self.folder / f"{name}.log", ready, 0.5)

    def play(self, group: Group, done: Callable[[], bool]) -> None:
        async def main() -> None:
            with trio.fail_after(DEADLINE_S):
                async with supervisor.leash() as tether, trio.open_nursery() as nursery:
                    nursery.start_soon(supervisor.supervise, [group], tether, self._report)
                    await until(done)
                    nursery.cancel_scope.cancel()

        trio.run(main)

    def _report(self, _group: str, phase: Phase, failure: Failure | None) -> None:
        self.phases.append(phase)
        self.failures += [failure] if failure else []


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.01)


def words(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_children_start_in_order_and_stop_in_reverse(scene: Scene, tmp_path: Path) -> None:
    told = tmp_path / "told"

    async def first_is_up() -> bool:
        return words(told) == ["started"]

    async def second_is_up() -> bool:
        return words(told) == ["started", "started"]

    group = Group(
        "pair",
        (
            scene.child("first", telling(told), first_is_up),
            scene.child("second", telling(told), second_is_up),
        ),
    )
    scene.play(group, lambda: Phase.RUNNING in scene.phases)

    first, second, *stopped = told.read_text().split()[1::2]
    assert words(told) == ["started", "started", "stopped", "stopped"]
    assert stopped == [second, first]
    assert scene.phases == [Phase.STARTING, Phase.RUNNING, Phase.STOPPING]


@pytest.mark.usefixtures("impatient")
def test_a_killed_child_takes_its_group_along_and_all_start_again(
    scene: Scene, tmp_path: Path
) -> None:
    path, mate = tmp_path / "told", tmp_path / "mate"
    killed: list[int] = []

    def done() -> bool:
        if words(path) and words(mate) and not killed and Phase.RUNNING in scene.phases:
            killed.append(int(path.read_text().split()[1]))
            kill(killed[0])
        return scene.phases.count(Phase.RUNNING) == 2 and words(mate).count("started") == 2

    group = Group("pair", (scene.child("a", telling(path)), scene.child("b", telling(mate))))
    scene.play(group, done)

    assert words(mate)[:3] == ["started", "stopped", "started"]
    assert Phase.PAUSED in scene.phases


@pytest.mark.usefixtures("impatient")
def test_a_child_that_hangs_without_a_dead_one_is_not_waited_for(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BEREFT_STOP_S", 0.1)
    deaf = tmp_path / "deaf"
    program = (
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(deaf)!r}).touch()\ntime.sleep(600)"
    )
    hanging = replace(scene.child("hanging", program), stop_deadline_s=600.0)
    dying = scene.child(
        "dying", f"import os, time\nwhile not os.path.exists({str(deaf)!r}):\n time.sleep(0.01)"
    )

    scene.play(Group("pair", (dying, hanging)), lambda: Phase.PAUSED in scene.phases)

    assert scene.failures[0].child == "dying"


@pytest.mark.usefixtures("impatient")
def test_a_child_that_keeps_failing_ends_everything_with_its_last_words(scene: Scene) -> None:
    group = Group("lone", (scene.child("sick", "import sys; sys.exit('no space left')"),))

    reason = "^5 failures within 120 s, the last: sick exited with status 1: no space left$"
    with pytest.RaisesGroup(
        pytest.RaisesExc(GaveUp, match=reason, check=lambda fault: fault.lines[-1:] == LAST),
        flatten_subgroups=True,
    ):
        scene.play(group, lambda: False)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("command", "reason"),
    [(("/nowhere/program",), "cannot be run"), (python(SLEEPER), "was not ready in 0 s")],
    ids=["no such program", "never ready"],
)
def test_a_child_that_cannot_start_is_named_with_the_reason(
    scene: Scene, tmp_path: Path, command: tuple[str, ...], reason: str
) -> None:
    child = Child("lame", command, tmp_path / "log", never, ready_deadline_s=0.05)

    with pytest.RaisesGroup(
        pytest.RaisesExc(GaveUp, match=f": lame {reason}"), flatten_subgroups=True
    ):
        scene.play(Group("lone", (child,)), lambda: False)


@pytest.mark.usefixtures("impatient")
def test_a_child_that_says_it_works_no_more_is_restarted_with_the_reason(scene: Scene) -> None:
    program = (
        "import json, time\nprint(json.dumps({'_msg': 'DEAD', 'err': 'clock is off'}))\n"
        "print('and on', flush=True)\ntime.sleep(600)"
    )
    child = replace(scene.child("node", program), fatal=("DEAD",))

    scene.play(Group("lone", (child,)), lambda: len(scene.failures) == 2)

    assert str(scene.failures[0]) == "node works no more: DEAD: clock is off"


@pytest.mark.usefixtures("impatient")
def test_a_known_fault_comes_with_what_to_do_about_it(scene: Scene) -> None:
    sick = scene.child("sick", "import sys; print('clock is off'); sys.exit('bye')")
    child = replace(sick, remedies={"clock is": "set the clock"})

    with pytest.RaisesGroup(
        pytest.RaisesExc(GaveUp, match=r"off$", check=lambda fault: fault.hint == "set the clock"),
        flatten_subgroups=True,
    ):
        scene.play(Group("lone", (child,)), lambda: False)


@pytest.mark.usefixtures("impatient")
def test_the_words_of_a_panic_are_kept_however_long_its_stack_is(scene: Scene) -> None:
    sick = scene.child("sick", "print('panic: all is lost\\n' + 'at\\n' * 90); raise SystemExit(2)")

    with pytest.RaisesGroup(
        pytest.RaisesExc(GaveUp, match="panic: all is lost$"), flatten_subgroups=True
    ):
        scene.play(Group("lone", (sick,)), lambda: False)


def test_the_pause_before_a_restart_doubles_up_to_a_bound() -> None:
    steps = accumulate(
        range(8), lambda pause, _: supervisor.next_pause(pause), initial=supervisor.FIRST_PAUSE_S
    )

    assert list(steps) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"""
from pathlib import Path
from dchat.operator.supervisor import Group
from tests.dchat.operator.test_supervisor import Scene, telling
scene = Scene(Path({str(tmp_path)!r}))
scene.play(Group("g", (scene.child("c", telling(Path({str(told)!r}))),)), lambda: False)
"""
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen([sys.executable, "-c", program], env=env) as owner:
        child_pid = int(wait_for_file(told).split()[1])

        owner.send_signal(signal.SIGKILL)

        wait_until_dead(child_pid)


def test_a_child_whose_start_was_cut_off_by_a_kill_dies_as_well(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"""
import os
from pathlib import Path
import trio
from dchat.operator import child, supervisor
from tests.dchat.operator.test_supervisor import Scene, telling
async def main():
    async with supervisor.leash() as tether:
        await child.start(
            Scene(Path({str(tmp_path)!r})).child("c", telling(Path({str(told)!r}))), tether.marks
        )
        told = Path({str(told)!r})
        while not (told.exists() and told.read_text()):  # the leash may be quicker than the child
            await trio.sleep(0.01)
        os.kill(os.getpid(), 9)
trio.run(main)
"""
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    subprocess.run([sys.executable, "-c", program], env=env, check=False, timeout=60)

    wait_until_dead(int(wait_for_file(told).split()[1]))


def test_a_lost_leash_stops_everything_loudly(scene: Scene, tmp_path: Path) -> None:
    async def main() -> None:
        with trio.fail_after(DEADLINE_S):
            async with supervisor.leash() as tether:
                kill(tether.pid)
                wait_until_dead(tether.pid)
                await tether.hold(1)

    with pytest.raises(LeashLost):
        trio.run(main)
