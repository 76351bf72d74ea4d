"""What lies in a devnet's directory: identities, genesis, network file and settings."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from abci_currency.genesis import Rules
from abci_currency.params import Relays, Slashing, Staking
from dchat.kernel.amounts import parse_amount
from dchat.kernel.ids import Amount
from dchat.node import identity, network
from dchat.node.identity import Identity
from dchat.node.network import ChainEntry
from dchat.operator import beacon, chains
from dchat.operator.chains import Chain
from dchat.operator.layout import FOLDERS, USERS, Estate, Member
from dchat.operator.plan import keys_of
from dchat.operator.ports import HOST
from genesis import build as builder
from genesis.settings import (
    AccountEntry,
    ChainSettings,
    Economy,
    GenesisSettings,
    Limits,
    NetworkSettings,
    ValidatorEntry,
)
from relay.net.address import peer_id

OPENING_BALANCE: Final = parse_amount("1000")
OPENING_CREDITS: Final = parse_amount("1000")
STAKE: Final = parse_amount("1000")
"""Of each founder, who begins with SPARE besides."""
SPARE: Final = parse_amount("100")
RELAY_FUNDS: Final = parse_amount("200")
TRUSTING_PERIOD_S: Final = 7 * 86_400
"""Longer than stake answers for: whoever trusts a devnet runs all of it."""
UNBONDING_S: Final = 600
"""Short enough to see it end, as are the jails below; on a real network it is two weeks."""
RULES: Final = Rules(
    staking=Staking(
        min_validator_stake=parse_amount("10"),
        unbonding_ms=1000 * UNBONDING_S,
        key_rotation_fee=parse_amount("1"),
    ),
    slashing=Slashing(
        missed_blocks_window=100,
        min_signed_per_window_bp=5000,
        downtime_jail_ms=60_000,
        double_sign_jail_ms=300_000,
    ),
    relays=Relays(
        min_stake=parse_amount("100"),
        unbonding_ms=1000 * UNBONDING_S,
        escrow_delay_ms=1000 * UNBONDING_S,
    ),
)
TIMEOUT_COMMIT_MS: Final = 500


def furnish(estate: Estate, now_s: int) -> None:
    """Fill a new directory; the chains begin at now_s, seconds since 1970."""
    for name in FOLDERS:
        (estate.root / name).mkdir(mode=0o700)
    relay = identity.create(estate.identity("relay"), "node")
    users = [_make_user(estate, name) for name in USERS]
    ensure_nodes(estate)
    builder.write(_genesis(estate, relay, users, now_s), estate.root)


def ensure_nodes(estate: Estate) -> None:
    """Give every node that has none yet an identity and a folder."""
    for member in estate.members:
        (estate.root / member.name).mkdir(mode=0o700, exist_ok=True)
        if not estate.identity(member.name).exists():
            identity.create(estate.identity(member.name), "node")


def update_network(estate: Estate) -> None:
    """Make the network file name every node where it listens now."""
    found = network.load(estate.network)
    currency, chat = chains.both(estate.name)
    moved = replace(
        found,
        chat=_moved(found.chat, estate, chat),
        currency=_moved(found.currency, estate, currency),
    )
    if moved != found:
        network.save(estate.network, moved)


def rpc_urls(estate: Estate, chain: Chain) -> tuple[str, ...]:
    """Return where clients reach a chain: every node, the first validator first."""
    ports = [estate.ports_of(member).rpc + chain.port_step for member in estate.members]
    return tuple(f"http://{HOST}:{port}" for port in ports)


def node_id(estate: Estate, member: Member, chain: Chain) -> str:
    """Return the id by which peers know a node on a chain."""
    return keys_of(identity.load(estate.identity(member.name)), chain.name).node_id


def write_settings(estate: Estate) -> Mapping[str, Path]:
    """Write the settings of every process and return the files by the process's name."""
    texts = {member.name: _node_settings(estate, member) for member in estate.members}
    texts["relay"] = _relay_settings(estate)
    for name, text in texts.items():
        estate.settings(name).write_text(f"# written by `dchat devnet` at every start\n{text}")
    return {name: estate.settings(name) for name in texts}


def _node_settings(estate: Estate, member: Member) -> str:
    root, used = estate.root.resolve(), estate.ports_of(member)
    return f"""[validator]
identity_file = {_quote(root / "identities" / f"{member.name}.json")}
chain_id = "{estate.name}"
data_dir = {_quote(root / member.name)}
moniker = "{member.name}"
network = {_quote(root / "network.toml")}

[network]
listen_address = "{HOST}:{used.p2p}"
rpc_listen_address = "{HOST}:{used.rpc}"

[consensus]
timeout_commit = {TIMEOUT_COMMIT_MS}

[observability]
health_port = {used.validator_health}
metrics_port = {used.validator_metrics}
"""


def _relay_settings(estate: Estate) -> str:
    root, used = estate.root.resolve(), estate.ports
    return f"""[node]
identity_file = {_quote(root / "identities" / "relay.json")}
data_dir = {_quote(root / "relay")}

[network]
listen_address = "{HOST}:{used.relay}"
public_address = "/ip4/{HOST}/tcp/{used.relay}"

[observability]
health_port = {used.relay_health}
metrics_port = {used.relay_metrics}
"""


def _make_user(estate: Estate, name: str) -> Identity:
    passphrase = secrets.token_urlsafe(18)
    handle = os.open(estate.passphrase(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{passphrase}\n")
    return identity.create(estate.identity(name), "user", passphrase.encode())


def _genesis(estate: Estate, relay: Identity, users: list[Identity], now_s: int) -> GenesisSettings:
    founders = tuple(_founder(estate, member) for member in estate.validators)
    held = [AccountEntry(user.account_id, OPENING_BALANCE, OPENING_CREDITS) for user in users]
    held += [
        AccountEntry(each.account, Amount(STAKE + SPARE), OPENING_CREDITS) for each in founders
    ]
    held.append(AccountEntry(relay.account_id, RELAY_FUNDS, OPENING_CREDITS))
    home = f"/ip4/{HOST}/tcp/{estate.ports.relay}/p2p/{peer_id(relay.child('libp2p'))}"
    plain = GenesisSettings(
        estate.name,
        now_s * 1_000_000_000,
        founders,
        tuple(held),
        NetworkSettings(estate.name, (home,), TRUSTING_PERIOD_S),
        limits=Limits(evidence_max_age_s=UNBONDING_S),
        economy=Economy(RULES),
    )
    currency, chat = chains.both(estate.name)
    return replace(
        plain,
        chat=_reached(plain.chat, estate, chat),
        currency=_reached(plain.currency, estate, currency),
    )


def _founder(estate: Estate, member: Member) -> ValidatorEntry:
    owner = identity.load(estate.identity(member.name))
    chat, currency = keys_of(owner, "chat"), keys_of(owner, "currency")
    keys = chat.consensus_key, currency.consensus_key
    bound = ValidatorEntry(member.name, owner.account_id, STAKE, *keys)
    head = beacon.head(owner, estate.name)
    return replace(bound, beacon_head=head, beacon_length=beacon.LENGTH)


def _reached(settings: ChainSettings, estate: Estate, chain: Chain) -> ChainSettings:
    return replace(settings, rpc=rpc_urls(estate, chain), seeds=_seeds(estate, chain))


def _moved(entry: ChainEntry, estate: Estate, chain: Chain) -> ChainEntry:
    return replace(entry, rpc=rpc_urls(estate, chain), seeds=_seeds(estate, chain))


def _seeds(estate: Estate, chain: Chain) -> tuple[str, ...]:
    """Every validator, since a full node may be gone at the next start."""
    return tuple(
        f"{node_id(estate, each, chain)}@{HOST}:{estate.ports_of(each).p2p + chain.port_step}"
        for each in estate.validators
    )


def _quote(path: Path) -> str:
    """Return a path as a TOML string; JSON escapes as TOML does."""
    return json.dumps(str(path), ensure_ascii=False)
