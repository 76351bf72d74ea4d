"""The network file: everything a stranger needs to find both chains and the relays.

    name = "devnet"
    relays = ["/ip4/127.0.0.1/tcp/7070/p2p/12D3…"]

    [chat]                                   # and [currency] alike
    chain_id = "devnet"
    genesis_file = "genesis-chat.json"       # relative to this file
    genesis_sha256 = "…"                     # of that file's bytes
    rpc = ["http://127.0.0.1:26657"]         # tried in this order
    seeds = ["nodeid@127.0.0.1:26656"]

    [chat.root]                              # root of trust, see kernel/light.py
    height = 1
    time = "2026-01-31T12:00:00Z"
    validators_hash = "…"
    trusting_period_s = 1209600              # seconds

All keys are required, unknown ones refused. Nothing in it is secret.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from dchat.kernel.errors import OperatorError
from dchat.kernel.headers import HASH_SIZE, MAX_CHAIN_ID_BYTES, MAX_HEIGHT
from dchat.kernel.ids import ChainId, Height
from dchat.kernel.light import TrustRoot
from dchat.node.files import read_bounded
from dchat.node.rfc3339 import parse_time, show_time

MAX_FILE_BYTES: Final = 1 << 20
MAX_GENESIS_BYTES: Final = 1 << 30
MAX_ENTRIES: Final = 256
MAX_TEXT_BYTES: Final = 512
MAX_TRUSTING_PERIOD_S: Final = 365 * 24 * 3600

_TOP: Final = ("name", "relays", "chat", "currency")
_CHAIN: Final = ("chain_id", "genesis_file", "genesis_sha256", "rpc", "seeds", "root")
_ROOT: Final = ("height", "time", "validators_hash", "trusting_period_s")
_SEED: Final = re.compile(r"[0-9a-f]{40}@[^\s@/]{1,255}:[0-9]{1,5}")


class NetworkMalformed(OperatorError):
    """The network file cannot be used; the message names the key and the reason."""

    exit_code = 2
    hint = "get the network's file from its operators again; a devnet writes one into its folder"


class GenesisMismatch(OperatorError):
    """A genesis file is not the one that the network file names."""

    exit_code = 2
    hint = "get both files from the same source"


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """Where one chain is found and what is believed of it without proof."""

    genesis_file: Path
    genesis_sha256: bytes
    rpc: tuple[str, ...]
    seeds: tuple[str, ...]
    root: TrustRoot
    trusting_period_s: int

    @property
    def chain_id(self) -> ChainId:
        """The chain's id, which is part of the root of trust."""
        return self.root.chain_id


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """Both chains of a network and the relays to begin with."""

    name: str
    relays: tuple[str, ...]
    chat: ChainEntry
    currency: ChainEntry


def load_named(name: str) -> NetworkFile:
    """Return the network of `--network`, which names a file. Raises: NetworkMalformed."""
    try:
        path = Path(name).expanduser()
        is_there = path.exists()
    except (OSError, RuntimeError) as fault:  # over-long, or ~NAME of nobody
        raise NetworkMalformed(f"{name!r} names no file: {fault}") from None
    if not is_there:
        raise NetworkMalformed(f"{name!r} is no network file, and no network is known by that name")
    return load(path)


def load(path: Path) -> NetworkFile:
    """Return the network that the file describes. Raises: NetworkMalformed."""
    try:
        content = read_bounded(path, MAX_FILE_BYTES)
        fields = tomllib.loads(content.decode())
        return _parse(cast("Mapping[str, object]", fields), path.parent)
    except OSError as fault:
        raise NetworkMalformed(f"{path}: {fault.strerror}") from None
    except (ValueError, RecursionError) as fault:
        raise NetworkMalformed(f"{path}: {fault}") from None


def save(path: Path, network: NetworkFile) -> None:
    """Write the network to path, replacing what was there in one step."""
    beside = path.with_name(path.name + ".new")
    beside.write_text("\n".join(_write(network, path.parent)) + "\n", encoding="utf-8")
    beside.replace(path)


def read_genesis(entry: ChainEntry) -> bytes:
    """Return the genesis file's bytes, checked against their hash. Raises: GenesisMismatch."""
    try:
        content = read_bounded(entry.genesis_file, MAX_GENESIS_BYTES)
    except OSError as fault:
        raise GenesisMismatch(f"{entry.genesis_file}: {fault.strerror}") from None
    found = hashlib.sha256(content).digest()
    if found != entry.genesis_sha256:
        named = entry.genesis_sha256.hex()
        raise GenesisMismatch(f"{entry.genesis_file} has sha256 {found.hex()}, not {named}")
    return content


def _parse(fields: Mapping[str, object], folder: Path) -> NetworkFile:
    _same_keys(fields, _TOP, "")
    return NetworkFile(
        name=_text(fields["name"], "name"),
        relays=_list(fields["relays"], "relays", _relay),
        chat=_chain(fields["chat"], "chat", folder),
        currency=_chain(fields["currency"], "currency", folder),
    )


def _chain(raw: object, name: str, folder: Path) -> ChainEntry:
    fields = _table(raw, name)
    _same_keys(fields, _CHAIN, f"{name}.")
    root = _table(fields["root"], f"{name}.root")
    _same_keys(root, _ROOT, f"{name}.root.")
    rpc = _list(fields["rpc"], f"{name}.rpc", _url)
    if not rpc:
        raise ValueError(f"{name}.rpc names no node")
    return ChainEntry(
        genesis_file=folder / _text(fields["genesis_file"], f"{name}.genesis_file"),
        genesis_sha256=_digest(fields["genesis_sha256"], f"{name}.genesis_sha256"),
        rpc=rpc,
        seeds=_list(fields["seeds"], f"{name}.seeds", _seed),
        root=_root(root, fields["chain_id"], name),
        trusting_period_s=_integer(
            root["trusting_period_s"], f"{name}.root.trusting_period_s", MAX_TRUSTING_PERIOD_S
        ),
    )


def _root(root: Mapping[str, object], chain_id: object, name: str) -> TrustRoot:
    try:
        time_ns = parse_time(root["time"])
    except ValueError as fault:
        raise ValueError(f"{name}.root.time: {fault}") from None
    chain = _text(chain_id, f"{name}.chain_id")
    if len(chain.encode()) > MAX_CHAIN_ID_BYTES:
        raise ValueError(f"{name}.chain_id is longer than {MAX_CHAIN_ID_BYTES} bytes")
    return TrustRoot(
        ChainId(chain),
        Height(_integer(root["height"], f"{name}.root.height", MAX_HEIGHT)),
        time_ns,
        _digest(root["validators_hash"], f"{name}.root.validators_hash"),
    )


def _same_keys(fields: Mapping[str, object], names: Sequence[str], where: str) -> None:
    unknown = sorted(fields.keys() - names)
    missing = [name for name in names if name not in fields]
    if unknown:
        raise ValueError(f"{where}{unknown[0]} is no known key; known are {', '.join(names)}")
    if missing:
        raise ValueError(f"{where}{missing[0]} is missing")


def _table(raw: object, name: str) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ValueError(f"{name} is not a table")  # noqa: TRY004 -- one class for bad files
    return cast("Mapping[str, object]", raw)


def _text(raw: object, name: str) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError(f"{name} is not printable text")
    if not 1 <= len(raw.encode()) <= MAX_TEXT_BYTES:
        raise ValueError(f"{name} is not 1 to {MAX_TEXT_BYTES} bytes long")
    return raw


def _integer(raw: object, name: str, most: int) -> int:
    if type(raw) is not int or not 1 <= raw <= most:
        raise ValueError(f"{name} is not an integer from 1 to {most}")
    return raw


def _digest(raw: object, name: str) -> bytes:
    text = _text(raw, name)
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * HASH_SIZE}}}", text):
        raise ValueError(f"{name} is not {2 * HASH_SIZE} hexadecimal digits")
    return bytes.fromhex(text)


def _list(raw: object, name: str, check: Callable[[str, str], str]) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"{name} is not a list")  # noqa: TRY004 -- one class for bad files
    entries = cast("list[object]", raw)
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{name} has more than {MAX_ENTRIES} entries")
    return tuple(check(_text(entry, name), name) for entry in entries)


def _relay(text: str, name: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{name}: {text!r} is not a multiaddr")
    return text


def _seed(text: str, name: str) -> str:
    if not _SEED.fullmatch(text):
        raise ValueError(f"{name}: {text!r} is not nodeid@host:port")
    return text


def _url(text: str, name: str) -> str:
    parts = urlsplit(text)
    known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    if not known or parts.username is not None:
        raise ValueError(f"{name}: {text!r} is not an http or https address without credentials")
    return text


def _write(network: NetworkFile, folder: Path) -> Iterator[str]:
    yield f"name = {_quote(network.name)}"
    yield f"relays = {_quote(network.relays)}"
    for name, entry in (("chat", network.chat), ("currency", network.currency)):
        yield from _write_chain(name, entry, folder)


def _write_chain(name: str, entry: ChainEntry, folder: Path) -> Iterator[str]:
    inside = entry.genesis_file.is_relative_to(folder)
    genesis = entry.genesis_file.relative_to(folder) if inside else entry.genesis_file.absolute()
    yield f"\n[{name}]"
    yield f"chain_id = {_quote(entry.chain_id)}"
    yield f"genesis_file = {_quote(str(genesis))}"
    yield f"genesis_sha256 = {_quote(entry.genesis_sha256.hex())}"
    yield f"rpc = {_quote(entry.rpc)}"
    yield f"seeds = {_quote(entry.seeds)}"
    yield f"\n[{name}.root]"
    yield f"height = {entry.root.height}"
    yield f"time = {_quote(show_time(entry.root.time_ns))}"
    yield f"validators_hash = {_quote(entry.root.validators_hash.hex())}"
    yield f"trusting_period_s = {entry.trusting_period_s}"


def _quote(value: str | tuple[str, ...]) -> str:
    """Return printable text, or a list of it, as TOML, which escapes as JSON does."""
    return json.dumps(value, ensure_ascii=False)
