"""A whole network on one machine: a validator of both chains, a relay, and two funded users.

Everything runs as it would elsewhere: the same commands, with settings files and a network file
in one directory. A second start on that directory resumes the same chains.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import trio

from dchat.kernel.headers import validators_hash
from dchat.kernel.light import TrustRoot
from dchat.node import log, network, rpc
from dchat.node.clock import SystemClock
from dchat.node.network import ChainEntry
from dchat.operator import claim, cometbft, estate, fetch, supervisor
from dchat.operator.child import Child
from dchat.operator.estate import Estate
from dchat.operator.fetch import NoAnswer
from dchat.operator.ports import HOST
from dchat.operator.supervisor import Group, Phase

READY_S: Final = 120.0
STOP_S: Final = 30.0
POLL_S: Final = 0.5
ENTRY: Final = "from dchat.cli.main import main; main()"
"""The dchat command of this very installation, whatever PATH says."""
OLD_SHARE: Final = 2
"""A root of trust is renewed once it is older than the trusting period divided by this."""
NS: Final = 1_000_000_000

Say = Callable[[str], None]
Work = Callable[[Estate], Awaitable[None]]

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Show:
    """How the person is told: lines that stay, and one that is replaced."""

    say: Say
    status: Say


@dataclass(frozen=True, slots=True)
class Condition:
    """What the network does now."""

    chat: int
    currency: int
    relay_peers: int
    queued: int
    ready: bool


def open_estate(root: Path, say: Say) -> Estate:
    """Return the devnet of a directory that the caller holds, made now where there is none."""
    if estate.exists(root):
        found = estate.load(root)
        say(f"resuming {found.name} in {root}")
        return found
    made = estate.create(root, SystemClock().now() // 1000)
    say(f"made {made.name} in {root}: a validator, a relay, alice and bob")
    return made


def run(root: Path, show: Show, work: Work | None = None, *, fresh: bool = False) -> None:
    """Run the devnet in root until a signal, or until `work` is done once all is ready.

    This process's own log goes to a file: the terminal is for the person. `fresh` removes the
    devnet that is there first. Every process has ended on return.
    Raises: OperatorError, and whatever `work` raises.
    """
    estate.exists(root)
    with claim.claim(root):
        if fresh and estate.exists(root):
            estate.remove(root)
        found = open_estate(root, show.say)
        binary = cometbft.find(show.say, os.environ)
        with (root / "logs" / "devnet.log").open("a", encoding="utf-8") as stream:
            log.configure(log.settings("info", os.environ, json_logs=True), stream)
            trio.run(_main, found, binary, show, work)


async def _main(found: Estate, binary: cometbft.Binary, show: Show, work: Work | None) -> None:
    up: dict[str, trio.Event] = {"validator": trio.Event(), "relay": trio.Event()}

    def report(name: str, phase: Phase) -> None:
        logger.info("devnet_changed", part=name, phase=phase.value)
        if phase is Phase.RUNNING:
            up[name].set()
        elif phase is Phase.PAUSED:
            show.say(f"the {name} failed and is restarted; see {found.root / 'logs'}")

    groups = _groups(found, binary)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope, show)
        async with supervisor.leash() as tether, trio.open_nursery() as running:
            running.start_soon(supervisor.supervise, groups, tether, report)
            await _wait_until_up(up, show)
            await renew_roots(found)
            await (work or _watch_with(show))(found)
            running.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def _stop_on_signal(scope: trio.CancelScope, show: Show) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as arrived:
        async for _ in arrived:
            show.say("stopping every process")
            scope.cancel()


def _groups(found: Estate, binary: cometbft.Binary) -> list[Group]:
    validator, relay = estate.write_configs(found)
    env = environment(found, binary.path)
    parts = (
        _child(found, validator, found.ports.validator_health, env),
        _child(found, relay, found.ports.relay_health, env),
    )
    return [Group(part.name, (part,)) for part in parts]


def _child(found: Estate, config: Path, health: int, env: Mapping[str, str]) -> Child:
    """Return the process of the node whose settings these are; the file is named after it."""
    name = config.stem

    async def is_ready() -> bool:
        return await _get(f"http://{HOST}:{health}/ready") is not None

    command = (sys.executable, "-P", "-c", ENTRY, name, "--config", str(config), "--json-logs")
    return Child(
        name=name,
        command=command,
        log_path=found.root / "logs" / f"{name}.log",
        ready=is_ready,
        ready_deadline_s=READY_S,
        stop_deadline_s=STOP_S,
        env=env,
    )


def environment(found: Estate, binary: Path) -> dict[str, str]:
    """Return the children's environment: settings of other nodes must not leak into this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")}
    if "DCHAT_LOG" in os.environ:
        kept["DCHAT_LOG"] = os.environ["DCHAT_LOG"]
    kept["DCHAT_COMETBFT"] = str(binary)
    return claim.environment(found.root, kept)


async def _wait_until_up(up: Mapping[str, trio.Event], show: Show) -> None:
    started = trio.current_time()
    while waiting := [name for name, event in up.items() if not event.is_set()]:
        elapsed = trio.current_time() - started
        show.status(f"starting the {' and the '.join(waiting)}, {elapsed:.0f} s")
        with trio.move_on_after(POLL_S):
            await up[waiting[0]].wait()


async def renew_roots(found: Estate) -> None:
    """Put a fresh root of trust into the network file where half the trusting period is over.

    The chains are this machine's own, so their latest header needs no further proof.
    """
    known = network.load(found.network)
    now_ns = SystemClock().now() * 1_000_000
    renewed = replace(
        known,
        chat=await _renew(known.chat, now_ns),
        currency=await _renew(known.currency, now_ns),
    )
    if renewed != known:
        network.save(found.network, renewed)


async def _renew(entry: ChainEntry, now_ns: int) -> ChainEntry:
    age_ns = now_ns - entry.root.time_ns
    if age_ns * OLD_SHARE < entry.trusting_period_s * NS:
        return entry
    async with rpc.connect(entry.rpc) as chain:
        block = await chain.light_block((await chain.status()).height)
    header = block.header
    root = TrustRoot(
        entry.chain_id, header.height, header.time_ns, validators_hash(block.validators)
    )
    return replace(entry, root=root)


def _watch_with(show: Show) -> Work:
    async def watch(found: Estate) -> None:
        for line in instructions(found):
            show.say(line)
        while True:
            now = await condition(found)
            show.status(describe(now))
            await trio.sleep(POLL_S)

    return watch


def instructions(found: Estate) -> list[str]:
    """Return what to do next, as lines to copy."""
    used = found.ports
    lines = ["", "two chains and a relay are running; Ctrl-C stops them"]
    lines += [f"  chat chain      RPC http://{HOST}:{used.rpc}"]
    lines += [f"  currency chain  RPC http://{HOST}:{used.rpc + 10}"]
    lines += [f"  validator       http://{HOST}:{used.validator_health}/status"]
    lines += [f"  relay           http://{HOST}:{used.relay_health}/status", ""]
    lines += ["talk from two other terminals:"]
    return [*lines, *[f"  {user_command(found, user)}" for user in estate.USERS], ""]


def user_command(found: Estate, user: str) -> str:
    """Return the command line that starts a user's client."""
    beside = Path(sys.executable).with_name("dchat")
    program = _shown(beside) if beside.exists() else "dchat"
    words = [program, "user", "--identity", _shown(found.identity(user))]
    words += ["--network", _shown(found.network), "--data-dir", _shown(found.user_dir(user))]
    words += ["--passphrase-file", _shown(found.passphrase(user)), "--handle", user]
    return shlex.join(words)


def describe(now: Condition) -> str:
    """Return the status line."""
    state = "ready" if now.ready else "not ready"
    return (
        f"{state} · chat block {now.chat} · currency block {now.currency} · "
        f"relay: {now.relay_peers} connected, {now.queued} waiting"
    )


async def condition(found: Estate) -> Condition:
    """Ask the validator and the relay how they are; zeros stand for no answer."""
    node = await _get(f"http://{HOST}:{found.ports.validator_health}/status") or {}
    relay = await _get(f"http://{HOST}:{found.ports.relay_health}/status") or {}
    chains = _object(node.get("chains"))
    chat, currency = _object(chains.get("chat")), _object(chains.get("currency"))
    return Condition(
        chat=_number(chat.get("height")),
        currency=_number(currency.get("height")),
        relay_peers=_number(relay.get("peers")),
        queued=_number(relay.get("queue_size")),
        ready=bool(chat.get("ready")) and bool(currency.get("ready")) and bool(relay),
    )


async def _get(url: str) -> dict[str, object] | None:
    """Return a JSON object served with status 200; None for anything else."""
    async with fetch.client("") as http:
        try:
            found: object = json.loads(await fetch.get(http, url))
        except (NoAnswer, ValueError, RecursionError):
            return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


def _object(raw: object) -> dict[str, object]:
    return cast("dict[str, object]", raw) if isinstance(raw, dict) else {}


def _number(raw: object) -> int:
    return raw if isinstance(raw, int) else 0


def _shown(path: Path) -> str:
    """Return the path as a person in this directory would write it."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
