"""`dchat tx`: transactions by hand, from signing to the proof of what became of them."""

from __future__ import annotations

import typer

from dchat.cli import tx_payments


def register(app: typer.Typer) -> None:
    """Add the `tx` group to `app`."""
    group = typer.Typer(help="Send transactions and wait for their blocks.")
    group.callback()(_group)
    tx_payments.register(group)
    app.add_typer(group, name="tx")


def _group() -> None:
    """Send transactions and wait for their blocks."""
