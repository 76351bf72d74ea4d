"""A devnet's directory: made whole or not at all, recognised later, never anything else removed.

devnet.toml         what this directory is, and its ports
network.toml        what every other command is given
genesis-chat.json  genesis-currency.json  validator.toml  relay.toml
identities/         validator, relay (in the clear), alice, bob (sealed)
passphrases/        alice.txt, bob.txt
validator/  relay/  users/  logs/
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final, cast

from dchat.kernel.amounts import parse_amount
from dchat.kernel.errors import OperatorError
from dchat.node import identity, network
from dchat.node.identity import Identity
from dchat.operator import ports
from dchat.operator.chains import PORT_STEP
from dchat.operator.plan import keys_of
from dchat.operator.ports import HOST, Ports
from genesis import build as builder
from genesis.settings import (
    AccountEntry,
    ChainSettings,
    GenesisSettings,
    NetworkSettings,
    ValidatorEntry,
)
from relay.net.address import peer_id

MARKER: Final = "devnet.toml"
BEGUN: Final = ".devnet-begun"
FORMAT: Final = 1
USERS: Final = ("alice", "bob")
FOLDERS: Final = ("identities", "passphrases", "validator", "relay", "users", "logs")
FILES: Final = (
    *("network.toml", "network.toml.new", "validator.toml", "relay.toml", f"{MARKER}.new"),
    *(*builder.FILES.values(), MARKER, BEGUN),
)
"""In the order of removal: what makes the directory recognisable goes last."""
OPENING_BALANCE: Final = parse_amount("1000")
OPENING_CREDITS: Final = parse_amount("1000")
TRUSTING_PERIOD_S: Final = 7 * 86_400
POWER: Final = 10
TIMEOUT_COMMIT_MS: Final = 500


class NotADevnet(OperatorError):
    """The directory holds something else."""

    hint = "choose another --dir"


class DevnetUnreadable(OperatorError):
    """The directory is a devnet's, but of another format or damaged."""

    hint = "start over with --fresh"


class RelayPortTaken(OperatorError):
    """The relay's port is in use, and users have registered it on the chat chain."""

    hint = "stop the process that listens there, or start over with --fresh"


@dataclass(frozen=True, slots=True)
class Estate:
    """A devnet on disk."""

    root: Path
    name: str
    ports: Ports

    def identity(self, who: str) -> Path:
        """Identity file of `validator`, `relay`, `alice` or `bob`."""
        return self.root / "identities" / f"{who}.json"

    def passphrase(self, user: str) -> Path:
        """Passphrase file of a user."""
        return self.root / "passphrases" / f"{user}.txt"

    def user_dir(self, user: str) -> Path:
        """Where a user's client keeps its messages."""
        return self.root / "users" / user

    @property
    def network(self) -> Path:
        """The network file."""
        return self.root / "network.toml"


def exists(root: Path) -> bool:
    """Whether the directory is a devnet's; False where there is none yet. Raises: NotADevnet."""
    if (root / MARKER).is_file() and not root.is_symlink():
        return True
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise NotADevnet(f"{root} is not a directory")
    if root.exists() and any(each.name != "lock" for each in root.iterdir()) and not _began(root):
        raise NotADevnet(f"{root} is not empty and not a devnet's")
    return False


def create(root: Path, now_s: int) -> Estate:
    """Make a devnet whose chains begin at now_s, seconds since 1970. Raises: NotADevnet."""
    if exists(root):
        raise NotADevnet(f"{root} is a devnet's already")
    if _began(root):
        remove(root)
    estate = Estate(root, f"devnet-{secrets.token_hex(3)}", ports.choose(Ports()))
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / BEGUN).touch()
    _furnish(estate, now_s)
    _write_marker(estate)
    (root / BEGUN).unlink()
    return estate


def load(root: Path) -> Estate:
    """Return the devnet in the directory, moved to free ports where needed.

    Raises: DevnetUnreadable, RelayPortTaken, NoFreePort.
    """
    estate = _read_marker(root)
    if not ports.is_free(estate.ports.relay):
        raise RelayPortTaken(f"port {estate.ports.relay} of the relay in {root} is in use")
    moved = replace(estate, ports=ports.choose(estate.ports))
    if moved.ports != estate.ports:
        _write_marker(moved)
        found = network.load(moved.network)
        network.save(moved.network, _with_ports(found, moved))
    return moved


def remove(root: Path) -> None:
    """Remove a devnet, except the lock that the caller holds. Raises: NotADevnet."""
    if not exists(root) and not _began(root):
        raise NotADevnet(f"{root} is not a devnet's directory")
    strangers = sorted({each.name for each in root.iterdir()} - {*FOLDERS, *FILES, "lock"})
    if strangers:
        raise NotADevnet(f"{root} also holds {strangers[0]}, which is not the devnet's")
    for name in (*FOLDERS, *FILES):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _began(root: Path) -> bool:
    """Whether a devnet was being made here when that was cut off."""
    return (root / BEGUN).is_file()


def write_configs(estate: Estate) -> tuple[Path, Path]:
    """Write validator.toml and relay.toml for this directory and return their paths."""
    root, used = estate.root.resolve(), estate.ports
    validator = f"""# written by `dchat devnet` at every start
[validator]
identity_file = {_quote(root / "identities" / "validator.json")}
chain_id = "{estate.name}"
data_dir = {_quote(root / "validator")}
moniker = "devnet"
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
    relay = f"""# written by `dchat devnet` at every start
[node]
identity_file = {_quote(root / "identities" / "relay.json")}
data_dir = {_quote(root / "relay")}

[network]
listen_address = "{HOST}:{used.relay}"
public_address = "/ip4/{HOST}/tcp/{used.relay}"

[observability]
health_port = {used.relay_health}
metrics_port = {used.relay_metrics}
"""
    paths = root / "validator.toml", root / "relay.toml"
    for path, text in zip(paths, (validator, relay), strict=True):
        path.write_text(text)
    return paths


def _furnish(estate: Estate, now_s: int) -> None:
    for name in FOLDERS:
        (estate.root / name).mkdir(mode=0o700)
    validator = identity.create(estate.identity("validator"), "node")
    relay = identity.create(estate.identity("relay"), "node")
    users = [_make_user(estate, name) for name in USERS]
    builder.write(_genesis(estate, validator, relay, users, now_s), estate.root)


def _make_user(estate: Estate, name: str) -> Identity:
    passphrase = secrets.token_urlsafe(18)
    handle = os.open(estate.passphrase(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{passphrase}\n")
    return identity.create(estate.identity(name), "user", passphrase.encode())


def _genesis(
    estate: Estate, validator: Identity, relay: Identity, users: list[Identity], now_s: int
) -> GenesisSettings:
    chat, currency = keys_of(validator, "chat"), keys_of(validator, "currency")
    founder = ValidatorEntry("devnet", POWER, chat.consensus_key, currency.consensus_key)
    held = [AccountEntry(user.account_id, OPENING_BALANCE, OPENING_CREDITS) for user in users]
    home = f"/ip4/{HOST}/tcp/{estate.ports.relay}/p2p/{peer_id(relay.child('libp2p'))}"
    plain = GenesisSettings(
        estate.name,
        now_s * 1_000_000_000,
        (founder,),
        tuple(held),
        NetworkSettings(estate.name, (home,), TRUSTING_PERIOD_S),
    )
    return replace(
        plain,
        chat=_reached(plain.chat, estate.ports, 0, chat.node_id),
        currency=_reached(plain.currency, estate.ports, PORT_STEP, currency.node_id),
    )


def _reached(chain: ChainSettings, used: Ports, step: int, node_id: str) -> ChainSettings:
    rpc = (f"http://{HOST}:{used.rpc + step}",)
    return replace(chain, rpc=rpc, seeds=(f"{node_id}@{HOST}:{used.p2p + step}",))


def _with_ports(found: network.NetworkFile, estate: Estate) -> network.NetworkFile:
    return replace(
        found,
        chat=_moved(found.chat, estate.ports, 0),
        currency=_moved(found.currency, estate.ports, PORT_STEP),
    )


def _moved(entry: network.ChainEntry, used: Ports, step: int) -> network.ChainEntry:
    node_id = entry.seeds[0].partition("@")[0]
    rpc = (f"http://{HOST}:{used.rpc + step}",)
    return replace(entry, rpc=rpc, seeds=(f"{node_id}@{HOST}:{used.p2p + step}",))


def _write_marker(estate: Estate) -> None:
    lines = [f"format = {FORMAT}", f'name = "{estate.name}"', "", "[ports]"]
    lines += [f"{name} = {port}" for name, port in asdict(estate.ports).items()]
    fresh = estate.root / f"{MARKER}.new"
    fresh.write_text("\n".join(lines) + "\n")
    fresh.replace(estate.root / MARKER)


def _read_marker(root: Path) -> Estate:
    try:
        found = tomllib.loads((root / MARKER).read_text())
        return _parse_marker(root, cast("Mapping[str, object]", found))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise DevnetUnreadable(f"{root / MARKER}: {fault}") from None


def _parse_marker(root: Path, found: Mapping[str, object]) -> Estate:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}, this version knows {FORMAT}")
    raw = cast("Mapping[str, object]", found["ports"])
    used = {each.name: _port(raw[each.name]) for each in fields(Ports)}
    return Estate(root, str(found["name"]), Ports(**used))


def _port(raw: object) -> int:
    if type(raw) is not int or not 0 < raw < 1 << 16:
        raise ValueError(f"{raw!r} is not a port")
    return raw


def _quote(path: Path) -> str:
    """Return a path as a TOML string; JSON escapes as TOML does."""
    return json.dumps(str(path), ensure_ascii=False)
