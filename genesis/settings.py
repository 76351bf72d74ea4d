"""The file that decides how a network begins, read into checked values.

chain_id = "dchat-mainnet-1"             # the chat chain's; the currency chain adds -currency
genesis_time = "2026-12-01T12:00:00Z"
max_block_size = "10MiB"                 # these five may be left out
max_block_cost = 1000000                 # cost units in a block, CometBFT's gas
max_validity_blocks = 10000              # how far ahead a transaction may expire
evidence_max_age = "14d"                 # misbehaviour older than both bounds is ignored
evidence_max_blocks = 1000000

[chat]                                   # and [currency] alike; only fee may be left out
fee_per_1000_cost = 1000                 # base units
rpc = ["https://rpc.example.org:26657"]
seeds = ["nodeid@seed.example.org:26656"]

[[validators]]
name = "first"
power = 10
chat_key = "…"                           # 64 hex digits, from `dchat genesis keys`
currency_key = "…"

[[accounts]]
account = "dchat1…"
balance = "1000"                         # DCHAT on the currency chain
credits = "50"                           # on the chat chain

[network]                                # optional
name = "mainnet"
relays = ["/dns/relay.example.org/tcp/7070/p2p/12D3…"]
trusting_period = "7d"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

import abci_chat.params
import abci_currency.params
from dchat.kernel import accounts, signing
from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import DchatError, OperatorError
from dchat.kernel.ids import AccountId, Amount
from dchat.kernel.params import DEFAULT, MAX_BLOCK_BYTES
from dchat.node.files import read_bounded
from dchat.node.rfc3339 import parse_time
from dchat.node.units import parse_bytes, parse_seconds

MAX_FILE_BYTES: Final = 512 << 20
MAX_VALIDATORS: Final = 10_000
MAX_POWER: Final = 1 << 50
CHAIN_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
TOP: Final = frozenset(
    {
        *("chain_id", "genesis_time", "max_block_size", "max_block_cost", "max_validity_blocks"),
        *("evidence_max_age", "evidence_max_blocks", "chat", "currency", "validators"),
        *("accounts", "network"),
    }
)
T = TypeVar("T")


class BadGenesisSettings(OperatorError):
    """The settings cannot begin a network; the message names the key and the reason."""

    exit_code = 2
    hint = "docs/validators.md shows a complete settings file"


@dataclass(frozen=True, slots=True)
class ValidatorEntry:
    """One founding validator: its consensus key on each chain, and its power on both."""

    name: str
    power: int
    chat_key: bytes
    currency_key: bytes


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
    evidence_max_blocks: int = 1_000_000


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


def load(path: Path) -> GenesisSettings:
    """Return the settings in a TOML file. Raises: BadGenesisSettings."""
    try:
        return parse(_toml(read_bounded(path, MAX_FILE_BYTES)))
    except OSError as fault:
        raise BadGenesisSettings(f"{path}: {fault.strerror}") from None
    except (ValueError, RecursionError, DchatError) as fault:
        raise BadGenesisSettings(f"{path}: {fault}") from None


def parse(fields: Mapping[str, object]) -> GenesisSettings:
    """Return the settings in parsed TOML. Raises: ValueError, OperatorError."""
    _known(fields, TOP, "")
    chain_id = _get(fields, "chain_id", _text, "")
    if not CHAIN_ID.fullmatch(chain_id):
        raise ValueError(f"chain_id {chain_id!r} is not 1 to 40 of a-z, 0-9, dot, dash, underscore")
    limits = _limits(fields)
    return GenesisSettings(
        chain_id=chain_id,
        time_ns=_get(fields, "genesis_time", parse_time, ""),
        validators=_validators(_tables(fields, "validators")),
        accounts=_accounts(_tables(fields, "accounts")),
        network=_network(_table(fields.get("network", {}), "network"), chain_id),
        limits=limits,
        chat=_chain(_table(fields.get("chat", {}), "chat"), "chat"),
        currency=_chain(_table(fields.get("currency", {}), "currency"), "currency"),
    )


def _toml(content: bytes) -> dict[str, object]:
    return cast("dict[str, object]", tomllib.loads(content.decode()))


def check(settings: GenesisSettings) -> None:
    """Return if a network can begin like this. Raises: ValueError."""
    if not 1 <= len(settings.validators) <= MAX_VALIDATORS:
        raise ValueError(f"validators: {len(settings.validators)}, not 1 to {MAX_VALIDATORS}")
    keys = [key for each in settings.validators for key in (each.chat_key, each.currency_key)]
    _refuse_repeats([key.hex() for key in keys], "validators: consensus key")
    weak = [key.hex() for key in keys if not signing.is_strong(key)]
    if weak:
        raise ValueError(f"validators: consensus key {weak[0]} is not a safe Ed25519 key")
    shown = [accounts.show_account(each.account) for each in settings.accounts]
    _refuse_repeats(shown, "accounts:")
    for name in ("balance", "credits"):
        if not any(getattr(each, name) for each in settings.accounts):
            raise ValueError(f"accounts: nobody has any {name}, so nobody could pay a fee")


def _limits(fields: Mapping[str, object]) -> Limits:
    default = Limits()
    return Limits(
        _number(parse_bytes(fields.get("max_block_size", default.max_block_bytes)))(
            "max_block_size", 1 << 16, MAX_BLOCK_BYTES
        ),
        _number(fields.get("max_block_cost", default.max_block_cost))(
            "max_block_cost", 1_000, 1 << 40
        ),
        _number(fields.get("max_validity_blocks", default.max_validity_blocks))(
            "max_validity_blocks", 1, 1 << 40
        ),
        _number(parse_seconds(fields.get("evidence_max_age", default.evidence_max_age_s)))(
            "evidence_max_age", 1, 10 * 366 * 86_400
        ),
        _number(fields.get("evidence_max_blocks", default.evidence_max_blocks))(
            "evidence_max_blocks", 1, 1 << 40
        ),
    )


def _chain(fields: Mapping[str, object], name: str) -> ChainSettings:
    _known(fields, frozenset({"fee_per_1000_cost", "rpc", "seeds"}), f"{name}.")
    fee = fields.get("fee_per_1000_cost", DEFAULT.fee_per_1000_cost)
    return ChainSettings(
        Amount(_number(fee)(f"{name}.fee_per_1000_cost", 0, 1 << 50)),
        _texts(fields.get("rpc", []), f"{name}.rpc"),
        _texts(fields.get("seeds", []), f"{name}.seeds"),
    )


def _network(fields: Mapping[str, object], chain_id: str) -> NetworkSettings:
    _known(fields, frozenset({"name", "relays", "trusting_period"}), "network.")
    period = parse_seconds(fields.get("trusting_period", 7 * 86_400))
    return NetworkSettings(
        _text(fields.get("name", chain_id)),
        _texts(fields.get("relays", []), "network.relays"),
        _number(period)("network.trusting_period", 1, 365 * 86_400),
    )


def _validators(tables: Sequence[Mapping[str, object]]) -> tuple[ValidatorEntry, ...]:
    found: list[ValidatorEntry] = []
    for position, fields in enumerate(tables):
        where = f"validators[{position}]."
        _known(fields, frozenset({"name", "power", "chat_key", "currency_key"}), where)
        found.append(
            ValidatorEntry(
                _text(fields.get("name", "")),
                _number(fields.get("power"))(f"{where}power", 1, MAX_POWER),
                _get(fields, "chat_key", _key, where),
                _get(fields, "currency_key", _key, where),
            )
        )
    return tuple(found)


def _accounts(tables: Sequence[Mapping[str, object]]) -> tuple[AccountEntry, ...]:
    found: list[AccountEntry] = []
    for position, fields in enumerate(tables):
        where = f"accounts[{position}]."
        _known(fields, frozenset({"account", "balance", "credits"}), where)
        found.append(
            AccountEntry(
                accounts.parse_account(_get(fields, "account", _text, where)),
                parse_amount(_text(fields.get("balance", "0"))),
                parse_amount(_text(fields.get("credits", "0"))),
            )
        )
    return tuple(found)


def _refuse_repeats(values: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is named twice")
        seen.add(value)


def _known(fields: Mapping[str, object], names: frozenset[str], where: str) -> None:
    unknown = sorted(fields.keys() - names)
    if unknown:
        known = ", ".join(sorted(names))
        raise ValueError(f"{where}{unknown[0]} is no known key; known are {known}")


def _get(fields: Mapping[str, object], name: str, read: Callable[[object], T], where: str) -> T:
    if name not in fields:
        raise ValueError(f"{where}{name} is missing")
    try:
        return read(fields[name])
    except ValueError as fault:
        raise ValueError(f"{where}{name}: {fault}") from None


def _key(raw: object) -> bytes:
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9a-f]{64}", raw):
        raise ValueError("not 64 lower-case hexadecimal digits")
    return bytes.fromhex(raw)


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError(f"{raw!r} is not printable text")
    return raw


def _texts(raw: object, name: str) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"{name} is not a list")  # noqa: TRY004 - one class for bad files
    return tuple(_text(each) for each in cast("list[object]", raw))


def _number(raw: object) -> Callable[[str, int, int], int]:
    def bounded(name: str, least: int, most: int) -> int:
        if type(raw) is not int or not least <= raw <= most:
            raise ValueError(f"{name} is not an integer from {least} to {most}")
        return raw

    return bounded


def _table(raw: object, name: str) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ValueError(f"{name} is not a table")  # noqa: TRY004 - one class for bad files
    return cast("Mapping[str, object]", raw)


def _tables(fields: Mapping[str, object], name: str) -> Sequence[Mapping[str, object]]:
    raw = fields.get(name, [])
    if not isinstance(raw, list):
        raise ValueError(f"write [[{name}]], once for each")  # noqa: TRY004 - one class for bad files
    return [_table(each, f"[[{name}]]") for each in cast("list[object]", raw)]
