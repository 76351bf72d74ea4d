"""`dchat config`: which settings are in force."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from dchat.cli.show import Json, show
from dchat.node import config
from dchat.node.config import RelayConfig, Settings, ValidatorConfig


class Process(Enum):
    """A process that reads settings."""

    RELAY = "relay"
    VALIDATOR = "validator"


MODELS: Final[Mapping[Process, type[Settings]]] = {
    Process.RELAY: RelayConfig,
    Process.VALIDATOR: ValidatorConfig,
}


def register(app: typer.Typer) -> None:
    """Add `config` to `app`."""
    group = typer.Typer(help="Look at settings.")
    group.callback()(_group)
    group.command("show")(show_config)
    app.add_typer(group, name="config")


def _group() -> None:
    """Look at settings."""


def show_config(
    *,
    process: Annotated[Process, typer.Argument(help="Whose settings.")],
    file: Annotated[Path | None, typer.Option("--config", help="The process's TOML file.")] = None,
    as_json: Json = False,
) -> None:
    """Print every setting of a process, its value, and who set it: file, variable or default."""
    rows = config.show(config.load(MODELS[process], file, {}))
    if as_json:
        show(rows, as_json=True)
        return
    show({key: f"{row['value'] or '-'}  ({row['source']})" for key, row in rows.items()})
