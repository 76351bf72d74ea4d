"""Settings in, both genesis files and the network file out; the same settings give the same bytes.

`app_state` is one JSON string: base64 of the canonical codec, since pure rooms know no JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from abci_chat import genesis as chat_genesis
from abci_chat import params as chat_params
from abci_chat.genesis import Beginning as Chat
from abci_chat.genesis import Voter
from abci_chat.state.foreign import Bound, ForeignSection
from abci_currency import genesis as currency_genesis
from abci_currency import params as currency_params
from abci_currency.genesis import Beginning as Currency
from abci_currency.genesis import Founder as Staked
from dchat.kernel import genesis
from dchat.kernel.codec import CodecError
from dchat.kernel.headers import Validator, validator_set, validators_hash
from dchat.kernel.ids import AccountId, Amount, ChainId, Cost, Height
from dchat.kernel.light import TrustRoot
from dchat.kernel.params import Bounds, Params
from dchat.node import network
from dchat.node.rfc3339 import show_time
from genesis.settings import (
    BadGenesisSettings,
    ChainSettings,
    GenesisSettings,
    Limits,
    ValidatorEntry,
    check,
)

NS: Final = 1_000_000_000
EVIDENCE_BYTES: Final = 1 << 20
KERNEL: Final = "kernel"
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
    founders: Sequence[Founder]
    state: bytes


@dataclass(frozen=True, slots=True)
class Beginning:
    """One chain's genesis file and the root of trust that follows from it."""

    content: bytes
    root: TrustRoot


def build(settings: GenesisSettings) -> dict[str, Beginning]:
    """Return `chat` and `currency`. Raises: BadGenesisSettings."""
    try:
        check(settings)
        economy, community = _economy(settings), _community(settings)
        currency_genesis.check(economy)
        chat_genesis.check(community)
    except (ValueError, CodecError) as fault:
        raise BadGenesisSettings(str(fault)) from None
    powers = currency_genesis.powers(economy)
    founding = [(each, powers[each.currency_key]) for each in settings.validators]
    chat = Plan(
        ChainId(settings.chain_id),
        [Founder(each.moniker, Validator(each.chat_key, power)) for each, power in founding],
        chat_genesis.SHAPE.encode(community),
    )
    currency = Plan(
        ChainId(f"{settings.chain_id}-currency"),
        [Founder(each.moniker, Validator(each.currency_key, power)) for each, power in founding],
        currency_genesis.SHAPE.encode(economy),
    )
    return {"chat": _begin(settings, chat), "currency": _begin(settings, currency)}


def _economy(settings: GenesisSettings) -> Currency:
    """Return what the currency chain begins with, in canonical order."""
    chosen = settings.economy
    held = [(each.account, each.balance) for each in settings.accounts]
    age_ms = 1000 * settings.limits.evidence_max_age_s
    slashing = replace(chosen.rules.slashing, evidence_max_age_ms=age_ms)
    return Currency(
        kernel=_kernel(settings.limits, settings.currency, held),
        rules=replace(chosen.rules, slashing=slashing),
        founders=tuple(sorted(map(_staked, settings.validators), key=lambda each: each.operator)),
        bonds=tuple(sorted(chosen.bonds, key=lambda each: (each.delegator, each.operator))),
        locks=tuple(sorted(chosen.locks, key=lambda each: each.account)),
        treasury=chosen.treasury,
    )


def _staked(entry: ValidatorEntry) -> Staked:
    return Staked(
        operator=entry.account,
        consensus_key=entry.currency_key,
        moniker=entry.moniker,
        terms=entry.terms,
        min_self_delegation=entry.min_self_delegation,
        stake=entry.stake,
    )


def _community(settings: GenesisSettings) -> Chat:
    """Return what the chat chain begins with, in canonical order."""
    held = [(each.account, each.credits) for each in settings.accounts]
    members = [
        chat_genesis.Validator(each.chat_key, each.account, each.beacon_head, each.beacon_length)
        for each in settings.validators
    ]
    return Chat(
        kernel=_kernel(settings.limits, settings.chat, held),
        rules=settings.community.rules,
        voters=tuple(sorted(_voters(settings), key=lambda each: each.account)),
        validators=tuple(sorted(members, key=lambda each: each.consensus_key)),
        currency=currency_bounds(),
    )


def _voters(settings: GenesisSettings) -> Sequence[Voter]:
    given = settings.community.voters
    return given or [Voter(each.account, each.stake) for each in settings.validators]


def currency_bounds() -> tuple[ForeignSection, ...]:
    """Return what the chat chain has to know of the currency chain's parameters to vote on them."""
    return tuple(
        ForeignSection(name, tuple(Bound(each, *bounds[each]) for each in sorted(bounds)))
        for name, bounds in sorted(_votable().items())
    )


def _votable() -> dict[str, Bounds]:
    """Return the bounds by section; those of the kernel's are the chat chain's own.

    The age of evidence is CometBFT's as well, so no vote's.
    """
    found = {name: dict(each.bounds) for name, each in currency_params.SECTIONS.items()}
    del found[currency_params.SLASHING.name]["evidence_max_age_ms"]
    return {**found, KERNEL: chat_params.VOTED[KERNEL].bounds}


def _kernel(
    limits: Limits, rules: ChainSettings, held: Sequence[tuple[AccountId, Amount]]
) -> genesis.Genesis:
    params = Params(
        rules.fee_per_1000_cost,
        Cost(limits.max_block_cost),
        limits.max_block_bytes,
        Height(limits.max_validity_blocks),
    )
    return genesis.Genesis(
        params, tuple(genesis.Allocation(*each) for each in sorted(held) if each[1])
    )


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


def _begin(settings: GenesisSettings, plan: Plan) -> Beginning:
    members = validator_set(founder.validator for founder in plan.founders)
    document = {
        "genesis_time": show_time(settings.time_ns),
        "chain_id": plan.chain_id,
        "initial_height": "1",
        "consensus_params": _consensus_params(settings.limits),
        "validators": [_founder(each) for each in plan.founders],
        "app_hash": "",
        "app_state": base64.b64encode(plan.state).decode(),
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
