"""`dchat user`: talk and pay, in lines."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import trio
import typer

from dchat.cli.chains import Network
from dchat.cli.unlock import PassphraseFile, unlock
from dchat.client.engine import open_client
from dchat.client.lines import LineMode, Screen
from dchat.client.terminal import (
    PlainScreen,
    TerminalScreen,
    piped_lines,
    restored,
    typed_lines,
)
from dchat.kernel.errors import OperatorError
from dchat.node import network as networks
from dchat.node.identity import Identity
from dchat.node.network import NetworkFile


class NoGui(OperatorError):
    """The window is not part of this release."""

    exit_code = 2
    hint = "leave --gui out: the same commands work in the terminal"


def register(app: typer.Typer) -> None:
    """Add `user` to `app`."""
    app.command()(user)


def user(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    identity: Annotated[
        Path, typer.Option(envvar="DCHAT_IDENTITY_FILE", help="Your identity file.")
    ],
    network: Network,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keeps messages, encrypted. Default: beside the identity, FILE.data."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    handle: Annotated[
        str | None, typer.Option(help="Register under this handle unless that is done.")
    ] = None,
    bootstrap: Annotated[
        list[str] | None,
        typer.Option(help="Relay multiaddr with /p2p/ID, in place of the network's; repeatable."),
    ] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Not in this release.")] = False,
) -> None:
    """Talk and pay in the terminal, or by lines from a pipe."""
    if gui:
        raise NoGui("there is no window in this release")
    described = networks.load_named(network)
    opened = unlock(identity, passphrase_file)
    folder = data_dir or identity.with_name(identity.name + ".data")
    with restored():
        trio.run(_talk, opened, described, folder, tuple(bootstrap or ()), handle)


async def _talk(
    identity: Identity,
    network: NetworkFile,
    folder: Path,
    relays: tuple[str, ...],
    handle: str | None,
) -> None:
    async with open_client(identity, network, folder, relays) as client:
        screen, lines = _terminal() if sys.stdin.isatty() and sys.stdout.isatty() else _pipes()
        mode = LineMode(client, screen)
        if handle is not None:
            await mode.register(handle)
        await mode.run(lines)


def _terminal() -> tuple[Screen, AsyncGenerator[str]]:
    screen = TerminalScreen(sys.stdout)
    return screen, typed_lines(screen)


def _pipes() -> tuple[Screen, AsyncGenerator[str]]:
    return PlainScreen(sys.stdout), piped_lines(sys.stdin.fileno())
