"""A devnet's directory: made whole or not at all, recognised later, never anything else removed.

devnet.toml         what this directory is: its size and its ports
network.toml        what every other command is given
genesis-chat.json  genesis-currency.json
validator-1.toml  full-node-1.toml  relay.toml        settings, one file a process
identities/         one a node and the relay's (in the clear), alice's and bob's (sealed)
passphrases/        alice.txt, bob.txt
validator-1/  full-node-1/  relay/  users/  logs/     what each of them keeps
"""

from __future__ import annotations

import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final, cast

from dchat.kernel.errors import OperatorError
from dchat.operator import furniture, ports
from dchat.operator.layout import FOLDERS, MOST, Estate, Size
from dchat.operator.ports import Ports
from genesis import build as builder

MARKER: Final = "devnet.toml"
BEGUN: Final = ".devnet-begun"
FORMAT: Final = 3
"""The third has stake in its genesis."""
FILES: Final = (
    *("network.toml", "network.toml.new", "relay.toml", f"{MARKER}.new"),
    *(*builder.FILES.values(), MARKER, BEGUN),
)
"""In the order of removal: what makes the directory recognisable goes last."""
OF_A_NODE: Final = re.compile(r"(validator|full-node)(-[0-9]{1,3})?(\.toml)?")
"""A node's folder and settings; without a number, as the first format had them."""

Take = Callable[[int], bool]
"""Whether a port can be had."""


class NotADevnet(OperatorError):
    """The directory holds something else."""

    hint = "choose another --dir"


class DevnetUnreadable(OperatorError):
    """The directory is a devnet's, but of another format or damaged."""

    hint = "start over with --fresh"


class OtherSize(OperatorError):
    """Genesis fixed another number of validators."""

    hint = "leave --validators out to resume it, or start over with --fresh"


class RelayPortTaken(OperatorError):
    """The relay's port is in use, and users have registered it on the chat chain."""

    hint = "stop the process that listens there, or start over with --fresh"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None leaves it as it is, and a new devnet at its default."""

    validators: int | None = None
    full_nodes: int | None = None


def exists(root: Path) -> bool:
    """Whether the directory is a devnet's; False where there is none yet. Raises: NotADevnet."""
    if (root / MARKER).is_file() and not root.is_symlink():
        return True
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise NotADevnet(f"{root} is not a directory")
    if root.exists() and any(each.name != "lock" for each in root.iterdir()) and not _began(root):
        raise NotADevnet(f"{root} is not empty and not a devnet's")
    return False


def create(root: Path, now_s: int, wanted: Wanted = Wanted(), take: Take = ports.is_free) -> Estate:
    """Make a devnet whose chains begin at now_s, seconds since 1970. Raises: NotADevnet."""
    if exists(root):
        raise NotADevnet(f"{root} is a devnet's already")
    if _began(root):
        remove(root)
    size = _resized(Size(wanted.validators or 1), wanted)
    chosen = ports.choose(Ports(), size.nodes, take)
    estate = Estate(root, f"devnet-{secrets.token_hex(3)}", chosen, size)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / BEGUN).touch()
    furniture.furnish(estate, now_s)
    _write_marker(estate)
    (root / BEGUN).unlink()
    return estate


def load(root: Path, wanted: Wanted = Wanted(), take: Take = ports.is_free) -> Estate:
    """Return the devnet in the directory, moved to free ports where needed.

    Full nodes come and go at every start. Raises: DevnetUnreadable, OtherSize, RelayPortTaken,
    NoFreePort.
    """
    estate = _read_marker(root)
    _check_size(estate, wanted)
    if not take(estate.ports.relay):
        raise RelayPortTaken(f"port {estate.ports.relay} of the relay in {root} is in use")
    size = _resized(estate.size, wanted)
    moved = replace(estate, size=size, ports=ports.choose(estate.ports, size.nodes, take))
    furniture.ensure_nodes(moved)
    furniture.update_network(moved)
    if moved != estate:
        _write_marker(moved)
    return moved


def remove(root: Path) -> None:
    """Remove a devnet, except the lock that the caller holds. Raises: NotADevnet."""
    if not exists(root) and not _began(root):
        raise NotADevnet(f"{root} is not a devnet's directory")
    present = {each.name for each in root.iterdir()}
    nodes = sorted(name for name in present if OF_A_NODE.fullmatch(name))
    strangers = sorted(present - {*FOLDERS, *FILES, *nodes, "lock"})
    if strangers:
        raise NotADevnet(f"{root} also holds {strangers[0]}, which is not the devnet's")
    for name in (*FOLDERS, *nodes, *FILES):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _began(root: Path) -> bool:
    """Whether a devnet was being made here when that was cut off."""
    return (root / BEGUN).is_file()


def _check_size(estate: Estate, wanted: Wanted) -> None:
    """Return if genesis has as many validators as wanted. Raises: OtherSize."""
    have = estate.size.validators
    if wanted.validators not in (None, have):
        raise OtherSize(
            f"the devnet in {estate.root} has {have} validator{'s' if have > 1 else ''}, "
            f"not {wanted.validators}"
        )


def _resized(size: Size, wanted: Wanted) -> Size:
    return size if wanted.full_nodes is None else replace(size, full_nodes=wanted.full_nodes)


def _write_marker(estate: Estate) -> None:
    lines = [f"format = {FORMAT}", f'name = "{estate.name}"']
    lines += [f"{name} = {number}" for name, number in asdict(estate.size).items()]
    lines += ["", "[ports]"]
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
    used = {each.name: _within(raw[each.name], 1, (1 << 16) - 1, "port") for each in fields(Ports)}
    size = Size(
        _within(found["validators"], 1, MOST, "number of validators"),
        _within(found["full_nodes"], 0, MOST, "number of full nodes"),
    )
    return Estate(root, str(found["name"]), Ports(**used), size)


def _within(raw: object, least: int, most: int, what: str) -> int:
    if type(raw) is not int or not least <= raw <= most:
        raise ValueError(f"{raw!r} is not a {what}")
    return raw
