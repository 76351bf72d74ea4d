"""`dchat devnet`: a whole network on this machine."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from dchat.node import log
from dchat.operator import demo as script
from dchat.operator import devnet as network
from dchat.operator import estate
from dchat.operator.devnet import Show
from dchat.operator.estate import Estate

DEFAULT_DIR: Final = Path("devnet")
CLEAR: Final = "\r\x1b[2K"
QUIET_EVERY: Final = 60
"""Without a terminal, one status line in so many is printed, or in this many at the start."""
EVERY_AT_START: Final = 8


def register(app: typer.Typer) -> None:
    """Add `devnet` to `app`."""
    app.command()(devnet)


def devnet(
    *,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where everything is kept; ./devnet by default.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove the devnet in that directory first.")
    ] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Play a checked conversation, then stop; in a directory of its own without --dir.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before removing a devnet.")
    ] = False,
) -> None:
    """Run both chains, a relay and two funded users on this machine, until Ctrl-C."""
    show = _show()
    if demo and folder is None:
        _demo_apart(show)
        return
    root = folder or DEFAULT_DIR
    if fresh and not yes and estate.exists(root) and sys.stdin.isatty():
        typer.confirm(f"remove the devnet in {root}, with all its messages?", abort=True)
    _run(root, show, fresh=fresh, demo=demo)


def _demo_apart(show: Show) -> None:
    """Play the demo in a directory that is removed if all goes well."""
    root = Path(tempfile.mkdtemp(prefix="dchat-demo-"))
    try:
        _run(root, show, fresh=False, demo=True)
    except BaseException:
        show.say(f"everything was kept in {root}")
        raise
    shutil.rmtree(root, ignore_errors=True)


def _run(root: Path, show: Show, *, fresh: bool, demo: bool) -> None:
    async def play(found: Estate) -> None:
        await script.play(found, show.say)

    log.configure(log.settings("warn", os.environ, json_logs=False))
    network.run(root, show, play if demo else None, fresh=fresh)
    show.say("stopped")


def _show() -> Show:
    return terminal() if sys.stdout.isatty() else plain()


def terminal() -> Show:
    """Lines scroll by above one status line that is painted over."""

    def say(line: str) -> None:
        sys.stdout.write(f"{CLEAR}{line}\n")
        sys.stdout.flush()

    def status(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"{CLEAR}{line[:width]}")
        sys.stdout.flush()

    return Show(say, status)


def plain() -> Show:
    """Every line is printed, but only some of the many status lines."""
    seen = 0

    def status(line: str) -> None:
        nonlocal seen
        if seen % (EVERY_AT_START if line.startswith("starting") else QUIET_EVERY) == 0:
            typer.echo(line)
        seen += 1

    return Show(typer.echo, status)
