"""CometBFT's home directory: settings, keys and genesis, written from ours at every start.

    config/config.toml  genesis.json  node_key.json  priv_validator_key.json
    data/priv_validator_state.json and CometBFT's databases

Settings and keys are replaced each time. Genesis is written once and must stay the same. The sign
state is written only into an empty `data`: a lost one may mean that this key signed already.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dchat.kernel import signing
from dchat.kernel.errors import OperatorError
from dchat.kernel.tx import MAX_TX_BYTES
from dchat.node.address import Address
from dchat.node.config import Consensus

MEMPOOL_TXS: Final = 50_000
MEMPOOL_BYTES: Final = 256 << 20
IDLE_HEADER_EVERY_S: Final = 10
"""An idle chain still makes headers, or no deadline could ever be proved."""
OUTBOUND_SHARE: Final = 4

Scalar = str | int | bool
Table = Mapping[str, Scalar | list[str]]

MEMPOOL: Final[Table] = {
    "type": "flood",
    "recheck": True,
    "recheck_timeout": "10s",
    "size": MEMPOOL_TXS,
    "max_txs_bytes": MEMPOOL_BYTES,
    "cache_size": 2 * MEMPOOL_TXS,
    "max_tx_bytes": MAX_TX_BYTES,
}


class GenesisDiffers(OperatorError):
    """The data directory belongs to another chain."""

    hint = "give the genesis file this directory was started with, or use another --data-dir"


class SignStateLost(OperatorError):
    """The record of what this validator signed is gone; starting could sign twice."""

    hint = "restore data/priv_validator_state.json, or sync a fresh --data-dir"


class SignStateDamaged(OperatorError):
    """The record of what this validator signed cannot be read; another one could sign twice."""

    hint = "do not put an older one back: docs/TROUBLESHOOTING.md says what to write into it"


class KeyFileDamaged(OperatorError):
    """The file that tells which key this directory signs with cannot be read."""


class OtherIdentity(OperatorError):
    """The data directory holds the sign state of another consensus key."""

    hint = "use the identity this directory was started with, or another --data-dir"


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets of one chain: who the node is to its peers, what it signs votes and draws with."""

    node: bytes = field(repr=False)
    """Ed25519 seed."""
    consensus: bytes = field(repr=False)
    """Ed25519 seed."""
    beacon: bytes = field(default=b"", repr=False)
    """What the chain's application draws with; empty where the chain draws nothing."""

    @property
    def node_id(self) -> str:
        """CometBFT's id of the node: 40 hex digits."""
        return _key_address(signing.public_key(self.node)).hex()

    @property
    def consensus_key(self) -> bytes:
        """The public key that genesis or staking names."""
        return signing.public_key(self.consensus)


@dataclass(frozen=True, slots=True)
class Node:
    """What distinguishes one CometBFT process from another."""

    moniker: str
    app_socket: Path
    p2p: Address
    rpc: Address
    peers: tuple[str, ...]
    max_peers: int
    consensus: Consensus


def validator_address(consensus_key: bytes) -> bytes:
    """Return the 20 bytes by which commits name a validator."""
    return _key_address(consensus_key)


def write(home: Path, node: Node, keys: Keys, genesis: bytes) -> None:
    """Leave a home that `cometbft start` accepts.

    Raises: GenesisDiffers, KeyFileDamaged, OtherIdentity, SignStateDamaged, SignStateLost.
    """
    for folder in (home, home / "config", home / "data"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_genesis(home, genesis)
    _check_key(home, keys.consensus_key)
    _ensure_sign_state(home)
    replace_file(home / "config" / "node_key.json", _node_key(keys), 0o600)
    replace_file(home / "config" / "priv_validator_key.json", _validator_key(keys), 0o600)
    if keys.beacon:
        replace_file(beacon_secret(home), keys.beacon, 0o600)
    replace_file(home / "config" / "config.toml", as_toml(settings(node)).encode(), 0o600)
    replace_file(home / "config" / "genesis.json", genesis, 0o644)


def beacon_secret(home: Path) -> Path:
    """Return where the home keeps what the chain's application draws with."""
    return home / "config" / "beacon_secret"


def check_genesis(home: Path, genesis: bytes) -> None:
    """Return if the home is new or was started with these bytes. Raises: GenesisDiffers."""
    present = read_genesis(home)
    if present is not None and present != genesis:
        have, want = (hashlib.sha256(each).hexdigest() for each in (present, genesis))
        raise GenesisDiffers(f"{home} was started with genesis {have[:16]}…, not {want[:16]}…")


def read_genesis(home: Path) -> bytes | None:
    """Return the genesis the home was started with, None for a new home."""
    path = home / "config" / "genesis.json"
    return path.read_bytes() if path.exists() else None


def settings(node: Node) -> Mapping[str, Table]:
    """Return config.toml by table; what is absent keeps CometBFT's default."""
    return {
        "": {
            "moniker": node.moniker,
            "proxy_app": f"unix://{node.app_socket}",
            "abci": "socket",
            "db_backend": "goleveldb",
            "log_level": "info",
            "log_format": "json",
        },
        "rpc": {"laddr": f"tcp://{node.rpc}", "unsafe": False, "pprof_laddr": ""},
        "p2p": _p2p(node),
        "p2p.libp2p": {"enabled": False},
        "mempool": MEMPOOL,
        "blocksync": {"version": "v0", "adaptive_sync": False},
        "statesync": {"enable": False},
        "consensus": _consensus(node.consensus),
        "tx_index": {"indexer": "kv"},
        "instrumentation": {"prometheus": False},
    }


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return env without the variables that CometBFT prefers to its config.toml, CMT_… and CMTHOME.

    A smaller mempool, say, would drop what the application had let in.
    """
    return {name: value for name, value in env.items() if not name.startswith("CMT")}


def as_toml(tables: Mapping[str, Table]) -> str:
    """Return TOML text; JSON writes strings, numbers, booleans and lists as TOML does."""
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]"] if name else []
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _p2p(node: Node) -> Table:
    local = node.p2p.is_loopback
    outbound = max(1, node.max_peers // OUTBOUND_SHARE)
    return {
        "laddr": f"tcp://{node.p2p}",
        "persistent_peers": ",".join(node.peers),
        "max_num_outbound_peers": outbound,
        "max_num_inbound_peers": max(1, node.max_peers - outbound),
        "addr_book_strict": not local,
        "allow_duplicate_ip": local,
        "persistent_peers_max_dial_period": "30s",
        "pex": True,
    }


def idle_s(times: Consensus) -> int:
    """Return the seconds after which an idle chain makes a block; 0 where it never pauses."""
    return 0 if times.create_empty_blocks else IDLE_HEADER_EVERY_S


def _consensus(times: Consensus) -> Table:
    return {
        "timeout_propose": f"{times.timeout_propose}ms",
        "timeout_prevote": f"{times.timeout_prevote}ms",
        "timeout_precommit": f"{times.timeout_precommit}ms",
        "timeout_commit": f"{times.timeout_commit}ms",
        "create_empty_blocks": times.create_empty_blocks,
        "create_empty_blocks_interval": f"{idle_s(times)}s",
    }


def _check_key(home: Path, consensus_key: bytes) -> None:
    path = home / "config" / "priv_validator_key.json"
    if not path.exists():
        return
    try:
        present = json.loads(path.read_bytes())["pub_key"]["value"]
    except (ValueError, LookupError, TypeError):
        raise KeyFileDamaged(
            f"{path} is damaged", f"rm {path}, then start again: the identity holds the key"
        ) from None
    if present != _base64(consensus_key):
        raise OtherIdentity(f"{home} signs with another consensus key than this identity's")


def _ensure_sign_state(home: Path) -> None:
    path = home / "data" / "priv_validator_state.json"
    if path.exists():
        _check_sign_state(path)
        return
    if any(path.parent.glob("*.db")) or (path.parent / "cs.wal").exists():
        raise SignStateLost(f"{path} is missing beside existing chain data")
    replace_file(path, _json({"height": "0", "round": 0, "step": 0}), 0o600)


def _check_sign_state(path: Path) -> None:
    """Return if CometBFT will be able to read it. Raises: SignStateDamaged."""
    try:
        said = json.loads(path.read_bytes())
        height, rest = said["height"], (said.get("round", 0), said.get("step", 0))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SignStateDamaged(f"{path} is damaged") from None
    if not (str(height).isdecimal() and all(isinstance(number, int) for number in rest)):
        raise SignStateDamaged(f"{path} is damaged")


def _node_key(keys: Keys) -> bytes:
    return _json({"priv_key": _private(keys.node)})


def _validator_key(keys: Keys) -> bytes:
    public = keys.consensus_key
    return _json(
        {
            "address": _key_address(public).hex().upper(),
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _base64(public)},
            "priv_key": _private(keys.consensus),
        }
    )


def _private(seed: bytes) -> dict[str, str]:
    both = seed + signing.public_key(seed)
    return {"type": "tendermint/PrivKeyEd25519", "value": _base64(both)}


def _key_address(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[:20]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put content at path in one step, so that a kill leaves the old file or the new one.

    Raises: OSError with the path, which a write on a full disk does not tell by itself.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as fault:
        fresh.unlink(missing_ok=True)
        raise OSError(fault.errno, fault.strerror, str(path)) from fault
