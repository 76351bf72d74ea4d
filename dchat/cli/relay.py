"""`dchat relay`: keep mailboxes for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import trio
import typer

from dchat.node import log
from dchat.node.config import RelayConfig, load
from relay import node


def register(app: typer.Typer) -> None:
    """Add `relay` to `app`."""
    app.command()(relay)


def relay(  # noqa: PLR0913 -- one parameter per flag
    *,
    config: Annotated[Path | None, typer.Option(help="TOML file; flags win over it.")] = None,
    identity: Annotated[
        Path | None, typer.Option(help="Node identity file; its child key is the peer id.")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT that peers connect to.")] = None,
    public_address: Annotated[
        str | None, typer.Option(help="Multiaddr told to peers instead of the one listened on.")
    ] = None,
    bootstrap: Annotated[
        list[str] | None, typer.Option(help="Multiaddr with /p2p/ID of a known relay; repeatable.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Holds the mailbox database; made when absent.")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help="Port of /health, /ready and /status on this machine.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics on this machine.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="error, warn, info, debug or trace.")
    ] = None,
    json_logs: Annotated[
        bool | None, typer.Option("--json-logs", help="Log one JSON object a line.")
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Check the settings, then exit.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Also open files, ports and keys, then exit.")
    ] = False,
) -> None:
    """Run a relay: it keeps envelopes for their recipients."""
    flags: dict[str, object] = {
        "node.identity_file": identity,
        "network.listen_address": listen,
        "network.public_address": public_address,
        "network.bootstrap_nodes": bootstrap or None,
        "node.data_dir": data_dir,
        "observability.health_port": health_port,
        "observability.metrics_port": metrics_port,
        "node.log_level": log_level,
        "node.json_logs": json_logs,
    }
    settings = load(RelayConfig, config, flags).settings
    node.check(settings)
    chosen = log.settings(settings.node.log_level, os.environ, json_logs=settings.node.json_logs)
    if validate:
        typer.echo("the settings are valid")
        return
    log.configure(chosen)
    trio.run(node.rehearse if dry_run else node.run, node.plan(settings))
    if dry_run:
        typer.echo("everything opened; the relay would run")
