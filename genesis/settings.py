"""The file that decides how a network begins, read into checked values.

chain_id = "dchat-mainnet-1"             # the chat chain's; the currency chain adds -currency
genesis_time = "2026-12-01T12:00:00Z"
max_block_size = "10MiB"                 # these six may be left out
max_block_cost = 1000000                 # cost units in a block, CometBFT's gas
max_validity_blocks = 10000              # how far ahead a transaction may expire
evidence_max_age = "14d"                 # misbehaviour older than both bounds is ignored;
evidence_max_blocks = 1000000            # the age is the unbonding time at most
treasury = 0                             # DCHAT that nobody in particular holds

[chat]                                   # and [currency] alike; only fee may be left out
fee_per_1000_cost = 1000                 # base units
rpc = ["https://rpc.example.org:26657"]
seeds = ["nodeid@seed.example.org:26656"]

[staking]                                # as [slashing], [rewards], [relays]: economy.py
[identities]                             # as the chat chain's other sections: community.py

[[validators]]                           # or one signed entry each: entry.py
moniker = "first"                        # to 64 bytes
account = "dchat1…"                      # it has the stake in [[accounts]]
stake = 1000000                          # DCHAT; each whole one is a unit of voting power
commission = 0.05                        # these four may be left out
max_commission = 0.2
max_commission_change = 0.01             # a day
min_self_delegation = 100000
chat_key = "…"                           # 64 hex digits, from `dchat genesis keys`
currency_key = "…"
beacon_head = "…"                        # these two as well; without them it owes no draw anything
beacon_length = 100000

[[voters]]                               # of proposals; without any, the validators by their stake
account = "dchat1…"
weight = 1000000

[[accounts]]
account = "dchat1…"
balance = "1000"                         # DCHAT on the currency chain
credits = "50"                           # on the chat chain

[[delegations]]
delegator = "dchat1…"                    # it has the amount in [[accounts]]
validator = "dchat1…"
amount = 500

[[vesting]]
account = "dchat1…"
amount = 1000                            # beside what [[accounts]] gives
kind = "linear"                          # or "cliff": all at once
begins = "2026-12-01T12:00:00Z"          # genesis_time where it is left out
cliff = "2027-12-01T12:00:00Z"           # nothing before; may be left out where it is linear
ends = "2029-12-01T12:00:00Z"            # may be left out where it is a cliff

[network]                                # optional
name = "mainnet"
relays = ["/dns/relay.example.org/tcp/7070/p2p/12D3…"]
trusting_period = "7d"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import abci_chat.params
import abci_currency.params
from abci_chat import genesis as chat
from abci_chat.genesis import Voter
from abci_chat.state.beacon import EMPTY_HEAD
from abci_currency.genesis import Bond, Lock, Rules, Terms
from abci_currency.params import BASIS_POINTS
from dchat.kernel import accounts, signing
from dchat.kernel.errors import DchatError, OperatorError
from dchat.kernel.ids import AccountId, Amount, EpochMs
from dchat.kernel.params import DEFAULT, MAX_BLOCK_BYTES
from dchat.node.files import read_bounded
from dchat.node.rfc3339 import parse_time
from dchat.node.units import parse_bytes, parse_seconds
from genesis import community, economy
from genesis.entry import Offer
from genesis.fields import (
    Fields,
    account,
    amount,
    basis_points,
    either,
    get,
    key,
    known,
    number,
    table,
    tables,
    text,
    texts,
    whole,
)

MAX_FILE_BYTES: Final = 512 << 20
NS_IN_MS: Final = 1_000_000
CHAIN_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
TOP: Final = frozenset(
    {
        *("chain_id", "genesis_time", "max_block_size", "max_block_cost", "max_validity_blocks"),
        *("evidence_max_age", "evidence_max_blocks", "chat", "currency", "validators"),
        *("accounts", "network", "treasury", "delegations", "vesting", "voters"),
        *economy.NAMES,
        *community.NAMES,
    }
)
VALIDATOR: Final = frozenset(
    {
        *("moniker", "account", "stake", "commission", "max_commission", "max_commission_change"),
        *("min_self_delegation", "chat_key", "currency_key", "beacon_head", "beacon_length"),
    }
)
_NOTHING: Final = Amount(0)
_LEAST: Final = Amount(1)
_TERMS: Final = Terms()
_RULES: Final = Rules()
_CHAT_RULES: Final = chat.Rules()


class BadGenesisSettings(OperatorError):
    """The settings cannot begin a network; the message names the key and the reason."""

    exit_code = 2
    hint = "docs/validators.md shows a complete settings file"


@dataclass(frozen=True, slots=True)
class ValidatorEntry:
    """One founding validator: its consensus key on each chain, and what it stakes."""

    moniker: str
    account: AccountId
    stake: Amount
    chat_key: bytes
    currency_key: bytes
    terms: Terms = _TERMS
    min_self_delegation: Amount = _LEAST
    beacon_head: bytes = EMPTY_HEAD
    beacon_length: int = 0


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """What one account holds at the beginning, in base units of either chain."""

    account: AccountId
    balance: Amount
    credits: Amount


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """What differs between the chains."""

    fee_per_1000_cost: Amount
    rpc: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """What the network file adds."""

    name: str
    relays: tuple[str, ...]
    trusting_period_s: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that both chains share: bytes, cost units, blocks and seconds."""

    max_block_bytes: int = DEFAULT.max_block_bytes
    max_block_cost: int = DEFAULT.max_block_cost
    max_validity_blocks: int = DEFAULT.max_validity_blocks
    evidence_max_age_s: int = 14 * 86_400
    """On the currency chain evidence counts for as long: it is no parameter of its own."""
    evidence_max_blocks: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Economy:
    """What the currency chain alone begins with."""

    rules: Rules = _RULES
    bonds: tuple[Bond, ...] = ()
    locks: tuple[Lock, ...] = ()
    treasury: Amount = _NOTHING


@dataclass(frozen=True, slots=True)
class Community:
    """What the chat chain alone begins with."""

    rules: chat.Rules = _CHAT_RULES
    voters: tuple[Voter, ...] = ()
    """None: the founding validators, each with what it stakes itself."""


@dataclass(frozen=True, slots=True)
class GenesisSettings:
    """Everything that decides both genesis files."""

    chain_id: str
    time_ns: int
    validators: tuple[ValidatorEntry, ...]
    accounts: tuple[AccountEntry, ...]
    network: NetworkSettings
    limits: Limits = Limits()
    chat: ChainSettings = ChainSettings(abci_chat.params.DEFAULT.fee_per_1000_cost)
    currency: ChainSettings = ChainSettings(abci_currency.params.DEFAULT.fee_per_1000_cost)
    economy: Economy = Economy()
    community: Community = Community()


def load(path: Path) -> GenesisSettings:
    """Return the settings in a TOML file. Raises: BadGenesisSettings."""
    try:
        return parse(_toml(read_bounded(path, MAX_FILE_BYTES)))
    except OSError as fault:
        raise BadGenesisSettings(f"{path}: {fault.strerror}") from None
    except (ValueError, RecursionError, DchatError) as fault:
        raise BadGenesisSettings(f"{path}: {fault}") from None


def with_entries(settings: GenesisSettings, offers: Sequence[Offer]) -> GenesisSettings:
    """Return the settings with the validators of these entries beside their own."""
    return replace(settings, validators=(*settings.validators, *map(_offered, offers)))


def _offered(offer: Offer) -> ValidatorEntry:
    return ValidatorEntry(
        moniker=offer.moniker,
        account=offer.account,
        stake=offer.stake,
        chat_key=offer.chat_key,
        currency_key=offer.currency_key,
        terms=offer.terms,
        min_self_delegation=offer.min_self_delegation,
        beacon_head=offer.beacon_head,
        beacon_length=offer.beacon_length,
    )


def parse(fields: Fields) -> GenesisSettings:
    """Return the settings in parsed TOML. Raises: ValueError, OperatorError."""
    known(fields, TOP, "")
    chain_id = get(fields, "chain_id", text, "")
    if not CHAIN_ID.fullmatch(chain_id):
        raise ValueError(f"chain_id {chain_id!r} is not 1 to 40 of a-z, 0-9, dot, dash, underscore")
    if chain_id.endswith("-currency"):
        raise ValueError(f"chain_id {chain_id!r} ends as only a currency chain's does")
    time_ns = get(fields, "genesis_time", parse_time, "")
    rules = economy.read(fields)
    settings = GenesisSettings(
        chain_id=chain_id,
        time_ns=time_ns,
        validators=_validators(tables(fields, "validators")),
        accounts=_accounts(tables(fields, "accounts")),
        network=_network(table(fields.get("network", {}), "network"), chain_id),
        limits=_limits(fields, rules),
        chat=_chain(table(fields.get("chat", {}), "chat"), "chat"),
        currency=_chain(table(fields.get("currency", {}), "currency"), "currency"),
        economy=Economy(
            rules=rules,
            bonds=_bonds(tables(fields, "delegations")),
            locks=_locks(tables(fields, "vesting"), EpochMs(time_ns // NS_IN_MS)),
            treasury=either(fields, "treasury", amount, "", default=_NOTHING),
        ),
        community=Community(community.read(fields), _voters(tables(fields, "voters"))),
    )
    _check_trust(settings)
    return settings


def _check_trust(settings: GenesisSettings) -> None:
    """Return if no client trusts validators whose stake is gone already. Raises: ValueError."""
    trusting = settings.network.trusting_period_s
    liable = settings.economy.rules.staking.unbonding_ms
    if 1000 * trusting >= liable:
        raise ValueError(
            f"network.trusting_period: {trusting} s, but stake answers for {liable // 1000} s only"
        )


def _toml(content: bytes) -> Fields:
    return cast("Fields", tomllib.loads(content.decode()))


def check(settings: GenesisSettings) -> None:
    """Return if both chains' files can be made of this. Raises: ValueError.

    What the currency chain itself refuses is for abci_currency/genesis.py to say.
    """
    keys = [item for each in settings.validators for item in (each.chat_key, each.currency_key)]
    _refuse_repeats([item.hex() for item in keys], "validators: consensus key")
    weak = [item.hex() for item in keys if not signing.is_strong(item)]
    if weak:
        raise ValueError(f"validators: consensus key {weak[0]} is not a safe Ed25519 key")
    operators = [accounts.show_account(each.account) for each in settings.validators]
    _refuse_repeats(operators, "validators: account")
    shown = [accounts.show_account(each.account) for each in settings.accounts]
    _refuse_repeats(shown, "accounts:")
    for name in ("balance", "credits"):
        if not any(getattr(each, name) for each in settings.accounts):
            raise ValueError(f"accounts: nobody has any {name}, so nobody could pay a fee")


def _limits(fields: Fields, rules: Rules) -> Limits:
    default = Limits()
    age = min(default.evidence_max_age_s, rules.staking.unbonding_ms // 1000)
    return Limits(
        number(parse_bytes(fields.get("max_block_size", default.max_block_bytes)))(
            "max_block_size", 1 << 16, MAX_BLOCK_BYTES
        ),
        number(fields.get("max_block_cost", default.max_block_cost))(
            "max_block_cost", 1_000, 1 << 40
        ),
        number(fields.get("max_validity_blocks", default.max_validity_blocks))(
            "max_validity_blocks", 1, 1 << 40
        ),
        number(parse_seconds(fields.get("evidence_max_age", age)))(
            "evidence_max_age", 1, 10 * 366 * 86_400
        ),
        number(fields.get("evidence_max_blocks", default.evidence_max_blocks))(
            "evidence_max_blocks", 1, 1 << 40
        ),
    )


def _chain(fields: Fields, name: str) -> ChainSettings:
    known(fields, frozenset({"fee_per_1000_cost", "rpc", "seeds"}), f"{name}.")
    fee = fields.get("fee_per_1000_cost", DEFAULT.fee_per_1000_cost)
    return ChainSettings(
        Amount(number(fee)(f"{name}.fee_per_1000_cost", 0, 1 << 50)),
        texts(fields.get("rpc", []), f"{name}.rpc"),
        texts(fields.get("seeds", []), f"{name}.seeds"),
    )


def _network(fields: Fields, chain_id: str) -> NetworkSettings:
    known(fields, frozenset({"name", "relays", "trusting_period"}), "network.")
    period = parse_seconds(fields.get("trusting_period", 7 * 86_400))
    return NetworkSettings(
        text(fields.get("name", chain_id)),
        texts(fields.get("relays", []), "network.relays"),
        number(period)("network.trusting_period", 1, 365 * 86_400),
    )


def _validators(found: Sequence[Fields]) -> tuple[ValidatorEntry, ...]:
    return tuple(_validator(each, f"validators[{at}].") for at, each in enumerate(found))


def _validator(fields: Fields, where: str) -> ValidatorEntry:
    known(fields, VALIDATOR, where)
    most = either(fields, "max_commission", basis_points, where, default=BASIS_POINTS)
    return ValidatorEntry(
        moniker=get(fields, "moniker", text, where),
        account=get(fields, "account", account, where),
        stake=get(fields, "stake", amount, where),
        chat_key=get(fields, "chat_key", key, where),
        currency_key=get(fields, "currency_key", key, where),
        terms=Terms(
            either(fields, "commission", basis_points, where, default=0),
            most,
            either(fields, "max_commission_change", basis_points, where, default=most),
        ),
        min_self_delegation=either(fields, "min_self_delegation", amount, where, default=_LEAST),
        beacon_head=either(fields, "beacon_head", key, where, default=EMPTY_HEAD),
        beacon_length=either(fields, "beacon_length", whole, where, default=0),
    )


def _accounts(found: Sequence[Fields]) -> tuple[AccountEntry, ...]:
    return tuple(_account(each, f"accounts[{at}].") for at, each in enumerate(found))


def _account(fields: Fields, where: str) -> AccountEntry:
    known(fields, frozenset({"account", "balance", "credits"}), where)
    return AccountEntry(
        get(fields, "account", account, where),
        either(fields, "balance", amount, where, default=_NOTHING),
        either(fields, "credits", amount, where, default=_NOTHING),
    )


def _voters(found: Sequence[Fields]) -> tuple[Voter, ...]:
    return tuple(_voter(each, f"voters[{at}].") for at, each in enumerate(found))


def _voter(fields: Fields, where: str) -> Voter:
    known(fields, frozenset({"account", "weight"}), where)
    return Voter(get(fields, "account", account, where), get(fields, "weight", whole, where))


def _bonds(found: Sequence[Fields]) -> tuple[Bond, ...]:
    return tuple(_bond(each, f"delegations[{at}].") for at, each in enumerate(found))


def _bond(fields: Fields, where: str) -> Bond:
    known(fields, frozenset({"delegator", "validator", "amount"}), where)
    return Bond(
        get(fields, "delegator", account, where),
        get(fields, "validator", account, where),
        get(fields, "amount", amount, where),
    )


def _locks(found: Sequence[Fields], genesis: EpochMs) -> tuple[Lock, ...]:
    return tuple(_lock(each, f"vesting[{at}].", genesis) for at, each in enumerate(found))


def _lock(fields: Fields, where: str, genesis: EpochMs) -> Lock:
    known(fields, frozenset({"account", "amount", "kind", "begins", "cliff", "ends"}), where)
    linear = get(fields, "kind", _is_linear, where)
    begins = either(fields, "begins", _moment, where, default=genesis)
    if linear:
        ends = get(fields, "ends", _moment, where)
        cliff = either(fields, "cliff", _moment, where, default=begins)
    else:
        cliff = get(fields, "cliff", _moment, where)
        ends = either(fields, "ends", _moment, where, default=cliff)
    owner, tokens = get(fields, "account", account, where), get(fields, "amount", amount, where)
    return Lock(owner, tokens, linear, begins, cliff, ends)


def _is_linear(raw: object) -> bool:
    if raw not in ("linear", "cliff"):
        raise ValueError(f'{raw!r} is neither "linear" nor "cliff"')
    return raw == "linear"


def _moment(raw: object) -> EpochMs:
    return EpochMs(parse_time(raw) // NS_IN_MS)


def _refuse_repeats(values: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is named twice")
        seen.add(value)
