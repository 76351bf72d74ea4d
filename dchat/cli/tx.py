"""`dchat tx`: transactions by hand, from signing to the proof of what became of them."""

from __future__ import annotations

import typer

from dchat.cli import (
    tx_beacon,
    tx_issuer,
    tx_payments,
    tx_relays,
    tx_rewards,
    tx_staking,
    tx_validator,
)

FAMILIES = (tx_payments, tx_staking, tx_validator, tx_rewards, tx_relays, tx_issuer, tx_beacon)


def register(app: typer.Typer) -> None:
    """Add the `tx` group to `app`."""
    group = typer.Typer(help="Send transactions and wait for their blocks.")
    group.callback()(_group)
    for families in FAMILIES:
        families.register(group)
    app.add_typer(group, name="tx")


def _group() -> None:
    """Send transactions and wait for their blocks."""
