from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dchat.client import terminal
from dchat.client.terminal import PlainScreen, TerminalScreen, piped_lines, restored
from tests.fakes.peers import in_trio


async def read_all(source: int) -> list[str]:
    return [line async for line in piped_lines(source)]


def read_bytes(content: bytes) -> list[str]:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    try:
        return trio.run(read_all, reading)
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b"\n\n", ["", ""]),
        (b"gr\xc3\xbc\xc3\x9fe\n", ["grüße"]),
        (b"\xff\n", ["\ufffd"]),
    ],
)
def test_a_pipe_is_read_line_by_line(content: bytes, lines: list[str]) -> None:
    assert read_bytes(content) == lines


def test_a_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("/balance\n/quit\n")

    with (tmp_path / "script").open() as script:
        lines = trio.run(read_all, script.fileno())

    assert lines == ["/balance", "/quit"]


def test_no_input_at_all_ends_at_once() -> None:
    with Path(os.devnull).open() as nothing:
        assert trio.run(read_all, nothing.fileno()) == []


def test_a_line_without_end_is_cut_and_never_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "MAX_LINE", 4)

    assert read_bytes(b"123456789\n") == ["12345678", "9"]


@in_trio
async def test_waiting_for_a_line_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_all, reading)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    os.close(reading)
    os.close(writing)


def test_a_plain_screen_shows_lines_and_no_prompt() -> None:
    out = io.StringIO()
    screen = PlainScreen(out)

    screen.ask("> ")
    screen.show("hello")

    assert out.getvalue() == "hello\n"


def test_a_terminal_shows_lines_above_the_prompt() -> None:
    out = io.StringIO()
    screen = TerminalScreen(out)
    screen.ask("bob> ")

    screen.show("bob: hello")

    assert out.getvalue() == "\r\x1b[Kbob> \r\x1b[Kbob: hello\nbob> "


def test_without_a_terminal_there_is_nothing_to_restore(capsys: pytest.CaptureFixture[str]) -> None:
    with restored():
        pass

    assert capsys.readouterr().out == ""
