"""What a person, or a program, is told of a running devnet: addresses, commands, condition."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import trio

from dchat.node.http import Json
from dchat.operator import chains, fetch, furniture
from dchat.operator.chains import Chain
from dchat.operator.fetch import NoAnswer
from dchat.operator.layout import USERS, Estate, Member
from dchat.operator.ports import HOST

MAX_WHY: Final = 300


@dataclass(frozen=True, slots=True)
class Condition:
    """What the network does now; heights are those of the node that is furthest."""

    chat: int
    currency: int
    ready: int
    """How many nodes are ready."""
    nodes: int
    relay_peers: int
    queued: int
    why: str = ""
    """What the first node that is not ready says."""


def instructions(found: Estate) -> list[str]:
    """Return what to do next, as lines to copy."""
    chats, currencies = (
        furniture.rpc_urls(found, chain) for chain in reversed(chains.both(found.name))
    )
    lines = ["", "two chains and a relay are running; Ctrl-C stops them"]
    for member, chat, currency in zip(found.members, chats, currencies, strict=True):
        health = f"http://{HOST}:{found.ports_of(member).validator_health}/status"
        lines.append(f"  {member.name:<14} {health}  chat RPC {chat}  currency RPC {currency}")
    lines += [f"  {'relay':<14} http://{HOST}:{found.ports.relay_health}/status"]
    lines += [f"  {'network file':<14} {_shown(found.network)}", ""]
    lines += ["talk from two other terminals:"]
    return [*lines, *[f"  {user_command(found, user)}" for user in USERS], ""]


def user_command(found: Estate, user: str) -> str:
    """Return the command line that starts a user's client."""
    beside = Path(sys.executable).with_name("dchat")
    program = _shown(beside) if beside.exists() else "dchat"
    words = [program, "user", "--identity", _shown(found.identity(user))]
    words += ["--network", _shown(found.network), "--data-dir", _shown(found.user_dir(user))]
    words += ["--passphrase-file", _shown(found.passphrase(user)), "--handle", user]
    return shlex.join(words)


def manifest(found: Estate) -> dict[str, Json]:
    """Return every address and file of the devnet, for programs."""
    root = found.root.resolve()
    return {
        "name": found.name,
        "directory": str(root),
        "network_file": str(root / "network.toml"),
        "nodes": [_node(found, member) for member in found.members],
        "relay": {
            "p2p": f"/ip4/{HOST}/tcp/{found.ports.relay}",
            "health": f"http://{HOST}:{found.ports.relay_health}",
            "metrics": f"http://{HOST}:{found.ports.relay_metrics}",
        },
        "users": [_user(found, root, name) for name in USERS],
    }


def _node(found: Estate, member: Member) -> Json:
    used = found.ports_of(member)
    return {
        "name": member.name,
        "role": "validator" if member.validates else "full node",
        "data_dir": str(found.root.resolve() / member.name),
        "health": f"http://{HOST}:{used.validator_health}",
        "metrics": f"http://{HOST}:{used.validator_metrics}",
        **{chain.name: _on_chain(found, member, chain) for chain in chains.both(found.name)},
    }


def _on_chain(found: Estate, member: Member, chain: Chain) -> Json:
    used, node_id = found.ports_of(member), furniture.node_id(found, member, chain)
    return {
        "chain_id": chain.chain_id,
        "rpc": f"http://{HOST}:{used.rpc + chain.port_step}",
        "p2p": f"/ip4/{HOST}/tcp/{used.p2p + chain.port_step}/p2p/{node_id}",
    }


def _user(found: Estate, root: Path, name: str) -> Json:
    return {
        "handle": name,
        "identity": str(root / found.identity(name).relative_to(found.root)),
        "passphrase_file": str(root / found.passphrase(name).relative_to(found.root)),
        "data_dir": str(root / found.user_dir(name).relative_to(found.root)),
    }


def describe(now: Condition) -> str:
    """Return the status line."""
    state = "ready" if now.ready == now.nodes else "not ready"
    parts = [
        state,
        f"chat block {now.chat}",
        f"currency block {now.currency}",
        f"{now.ready} of {now.nodes} nodes",
        f"relay: {now.relay_peers} connected, {now.queued} waiting",
    ]
    return " · ".join([*parts, *([now.why] if now.why else [])])


async def condition(found: Estate) -> Condition:
    """Ask every node and the relay how they are; zeros stand for no answer."""
    said = [_NOTHING] * (len(found.members) + 1)
    places = [found.ports_of(member).validator_health for member in found.members]

    async def ask(position: int, port: int) -> None:
        said[position] = await get(f"http://{HOST}:{port}/status") or _NOTHING

    async with trio.open_nursery() as nursery:
        for position, port in enumerate([*places, found.ports.relay_health]):
            nursery.start_soon(ask, position, port)
    *nodes, relay = said
    named = zip(found.members, nodes, strict=True)
    troubles = [f"{member.name}: {why}" for member, node in named if (why := _trouble(node))]
    return Condition(
        chat=max(_height(node, "chat") for node in nodes),
        currency=max(_height(node, "currency") for node in nodes),
        ready=len(nodes) - len(troubles),
        nodes=len(nodes),
        relay_peers=_number(relay.get("peers")),
        queued=_number(relay.get("queue_size")),
        why=troubles[0][:MAX_WHY] if troubles else "",
    )


async def get(url: str) -> dict[str, object] | None:
    """Return a JSON object served with status 200; None for anything else."""
    async with fetch.client("") as http:
        try:
            found: object = json.loads(await fetch.get(http, url))
        except (NoAnswer, ValueError, RecursionError):
            return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


_NOTHING: Final[dict[str, object]] = {}


def _chain(node: Mapping[str, object], name: str) -> Mapping[str, object]:
    return _object(_object(node.get("chains")).get(name))


def _height(node: Mapping[str, object], name: str) -> int:
    return _number(_chain(node, name).get("height"))


def _trouble(node: Mapping[str, object]) -> str:
    """Return why a node is not ready, empty where it is."""
    waiting = [name for name in ("chat", "currency") if not _chain(node, name).get("ready")]
    if not waiting:
        return ""
    said = [str(_chain(node, name).get("trouble", "")) for name in waiting]
    return next(filter(None, said), "does not answer")


def _object(raw: object) -> dict[str, object]:
    return cast("dict[str, object]", raw) if isinstance(raw, dict) else {}


def _number(raw: object) -> int:
    return raw if isinstance(raw, int) else 0


def _shown(path: Path) -> str:
    """Return the path as a person in this directory would write it."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
