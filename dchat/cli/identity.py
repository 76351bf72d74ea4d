"""`dchat identity`: what an identity file holds, and what its owner does with the identity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dchat.cli import identity_handles, identity_keys, identity_recovery
from dchat.cli.rotate import rotate_key
from dchat.cli.show import Json, show
from dchat.kernel import accounts
from dchat.node import identity


def register(app: typer.Typer) -> None:
    """Add the `identity` group to `app`."""
    group = typer.Typer(help="Look into identity files; change an identity's key and handle.")
    group.callback()(_group)
    group.command()(verify)
    group.command()(rotate_key)
    for families in (identity_keys, identity_recovery):
        families.register(group)
    identity_handles.register(group)
    app.add_typer(group, name="identity")


def verify(
    *,
    file: Annotated[Path, typer.Option(help="Identity file to check.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Also open the seal with the passphrase in here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check an identity file's form, permissions and keys."""
    sheet = identity.read(file)
    opened = sheet.seal is None or passphrase_file is not None
    if opened:
        passphrase = identity.read_passphrase(passphrase_file) if passphrase_file else None
        identity.open_sheet(file, sheet, passphrase)
    report = {
        "file": str(file),
        "kind": sheet.kind,
        "account": accounts.show_account(sheet.account),
        "public_key": sheet.public_key,
        "key_version": sheet.key_version,
        "sealed": sheet.seal is not None,
        "keys_match": "yes" if opened else "not checked: give --passphrase-file",
    }
    show(report, as_json=as_json)


def _group() -> None:
    """Look into identity files; change an identity's key and handle."""
