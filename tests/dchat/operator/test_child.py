from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dchat.operator import child
from dchat.operator.child import Child, Running
from tests.dchat.operator.programs import SLEEPER, STUBBORN, python, until

DEADLINE_S = 20


async def at_once() -> bool:
    return True


def made(folder: Path, program: str, stop_deadline_s: float = 10.0) -> Child:
    log_path = folder / "logs" / "tiny.log"
    return Child("tiny", python(program), log_path, at_once, stop_deadline_s=stop_deadline_s)


def ran(given: Child, *, until_said: str | None = None) -> Running:
    """Start the child, let it end (or say something and be stopped), and return what is left."""

    async def main() -> Running:
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                running = await child.start(given)
                nursery.start_soon(child.read_output, running)
                if until_said is None:
                    await running.process.wait()
                else:
                    await until(lambda: until_said in running.tail)
                await child.stop(running)
        return running

    return trio.run(main)


def test_output_reaches_the_file_the_stream_and_the_tail(tmp_path: Path) -> None:
    with capture_logs() as logged:
        running = ran(made(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)"))

    assert sorted((tmp_path / "logs" / "tiny.log").read_text().split()) == ["err", "out"]
    assert sorted(running.tail) == ["err", "out"]
    assert {record["child"] for record in logged} == {"tiny"}


def test_a_last_line_without_an_end_is_kept(tmp_path: Path) -> None:
    assert list(ran(made(tmp_path, "print('last', end='')")).tail) == ["last"]


def test_the_tail_and_each_line_are_bounded(tmp_path: Path) -> None:
    running = ran(made(tmp_path, "print('x' * 50_000)\nfor n in range(50): print(n)"))

    assert list(running.tail) == [str(number) for number in range(30, 50)]
    assert len((tmp_path / "logs" / "tiny.log").read_text().split("\n")[0]) == child.MAX_LINE


def test_a_line_without_any_end_is_bounded_too(tmp_path: Path) -> None:
    running = ran(made(tmp_path, "print('x' * 5_000_000, end='')"))

    assert [len(line) for line in running.tail] == [child.MAX_LINE]


def test_a_child_that_obeys_is_not_killed(tmp_path: Path) -> None:
    assert ran(made(tmp_path, SLEEPER), until_said="up").process.returncode == -15


def test_a_child_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    stubborn = made(tmp_path, STUBBORN, stop_deadline_s=0.1)

    assert ran(stubborn, until_said="up").process.returncode == -9


def test_a_grandchild_that_holds_the_pipe_delays_nothing(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(8)'])\nprint('up')"
    )

    assert ran(made(tmp_path, program)).process.returncode == 0


def test_words_with_a_remedy_are_passed_on_and_kept_among_many_others(tmp_path: Path) -> None:
    advice: list[str] = []
    program = "print('clock is off')\nfor n in range(50): print(n)"
    given = replace(
        made(tmp_path, program), remedies={"clock": "set it"}, advise=advice.append, fatal=("no",)
    )

    running = ran(given)

    assert (running.telling, running.remedy, advice) == ("clock is off", "set it", ["set it"])
    assert not running.lost.is_set()


def test_an_error_of_ours_tells_why_and_its_hint_what_to_do(tmp_path: Path) -> None:
    program = "print('dchat: error: it is full'); print('dchat: hint: empty it'); print()"

    running = ran(made(tmp_path, program))

    assert (running.telling, running.remedy) == ("it is full", "empty it")
    assert list(running.tail)[-1] == "dchat: hint: empty it"


def test_a_child_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    running = ran(made(tmp_path, "import os; print(os.getsid(0) == os.getpid())"))

    assert list(running.tail) == ["True"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"plain text", ("info", "plain text", {})),
        (b"\xff\xfe", ("info", "\ufffd\ufffd", {})),
        (
            b'{"level":"info","ts":"x","_msg":"executed block","height":5}',
            ("debug", "executed block", {"height": "5"}),
        ),
        (b'{"level":"error","_msg":"bad"}', ("error", "bad", {})),
        (
            b'{"event":"ready","level":"warning","logger":"a","timestamp":"t","peers":2}',
            ("warning", "ready", {"peers": "2"}),
        ),
        (b'{"level":"odd","event":"e"}', ("info", "e", {})),
        (b'{"a":1}', ("info", '{"a":1}', {"a": "1"})),
        (b'{"child":"x","event":"e"}', ("info", "e", {})),
        (b"[1]", ("info", "[1]", {})),
        (b"{broken", ("info", "{broken", {})),
        (b'{"a":' * 9000, ("info", '{"a":' * 9000, {})),
    ],
    ids=[
        "text",
        "bytes",
        "comet",
        "comet error",
        "ours",
        "level",
        "no event",
        "child",
        "list",
        "broken",
        "deep",
    ],
)
def test_a_line_is_read_as_its_writer_meant_it(
    line: bytes, expected: tuple[str, str, dict[str, str]]
) -> None:
    assert child.read_line(line) == expected


@given(
    st.one_of(
        st.binary(max_size=100),
        st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.text(), st.integers())).map(
            lambda fields: json.dumps(fields).encode()
        ),
    )
)
def test_any_line_can_be_logged(line: bytes) -> None:
    level, event, fields = child.read_line(line)

    with capture_logs():
        child.log.get("test").at(level, event, **child.safe(fields))


def test_fields_never_replace_what_the_log_line_is_made_of() -> None:
    assert child.safe({"event": "a", "level": "b", "self": "c", "height": "5"}) == {"height": "5"}
