"""Settings of the long-running processes: TOML, environment and flags in, one frozen model out.

The tables and keys are those of the operators' guide. A flag wins over `DCHAT_*`, that over the
file, that over the default. An unknown key is an error that names the nearest known one; a key of
the guide that has no effect in this release is an error too, unless it says what happens anyway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dchat.kernel.errors import InvariantBroken
from dchat.node import sources, units
from dchat.node.address import Address, parse, parse_multiaddr
from dchat.node.sources import ANYTHING, NEVER, BadConfig, Value

MAX_BOOTSTRAP: Final = 64
MAX_SHOWN: Final = 60
_FRACTION: Final = re.compile(r"[01](\.[0-9]{1,4})?", re.ASCII)
MOST_TOKENS: Final = (2**64 - 1) // 10**6
"""There cannot be more whole DCHAT."""


def _address(value: object) -> object:
    return parse(value) if isinstance(value, str) else value


def _multiaddr(value: object) -> object:
    if isinstance(value, str):
        parse_multiaddr(value)
    return value


def _path(value: object) -> object:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be a path, as text")
    try:
        return Path(value).expanduser()
    except RuntimeError as fault:  # ~NAME of nobody
        raise ValueError(str(fault)) from None


def _list(value: object) -> object:
    """Accept TOML arrays and repeated flags; a variable's text is split at commas."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - pydantic checks the elements next


def _level(value: object) -> object:
    if value not in ("error", "warn", "info", "debug", "trace"):
        raise ValueError("must be one of error, warn, info, debug, trace")
    return value


def _fraction(value: object) -> object:
    """Accept a variable's text as the number it spells."""
    return float(value) if isinstance(value, str) and _FRACTION.fullmatch(value) else value


FilePath = Annotated[Path, BeforeValidator(_path)]
AddressField = Annotated[Address, BeforeValidator(_address)]
Multiaddr = Annotated[str, BeforeValidator(_multiaddr)]
Level = Annotated[str, BeforeValidator(_level)]
Seconds = Annotated[int, BeforeValidator(units.parse_seconds)]
Milliseconds = Annotated[int, BeforeValidator(units.parse_milliseconds)]
Bytes = Annotated[int, BeforeValidator(units.parse_bytes)]
Fraction = Annotated[float, BeforeValidator(_fraction), Field(ge=0, le=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Bootstrap = Annotated[
    tuple[Multiaddr, ...], Field(max_length=MAX_BOOTSTRAP), BeforeValidator(_list)
]
LATER_EVERYWHERE: Final[Mapping[str, object]] = {
    "observability.tracing_enabled": False,
    "tracing.enabled": False,
    **dict.fromkeys(("tracing.exporter", "tracing.jaeger_endpoint"), ANYTHING),
    **dict.fromkeys(("tracing.service_name", "tracing.sample_rate"), ANYTHING),
    "backup.enable": False,
    **dict.fromkeys(("backup.backend", "backup.s3_bucket", "backup.s3_region"), ANYTHING),
    **dict.fromkeys(("backup.encryption", "backup.encryption_key_file"), ANYTHING),
    **dict.fromkeys(("backup.schedule", "backup.retention_days"), ANYTHING),
}
"""Harmless while their `enable` is false, so a file that keeps them for later still loads."""


FITS: Final[Mapping[str, tuple[str, ...]]] = {
    "max_open_files": ("leveldb", "rocksdb"),
    "compaction_threads": ("rocksdb",),
}
"""Settings that not every backend has."""


class Table(BaseModel):
    """One TOML table: frozen, and strict about types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Settings(Table):
    """All tables of one process."""

    LATER: ClassVar[Mapping[str, object]] = {}
    """Keys of the guide without effect in this release, each with its only accepted value."""


class Observability(Table):
    """Where health and metrics are served; only this machine sees them unless told otherwise."""

    health_port: Port = 8080
    """Port of /health, /ready and /status on 127.0.0.1."""
    metrics_port: Port = 9090
    """Port of /metrics on 127.0.0.1."""
    health_address: AddressField | None = None
    """Replaces `health_port`; 0.0.0.0:8080 opens it to every interface."""
    metrics_address: AddressField | None = None
    """Replaces `metrics_port`."""

    @property
    def health(self) -> Address:
        """Where health is served."""
        return self.health_address or Address("127.0.0.1", self.health_port)

    @property
    def metrics(self) -> Address:
        """Where metrics are served."""
        return self.metrics_address or Address("127.0.0.1", self.metrics_port)


class RelayNode(Table):
    """[node] of a relay."""

    identity_file: FilePath
    """Node identity made by `dchat keygen`; owner-only."""
    data_dir: FilePath
    """Holds the mailbox database; created when absent."""
    log_level: Level = "info"
    """error, warn, info, debug or trace."""
    json_logs: bool = False
    """One JSON object a line instead of text."""


class RelayNetwork(Table):
    """[network] of a relay."""

    listen_address: AddressField = Address("0.0.0.0", 7070)  # noqa: S104 - a relay is public
    """TCP address peers connect to."""
    public_address: Multiaddr | None = None
    """What the relay tells others, when it cannot see its own public address."""
    max_peers: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Connections held at once; more are refused."""
    bootstrap_nodes: Bootstrap = ()
    """Peers dialled at start, as multiaddrs with /p2p/ID."""


class RelayMailbox(Table):
    """[relay]: what the relay keeps for others."""

    max_queue_size: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000
    """Envelopes on disk before new ones are refused."""


class RelayStorage(Table):
    """[storage] of a relay."""

    db_path: FilePath | None = None
    """The SQLite file; `relay.db` in the data directory when absent."""
    max_message_age: Annotated[Seconds, Field(ge=60, le=31_536_000)] = 604_800
    """Seconds after which an envelope is dropped undelivered."""
    pruning_interval: Annotated[Seconds, Field(ge=1, le=86_400)] = 3_600
    """Seconds between two sweeps of expired envelopes."""


class RelayConfig(Settings):
    """Everything `dchat relay` can be told."""

    node: RelayNode
    network: RelayNetwork = RelayNetwork()
    relay: RelayMailbox = RelayMailbox()
    storage: RelayStorage = RelayStorage()
    observability: Observability = Observability()

    LATER: ClassVar[Mapping[str, object]] = {
        **dict.fromkeys(("nat.enable_upnp", "nat.enable_stun", "nat.enable_turn"), False),
        **dict.fromkeys(("nat.stun_server", "nat.turn_server"), ANYTHING),
        **dict.fromkeys(("nat.turn_username", "nat.turn_password"), ANYTHING),
        "network.connection_pool_size": NEVER,
        "relay.enable": True,
        "relay.delivery_timeout": NEVER,
        "relay.proof_of_delivery": False,
        "relay.max_delivery_attempts": NEVER,
        "relay.retry_backoff_seconds": NEVER,
        "relay.worker_threads": NEVER,
        "storage.backend": "sqlite",
        **dict.fromkeys(("database.cache_size", "database.write_buffer_size"), NEVER),
        "database.max_open_files": NEVER,
        **LATER_EVERYWHERE,
    }

    @property
    def database(self) -> Path:
        """Where the mailbox database is."""
        return self.storage.db_path or self.node.data_dir / "relay.db"


class ValidatorNode(Table):
    """[validator]."""

    identity_file: FilePath
    """Node identity made by `dchat keygen`; its children are the node and consensus keys."""
    chain_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
    """Chat chain id X; the currency chain is X-currency."""
    data_dir: FilePath
    """Holds both chains; created when absent."""
    moniker: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,70}$")] = "dchat"
    """Name other operators see."""
    network: FilePath | None = None
    """Network file naming the genesis files and seeds."""
    genesis_files: Annotated[tuple[FilePath, ...], BeforeValidator(_list)] = ()
    """Both chains' genesis files; needed once, unless the network file names them."""
    log_level: Level = "info"
    """error, warn, info, debug or trace."""
    json_logs: bool = False
    """One JSON object a line instead of text."""


class ValidatorNetwork(Table):
    """[network] of a validator. Ports are the chat chain's; the currency chain adds 10."""

    listen_address: AddressField = Address("0.0.0.0", 26_656)  # noqa: S104 - peers are outside
    """Where other nodes connect."""
    rpc_listen_address: AddressField = Address("127.0.0.1", 26_657)
    """Where clients query and submit."""
    max_peers: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections held at once per chain."""
    bootstrap_validators: Bootstrap = ()
    """Chat-chain addresses of known nodes, as multiaddrs; /p2p/ID optional."""


class Consensus(Table):
    """[consensus]: this node's timeouts in milliseconds, and how it fills blocks."""

    timeout_propose: Annotated[Milliseconds, Field(ge=50, le=600_000)] = 3_000
    """How long a round waits for its proposal."""
    timeout_prevote: Annotated[Milliseconds, Field(ge=50, le=600_000)] = 1_000
    """How long a round waits after mixed prevotes."""
    timeout_precommit: Annotated[Milliseconds, Field(ge=50, le=600_000)] = 1_000
    """How long a round waits after mixed precommits."""
    timeout_commit: Annotated[Milliseconds, Field(ge=0, le=600_000)] = 5_000
    """Pause after a block."""
    create_empty_blocks: bool = False
    """False still makes one every 10 seconds: deadlines are proved by headers."""
    max_block_size: Annotated[Bytes, Field(ge=65_536, le=104_857_600)] | None = None
    """Genesis decides it; a value here must agree with genesis or the node refuses to start."""


class Database(Table):
    """[database] of a validator. Sizes are MiB in each of the two applications."""

    backend: Literal["leveldb", "rocksdb", "sqlite"] = "leveldb"
    """leveldb, rocksdb or sqlite; a directory keeps the one it was made with."""
    path: FilePath | None = None
    """Directory of both applications' state; `state` in the data directory when absent."""
    cache_size: Annotated[int, Field(ge=16, le=1_048_576)] = 200
    """Memory for pages of the state tree (seven eighths) and for the database's blocks."""
    write_buffer_size: Annotated[int, Field(ge=1, le=16_384)] = 16
    """What is written is sorted into the database when its log has grown by this much."""
    max_open_files: Annotated[int, Field(ge=32, le=1_000_000)] | None = None
    """Database files held open; leveldb and rocksdb only."""
    compaction_threads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Threads that tidy up in the background; rocksdb only."""

    @field_validator("max_open_files", "compaction_threads")
    @classmethod
    def _fits(cls, value: int | None, info: ValidationInfo) -> int | None:
        backend = str(info.data.get("backend", "leveldb"))
        if value is not None and backend not in FITS[str(info.field_name)]:
            raise ValueError(f"the {backend} backend has no such setting, leave it out")
        return value


class Staking(Table):
    """[staking] of a validator: what it bonds, and what genesis says of stake."""

    initial_stake: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    """DCHAT that the identity's account stakes to become a validator of the currency chain."""
    min_self_delegation: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    """DCHAT of its own that it promises to keep staked, or is jailed; hardly any when absent."""
    commission: Fraction = 0.05
    """Share of its delegators' rewards that it keeps, when it becomes a validator."""
    max_commission: Fraction = 0.2
    """What that may ever become; fixed once it is a validator."""
    max_commission_change: Fraction = 0.01
    """How far it may move a day; fixed once it is a validator."""
    unbonding_time: Annotated[Seconds, Field(ge=1)] | None = None
    """Genesis decides it; a value here must agree with genesis or the node refuses to start."""


class Slashing(Table):
    """[slashing] of a validator: genesis decides it all, a value here must agree with genesis."""

    downtime_jail_duration: Annotated[Seconds, Field(ge=0)] | None = None
    """How long a validator is jailed that signed too few blocks."""
    double_sign_jail_duration: Annotated[Seconds, Field(ge=0)] | None = None
    """How long one is that signed twice."""
    missed_blocks_window: Annotated[int, Field(ge=1)] | None = None
    """Blocks of which enough must be signed."""
    min_signed_per_window: Fraction | None = None
    """Share of them that is enough."""


class ValidatorConfig(Settings):
    """Everything `dchat validator` can be told."""

    validator: ValidatorNode
    network: ValidatorNetwork = ValidatorNetwork()
    consensus: Consensus = Consensus()
    staking: Staking = Staking()
    slashing: Slashing = Slashing()
    database: Database = Database()
    observability: Observability = Observability()

    LATER: ClassVar[Mapping[str, object]] = {**LATER_EVERYWHERE}

    @property
    def state_dir(self) -> Path:
        """Where both applications keep their state."""
        return self.database.path or self.validator.data_dir / "state"


M = TypeVar("M", bound=Settings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """Settings in force, and for each `table.key` that somebody set, who said so."""

    settings: M
    sources: Mapping[str, str]


def load(
    model: type[M],
    path: Path | None,
    flags: Mapping[str, object],
    env: Mapping[str, str] | None = None,
) -> Loaded[M]:
    """Return the settings in force. `flags` maps `table.key` to a value, None where not given.

    Raises: BadConfig.
    """
    known = _keys(model)
    file = sources.read_file(path) if path else {}
    variables = sources.read_environment(os.environ if env is None else env, [*known, *model.LATER])
    values = sources.merge(file, variables, sources.read_flags(flags))
    mine = sources.without_later(values, known.keys(), model.LATER)
    raw = {key: _from_text(value, known[key]) for key, value in mine.items()}
    try:
        settings = model.model_validate(sources.nest(raw, model.model_fields))
    except ValidationError as fault:
        problems = [_explain(error, mine) for error in fault.errors(include_url=False)]
        raise BadConfig("; ".join(problems[: sources.MAX_PROBLEMS])) from None
    return Loaded(settings, {key: value.source for key, value in mine.items()})


def show(loaded: Loaded[M]) -> dict[str, dict[str, str]]:
    """Return `table.key` -> value as text and the source that set it (`default` where none)."""
    rows: dict[str, dict[str, str]] = {}
    for table, content in loaded.settings:
        for name, value in content:
            key = f"{table}.{name}"
            source = loaded.sources.get(key, "default")
            rows[key] = {"value": _text(value), "source": source}
    return rows


def _ways(key: str) -> str:
    name = key.partition(".")[2]
    return f"give {sources.flag_of(key)}, DCHAT_{name.upper()} or the key in the file"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(element) for element in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - anything can be shown
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _keys(model: type[Settings]) -> dict[str, object]:
    """Return `table.key` -> annotated type of every setting of a model."""
    return {
        f"{table}.{name}": field.annotation
        for table, outer in model.model_fields.items()
        for name, field in _table(outer.annotation).items()
    }


def _table(annotation: object) -> Mapping[str, FieldInfo]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation.model_fields
    raise InvariantBroken(f"{annotation} is not a table of settings")


def _from_text(value: Value, wanted: object) -> object:
    """Turn a variable's text into the number or truth value that the key wants."""
    raw = value.raw
    if not value.source.startswith("DCHAT_") or not isinstance(raw, str):
        return raw
    if wanted is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(raw.strip().lower(), raw)
    number = wanted is not str and wanted is not Path
    return int(raw) if raw.isascii() and raw.isdigit() and number else raw


def _explain(error: ErrorDetails, values: Mapping[str, Value]) -> str:
    key = ".".join(str(part) for part in error["loc"][:2])
    if error["type"] == "missing":
        return f"{key} is not set: {_ways(key)}"
    source = values[key].source if key in values else "settings"
    given = repr(error["input"])
    shown = given if len(given) <= MAX_SHOWN else given[:MAX_SHOWN] + "…"
    reason = error["msg"].removeprefix("Value error, ")
    return f"{source}: {key}: {reason[:1].lower()}{reason[1:]} (got {shown})"
