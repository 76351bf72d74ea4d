"""Standard input and output as line mode needs them: a terminal with a prompt, or plain pipes."""

from __future__ import annotations

import os
import stat
import sys
import termios
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

import trio

MAX_LINE: Final = 64 * 1024
"""Bytes read of one line; the rest of a longer one is the next line."""
_CLEAR_LINE: Final = "\r\x1b[K"


class PlainScreen:
    """Lines on a stream, each written out at once; prompts are not shown."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, line: str) -> None:
        """Write the line."""
        self._out.write(line + "\n")
        self._out.flush()

    def ask(self, prompt: str) -> None:
        """Show nothing: nobody is typing."""


class TerminalScreen:
    """Lines above the one being typed, which stays as it was."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._prompt = ""

    def show(self, line: str) -> None:
        """Write the line where the typed one stood, and the typed one below it again."""
        import readline  # noqa: PLC0415 -- changes how input() works, so only with a terminal

        self._out.write(f"{_CLEAR_LINE}{line}\n{self._prompt}{readline.get_line_buffer()}")
        self._out.flush()

    def ask(self, prompt: str) -> None:
        """Change the prompt of the line being typed."""
        self._prompt = prompt
        self.redraw()

    def redraw(self) -> None:
        """Write the prompt on a clean line."""
        self._out.write(_CLEAR_LINE + self._prompt)
        self._out.flush()


async def piped_lines(source: int) -> AsyncGenerator[str]:
    """Give the lines of a pipe or file, by its descriptor, until it ends.

    No thread waits in a read: one that did could not be ended with the process.
    """
    waiting = b""
    while chunk := await _read_some(source):
        *lines, waiting = (waiting + chunk).split(b"\n")
        if len(waiting) > MAX_LINE:
            lines, waiting = [*lines, waiting], b""
        for line in lines:
            yield line.decode(errors="replace")
    if waiting:
        yield waiting.decode(errors="replace")


async def _read_some(source: int) -> bytes:
    if not stat.S_ISREG(os.fstat(source).st_mode):
        with suppress(PermissionError):  # /dev/null and its like: always readable, never waited for
            await trio.lowlevel.wait_readable(source)
    return os.read(source, MAX_LINE)


async def typed_lines(screen: TerminalScreen) -> AsyncGenerator[str]:
    """Give what is typed at the terminal, with line editing, until Ctrl-D."""
    while True:
        try:
            line = await trio.to_thread.run_sync(input, abandon_on_cancel=True)
        except EOFError:
            return
        yield line
        screen.redraw()


@contextmanager
def restored() -> Generator[None]:
    """Leave the terminal as it was found, even if a line is still being typed."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write("\n")
