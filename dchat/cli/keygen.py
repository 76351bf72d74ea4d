"""`dchat keygen`: a fresh identity file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dchat.cli.show import Json, show
from dchat.cli.unlock import ask
from dchat.kernel import accounts
from dchat.node import identity
from dchat.node.identity import Kind


def register(app: typer.Typer) -> None:
    """Add `keygen` to `app`."""
    app.command()(keygen)


def keygen(
    *,
    output: Annotated[Path, typer.Option(help="New key file; must not exist.")],
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="node: kept in the clear for unattended starts. user: sealed with a passphrase. "
            "burner: a throw-away user. Default: user where a passphrase is given, else node."
        ),
    ] = None,
    burner: Annotated[bool, typer.Option("--burner", help="Short for --kind burner.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Seal the file with the passphrase in here (mode 0600).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an identity key file that only you can read."""
    if burner and kind not in {None, "burner"}:
        raise typer.BadParameter(f"a burner is not a {kind}", param_hint="--burner")
    wanted: Kind | None = "burner" if burner else kind
    passphrase = _passphrase(wanted, passphrase_file)
    made = identity.create(output, wanted or ("user" if passphrase else "node"), passphrase)
    report = {
        "file": str(output),
        "kind": made.kind,
        "account": accounts.show_account(made.account_id),
        "public_key": made.public_key,
        "sealed": passphrase is not None,
    }
    show(report, as_json=as_json)


def _passphrase(kind: Kind | None, file: Path | None) -> bytes | None:
    """From the file, else from the terminal where there is one; None for none."""
    if file is not None:
        return identity.read_passphrase(file)
    if kind == "node" or not sys.stdin.isatty():
        return None
    empty = "" if kind == "user" else " (none = keep the key in the clear)"
    return ask(f"passphrase{empty}", twice=True)
