"""`dchat validator`: run a node of both chains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dchat.node import log
from dchat.node.config import ValidatorConfig, load
from dchat.operator import validator as node
from dchat.operator.plan import plan


def register(app: typer.Typer) -> None:
    """Add `validator` to `app`."""
    app.command()(validator)


def validator(  # noqa: PLR0913 -- one parameter per flag
    *,
    config: Annotated[Path | None, typer.Option(help="TOML file; flags win over it.")] = None,
    identity: Annotated[
        Path | None, typer.Option(help="Node identity file; consensus keys are its children.")
    ] = None,
    chain_id: Annotated[
        str | None, typer.Option(help="Chat chain X; the currency chain is X-currency.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT for peers; the currency chain adds 10.")
    ] = None,
    rpc_listen: Annotated[
        str | None, typer.Option(help="HOST:PORT for clients; the currency chain adds 10.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Holds both chains; made when absent.")
    ] = None,
    bootstrap: Annotated[
        list[str] | None, typer.Option(help="Multiaddr of a known node; repeatable.")
    ] = None,
    network: Annotated[
        Path | None, typer.Option(help="Network file naming genesis files and seeds.")
    ] = None,
    genesis_file: Annotated[
        list[Path] | None, typer.Option(help="A chain's genesis file; give both chains'.")
    ] = None,
    moniker: Annotated[str | None, typer.Option(help="Name that other operators see.")] = None,
    stake: Annotated[
        int | None,
        typer.Option(help="DCHAT to stake, once, to validate the currency chain if it does not."),
    ] = None,
    health_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of /health, /ready and /status.")
    ] = None,
    metrics_address: Annotated[str | None, typer.Option(help="HOST:PORT of /metrics.")] = None,
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
    """Run a node of both chains.

    It validates if its keys are among the validators.
    """
    flags: dict[str, object] = {
        "validator.identity_file": identity,
        "validator.chain_id": chain_id,
        "validator.data_dir": data_dir,
        "validator.moniker": moniker,
        "validator.network": network,
        "validator.genesis_files": genesis_file,
        "validator.log_level": log_level,
        "validator.json_logs": json_logs,
        "network.listen_address": listen,
        "network.rpc_listen_address": rpc_listen,
        "network.bootstrap_validators": bootstrap,
        "staking.initial_stake": stake,
        "observability.health_address": health_address,
        "observability.metrics_address": metrics_address,
    }
    settings = load(ValidatorConfig, config, flags).settings
    chosen = settings.validator
    logging = log.settings(chosen.log_level, os.environ, json_logs=chosen.json_logs)
    if validate:
        typer.echo("the settings are valid")
        return
    log.configure(logging)
    planned = plan(settings)
    if dry_run:
        node.rehearse(planned, os.environ)
        typer.echo("everything opened; the validator would run")
        return
    node.run(planned, lambda line: typer.echo(f"dchat: {line}", err=True))
