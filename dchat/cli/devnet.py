"""`dchat devnet`: a whole network on this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from dchat.cli.show import Json
from dchat.node import log
from dchat.operator import demo as script
from dchat.operator import devnet as network
from dchat.operator import estate, tour
from dchat.operator.devnet import Say, Show
from dchat.operator.estate import Wanted
from dchat.operator.layout import MOST, Estate

DEFAULT_DIR: Final = Path("devnet")
CLEAR: Final = "\r\x1b[2K"
QUIET_EVERY: Final = 60
"""Without a terminal, one status line in so many is printed, or in this many at the start."""
EVERY_AT_START: Final = 8


def register(app: typer.Typer) -> None:
    """Add `devnet` to `app`."""
    app.command()(devnet)


def devnet(  # noqa: PLR0913 -- one parameter per flag
    *,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where everything is kept; ./devnet by default.")
    ] = None,
    validators: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="Validators of a new devnet; 1 by default, fixed by genesis."
        ),
    ] = None,
    full_nodes: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST, help="Nodes that follow and serve; may change at every start."
        ),
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
    as_json: Json = False,
) -> None:
    """Run both chains, a relay and two funded users on this machine, until Ctrl-C.

    With --json, one document with every address is printed once all is up; progress goes to stderr.
    """
    show = _show(as_json=as_json)
    order = Order(Wanted(validators, full_nodes), fresh, demo)
    if demo and folder is None:
        _demo_apart(show, order)
        return
    root = folder or DEFAULT_DIR
    if fresh and not yes and estate.exists(root) and sys.stdin.isatty():
        typer.confirm(f"remove the devnet in {root}, with all its messages?", abort=True)
    _run(root, show, order)


@dataclass(frozen=True, slots=True)
class Order:
    """What the flags ask for."""

    wanted: Wanted
    fresh: bool
    demo: bool


def _demo_apart(show: Show, order: Order) -> None:
    """Play the demo in a directory that is removed if all goes well."""
    root = Path(tempfile.mkdtemp(prefix="dchat-demo-"))
    try:
        _run(root, show, replace(order, fresh=False))
    except BaseException:
        show.say(f"everything was kept in {root}")
        raise
    shutil.rmtree(root, ignore_errors=True)


def _run(root: Path, show: Show, order: Order) -> None:
    async def play(found: Estate) -> None:
        await script.play(found, show.say)

    log.configure(log.settings("warn", os.environ, json_logs=False))
    network.run(root, order.wanted, show, play if order.demo else None, fresh=order.fresh)
    show.say("stopped")


def _show(*, as_json: bool) -> Show:
    if as_json:
        return for_programs()
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

    return Show(say, status, _instruct(say))


def plain() -> Show:
    """Every line is printed, but only some of the many status lines."""
    seen = 0

    def status(line: str) -> None:
        nonlocal seen
        if seen % (EVERY_AT_START if line.startswith("starting") else QUIET_EVERY) == 0:
            typer.echo(line)
        seen += 1

    return Show(typer.echo, status, _instruct(typer.echo))


def for_programs() -> Show:
    """One JSON document on stdout; lines for people go to stderr, status lines nowhere."""

    def say(line: str) -> None:
        typer.echo(line, err=True)

    def announce(found: Estate) -> None:
        typer.echo(json.dumps(tour.manifest(found)))

    return Show(say, lambda _line: None, announce)


def _instruct(say: Say) -> Callable[[Estate], None]:
    def announce(found: Estate) -> None:
        for line in tour.instructions(found):
            say(line)

    return announce
