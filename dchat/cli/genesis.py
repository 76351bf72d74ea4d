"""`dchat genesis`: how a network begins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abci_currency.genesis import Terms
from dchat.cli.show import Json, Value, show, tokens
from dchat.kernel import accounts
from dchat.kernel.amounts import parse_amount
from dchat.node import identity
from dchat.node.files import read_bounded
from dchat.node.identity import Identity
from dchat.node.network import MAX_GENESIS_BYTES
from dchat.operator import beacon
from dchat.operator.founding import Wish, offer_of
from dchat.operator.plan import keys_of
from genesis import build as builder
from genesis import entry as entries
from genesis import settings as files
from genesis.check import Summary
from genesis.check import check as read_back
from genesis.fields import basis_points


def register(app: typer.Typer) -> None:
    """Add `genesis` to `app`."""
    group = typer.Typer(help="Build and check genesis files.")
    group.callback()(_group)
    group.command("build")(build)
    group.command("check")(check)
    group.command("keys")(keys)
    group.command("add-validator")(add_validator)
    app.add_typer(group, name="genesis")


def _group() -> None:
    """Build and check genesis files."""


def build(
    *,
    settings: Annotated[Path, typer.Option(help="TOML file that says how the network begins.")],
    output: Annotated[Path, typer.Option(help="Directory for the files; made when absent.")],
    signed: Annotated[
        Path | None,
        typer.Option("--entries", help="Directory of validators' signed entries (*.json)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write both chains' genesis files, and a network file where settings name RPC addresses.

    The same settings and entries always give the same bytes. A different file is never overwritten.
    """
    chosen = files.load(settings)
    if signed is not None:
        chosen = files.with_entries(chosen, entries.load_all(signed, chosen.chain_id))
    written = builder.write(chosen, output)
    show([_summary(path) for path in written if path.name != "network.toml"], as_json=as_json)


def check(
    *,
    file: Annotated[Path, typer.Option(help="A genesis file.")],
    as_json: Json = False,
) -> None:
    """Check that a genesis file is whole, and say what it holds."""
    show(_summary(file), as_json=as_json)


def add_validator(  # noqa: PLR0913 -- Typer: one parameter per option
    *,
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Node identity of the validator to be.")
    ],
    settings: Annotated[Path, typer.Option(help="The network's TOML file, as for build.")],
    stake: Annotated[str, typer.Option(help="DCHAT of the identity's account to stake.")],
    output: Annotated[Path, typer.Option(help="The entry's file; must not exist.")],
    moniker: Annotated[str, typer.Option(help="Name that others see, to 64 bytes.")] = "dchat",
    commission: Annotated[
        float, typer.Option(help="Share of its delegators' rewards that it keeps, like 0.05.")
    ] = 0.0,
    max_commission: Annotated[float, typer.Option(help="What that may ever become.")] = 1.0,
    max_commission_change: Annotated[
        float | None, typer.Option(help="How far it may move a day; to its maximum when absent.")
    ] = None,
    min_self_delegation: Annotated[
        str, typer.Option(help="DCHAT of its own that it keeps staked, or is jailed.")
    ] = "1udchat",
    as_json: Json = False,
) -> None:
    """Write a validator's entry for a new network, signed by its account and both consensus keys.

    Whoever builds the genesis needs every validator's, and can change nothing in them.
    """
    most = _share(max_commission, "--max-commission")
    terms = Terms(
        _share(commission, "--commission"),
        most,
        _share(max_commission_change, "--max-commission-change", most),
    )
    wish = Wish(moniker, terms, parse_amount(min_self_delegation), parse_amount(stake))
    offer, content = offer_of(identity.load(identity_file), files.load(settings), wish)
    entries.save(output, content)
    show(
        {
            "file": str(output),
            "chain_id": offer.chain_id,
            "account": accounts.show_account(offer.account),
            "moniker": offer.moniker,
            "stake": tokens(offer.stake),
        },
        as_json=as_json,
    )


def _share(written: float | None, flag: str, default: int = 0) -> int:
    try:
        return default if written is None else basis_points(written)
    except ValueError as fault:
        raise files.BadGenesisSettings(f"{flag}: {fault}") from None


def keys(
    *,
    identity_file: Annotated[
        Path, typer.Option("--identity", help="Node identity of the validator to be.")
    ],
    chain_id: Annotated[
        str | None,
        typer.Option(help="The chat chain's id: with it, also the head of its preimages."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the public keys that genesis settings and the network file name a validator by."""
    owner = identity.load(identity_file)
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    show(
        {
            "account": accounts.show_account(owner.account_id),
            "chat_key": chat.consensus_key,
            "currency_key": currency.consensus_key,
            "chat_node_id": chat.node_id,
            "currency_node_id": currency.node_id,
            **_preimages(owner, chain_id),
        },
        as_json=as_json,
    )


def _preimages(owner: Identity, chain_id: str | None) -> dict[str, Value]:
    """Return what the validator is bound to on a chain: another chain, another secret's chain."""
    if chain_id is None:
        return {}
    return {"beacon_head": beacon.head(owner, chain_id), "beacon_length": beacon.LENGTH}


def _own(found: Summary) -> dict[str, Value]:
    """Return what only this chain's file holds."""
    if found.rules is None:
        return {
            "voters": found.voters,
            "voting_weight": found.weight,
            "validators_with_beacon": found.beacons,
        }
    return {
        "staked_base_units": found.staked,
        "delegations": found.delegations,
        "vesting_base_units": found.vesting,
        "treasury_base_units": found.treasury,
        "min_validator_stake": tokens(found.rules.staking.min_validator_stake),
    }


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
        **_own(found),
        "max_block_bytes": found.max_block_bytes,
        "max_block_cost": found.max_block_cost,
    }
