"""`dchat tx`: transactions by hand, from signing to the proof of what became of them."""

from __future__ import annotations

import typer

from dchat.cli import tx_payments, tx_rewards, tx_staking, tx_validator


def register(app: typer.Typer) -> None:
    """Add the `tx` group to `app`."""
    group = typer.Typer(help="Send transactions and wait for their blocks.")
    group.callback()(_group)
    for families in (tx_payments, tx_staking, tx_validator, tx_rewards):
        families.register(group)
    app.add_typer(group, name="tx")


def _group() -> None:
    """Send transactions and wait for their blocks."""
