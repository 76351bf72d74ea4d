"""Settings in, both genesis files and the network file out; the same settings give the same bytes.

`app_state` is one JSON string: base64 of the canonical codec, since pure rooms know no JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dchat.kernel import genesis
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, Height
from dchat.kernel.light import TrustRoot
from dchat.kernel.params import Params
from dchat.node import network
from dchat.node.rfc3339 import show_time
from genesis.settings import (
    BadGenesisSettings,
    ChainSettings,
    GenesisSettings,
    Limits,
    check,
)

NS: Final = 1_000_000_000
EVIDENCE_BYTES: Final = 1 << 20
FILES: Final = {"chat": "genesis-chat.json", "currency": "genesis-currency.json"}


@dataclass(frozen=True, slots=True)
class Founder:
    """One validator as one chain sees it."""

    name: str
    validator: Validator


@dataclass(frozen=True, slots=True)
class Plan:
    """What one chain begins with."""

    chain_id: ChainId
    rules: ChainSettings
    founders: Sequence[Founder]
    held: Sequence[tuple[AccountId, Amount]]


@dataclass(frozen=True, slots=True)
class Beginning:
    """One chain's genesis file and the root of trust that follows from it."""

    content: bytes
    root: TrustRoot


def build(settings: GenesisSettings) -> dict[str, Beginning]:
    """Return `chat` and `currency`. Raises: BadGenesisSettings."""
    try:
        check(settings)
    except ValueError as fault:
        raise BadGenesisSettings(str(fault)) from None
    founding, held = settings.validators, settings.accounts
    chat = Plan(
        ChainId(settings.chain_id),
        settings.chat,
        [Founder(each.name, Validator(each.chat_key, each.power)) for each in founding],
        [(each.account, each.credits) for each in held],
    )
    currency = Plan(
        ChainId(f"{settings.chain_id}-currency"),
        settings.currency,
        [Founder(each.name, Validator(each.currency_key, each.power)) for each in founding],
        [(each.account, each.balance) for each in held],
    )
    return {"chat": _begin(settings, chat), "currency": _begin(settings, currency)}


def network_file(settings: GenesisSettings, folder: Path) -> network.NetworkFile:
    """Return the network file that belongs beside the genesis files in folder."""
    begun = build(settings)
    return network.NetworkFile(
        settings.network.name,
        settings.network.relays,
        _entry(settings, settings.chat, begun["chat"], folder / FILES["chat"]),
        _entry(settings, settings.currency, begun["currency"], folder / FILES["currency"]),
    )


def write(settings: GenesisSettings, folder: Path) -> list[Path]:
    """Write both genesis files, and network.toml where the settings say how to reach the chains.

    Raises: BadGenesisSettings, also where a different file is there already.
    """
    begun = build(settings)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / FILES[name] for name in begun]
    for path, each in zip(paths, begun.values(), strict=True):
        if path.exists() and path.read_bytes() != each.content:
            raise BadGenesisSettings(f"{path} exists and differs; remove it first")
    for path, each in zip(paths, begun.values(), strict=True):
        path.write_bytes(each.content)
    if settings.chat.rpc and settings.currency.rpc:
        paths.append(folder / "network.toml")
        network.save(paths[-1], network_file(settings, folder))
    return paths


def _state(limits: Limits, plan: Plan) -> bytes:
    rules = Params(
        plan.rules.fee_per_1000_cost,
        Cost(limits.max_block_cost),
        limits.max_block_bytes,
        Height(limits.max_validity_blocks),
    )
    allocations = tuple(genesis.Allocation(*each) for each in sorted(plan.held) if each[1])
    return genesis.SHAPE.encode(genesis.Genesis(rules, allocations))


def _begin(settings: GenesisSettings, plan: Plan) -> Beginning:
    members = validator_set(founder.validator for founder in plan.founders)
    document = {
        "genesis_time": show_time(settings.time_ns),
        "chain_id": plan.chain_id,
        "initial_height": "1",
        "consensus_params": _consensus_params(settings.limits),
        "validators": [_founder(each) for each in plan.founders],
        "app_hash": "",
        "app_state": base64.b64encode(_state(settings.limits, plan)).decode(),
    }
    content = json.dumps(document, indent=2, ensure_ascii=True).encode() + b"\n"
    root = TrustRoot(plan.chain_id, Height(1), settings.time_ns, validators_hash(members))
    return Beginning(content, root)


def _consensus_params(limits: Limits) -> dict[str, object]:
    return {
        "block": {"max_bytes": str(limits.max_block_bytes), "max_gas": str(limits.max_block_cost)},
        "evidence": {
            "max_age_num_blocks": str(limits.evidence_max_blocks),
            "max_age_duration": str(limits.evidence_max_age_s * NS),
            "max_bytes": str(min(EVIDENCE_BYTES, limits.max_block_bytes)),
        },
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {"app": "0"},
        "abci": {"vote_extensions_enable_height": "0"},
    }


def _founder(founder: Founder) -> dict[str, object]:
    key = base64.b64encode(founder.validator.public_key).decode()
    return {
        "address": founder.validator.address.hex().upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": key},
        "power": str(founder.validator.power),
        "name": founder.name,
    }


def _entry(
    settings: GenesisSettings, chain: ChainSettings, begun: Beginning, path: Path
) -> network.ChainEntry:
    digest = hashlib.sha256(begun.content).digest()
    period = settings.network.trusting_period_s
    return network.ChainEntry(path, digest, chain.rpc, chain.seeds, begun.root, period)
