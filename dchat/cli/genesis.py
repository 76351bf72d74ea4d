"""`dchat genesis`: how a network begins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dchat.cli.show import Json, Value, show
from dchat.node import identity
from dchat.node.files import read_bounded
from dchat.node.network import MAX_GENESIS_BYTES
from dchat.operator.plan import keys_of
from genesis import build as builder
from genesis import settings as files
from genesis.check import check as read_back


def register(app: typer.Typer) -> None:
    """Add `genesis` to `app`."""
    group = typer.Typer(help="Build and check genesis files.")
    group.callback()(_group)
    group.command("build")(build)
    group.command("check")(check)
    group.command("keys")(keys)
    app.add_typer(group, name="genesis")


def _group() -> None:
    """Build and check genesis files."""


def build(
    *,
    settings: Annotated[Path, typer.Option(help="TOML file that says how the network begins.")],
    output: Annotated[Path, typer.Option(help="Directory for the files; made when absent.")],
    as_json: Json = False,
) -> None:
    """Write both chains' genesis files, and a network file where settings name RPC addresses.

    The same settings always give the same bytes. A different file is never overwritten.
    """
    written = builder.write(files.load(settings), output)
    show([_summary(path) for path in written if path.name != "network.toml"], as_json=as_json)


def check(
    *,
    file: Annotated[Path, typer.Option(help="A genesis file.")],
    as_json: Json = False,
) -> None:
    """Check that a genesis file is whole, and say what it holds."""
    show(_summary(file), as_json=as_json)


def keys(
    *,
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Node identity of the validator to be.")
    ],
    as_json: Json = False,
) -> None:
    """Print the public keys that genesis settings and the network file name a validator by."""
    owner = identity.load(identity_file)
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    show(
        {
            "chat_key": chat.consensus_key,
            "currency_key": currency.consensus_key,
            "chat_node_id": chat.node_id,
            "currency_node_id": currency.node_id,
        },
        as_json=as_json,
    )


def _summary(path: Path) -> dict[str, Value]:
    found = read_back(read_bounded(path, MAX_GENESIS_BYTES))
    return {
        "file": str(path),
        "chain_id": found.chain_id,
        "genesis_time": found.genesis_time,
        "sha256": found.sha256,
        "validators": len(found.validators),
        "validators_hash": found.validators_hash,
        "accounts": found.accounts,
        "supply_base_units": found.supply,
        "max_block_bytes": found.max_block_bytes,
        "max_block_cost": found.max_block_cost,
    }
