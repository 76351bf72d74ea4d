"""A whole network on one machine: validators of both chains, a relay, and two funded users.

Everything runs as it would elsewhere: the same commands, with settings files and a network file
in one directory. A second start on that directory resumes the same chains.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from dchat.kernel.headers import validators_hash
from dchat.kernel.light import TrustRoot
from dchat.node import log, network, rpc
from dchat.node.clock import SystemClock
from dchat.node.network import ChainEntry
from dchat.operator import claim, cometbft, estate, furniture, reservation, supervisor, tour
from dchat.operator.child import Child
from dchat.operator.estate import Wanted
from dchat.operator.layout import Estate
from dchat.operator.ports import HOST
from dchat.operator.reservation import Reservation
from dchat.operator.supervisor import Failure, Group, Phase

READY_S: Final = 120.0
STOP_S: Final = 30.0
SAY_EVERY_S: Final = 0.5
WATCH_EVERY_S: Final = 1.0
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
    """How the person is told: lines that stay, one that is replaced, and that all is up."""

    say: Say
    status: Say
    announce: Callable[[Estate], None]


def open_estate(root: Path, wanted: Wanted, book: Reservation, say: Say) -> Estate:
    """Return the devnet of a directory that the caller holds, made now where there is none.

    Its ports are reserved.
    """
    if estate.exists(root):
        found = estate.load(root, wanted, book.take)
        say(f"resuming {found.name} in {root}: {_parts(found)}")
    else:
        found = estate.create(root, SystemClock().now() // 1000, wanted, book.take)
        say(f"made {found.name} in {root}: {_parts(found)}")
    book.keep_only(found.ports.all(found.size.nodes))
    return found


def run(
    root: Path, wanted: Wanted, show: Show, work: Work | None = None, *, fresh: bool = False
) -> None:
    """Run the devnet in root until a signal, or until `work` is done once all is ready.

    This process's own log goes to a file: the terminal is for the person. `fresh` removes the
    devnet that is there first. Every process has ended on return.
    Raises: OperatorError, and whatever `work` raises.
    """
    estate.exists(root)
    with claim.claim(root), reservation.book(cometbft.user_cache(os.environ)) as book:
        if fresh and estate.exists(root):
            estate.remove(root)
        found = open_estate(root, wanted, book, show.say)
        binary = cometbft.find(show.say, os.environ)
        with (root / "logs" / "devnet.log").open("a", encoding="utf-8") as stream:
            log.configure(log.settings("info", os.environ, json_logs=True), stream)
            trio.run(_main, found, binary, show, work)


async def _main(found: Estate, binary: cometbft.Binary, show: Show, work: Work | None) -> None:
    groups = _groups(found, binary)
    up = {group.name: trio.Event() for group in groups}

    def report(name: str, phase: Phase, failure: Failure | None) -> None:
        logger.info("devnet_changed", part=name, phase=phase.value)
        if phase is Phase.RUNNING:
            up[name].set()
        elif phase is Phase.PAUSED:
            show.say(f"{failure}; it is restarted, see {found.root / 'logs'}")

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
    env = environment(found, binary.path)
    health = {each.name: found.ports_of(each).validator_health for each in found.members}
    health["relay"] = found.ports.relay_health
    settings = furniture.write_settings(found)
    return [
        Group(name, (_child(found, file, health[name], env),)) for name, file in settings.items()
    ]


def _child(found: Estate, config: Path, health: int, env: Mapping[str, str]) -> Child:
    """Return the process of the node whose settings these are; the file is named after it."""
    name = config.stem
    command = "relay" if name == "relay" else "validator"

    async def is_ready() -> bool:
        return await tour.get(f"http://{HOST}:{health}/ready") is not None

    return Child(
        name=name,
        command=(
            *(sys.executable, "-P", "-c", ENTRY, command),
            *("--config", str(config), "--json-logs"),
        ),
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
        show.status(
            f"starting: {len(up) - len(waiting)} of {len(up)} up, "
            f"waiting for {', '.join(waiting)}, {elapsed:.0f} s"
        )
        with trio.move_on_after(SAY_EVERY_S):
            await up[waiting[0]].wait()
    show.say(f"all {len(up)} up after {trio.current_time() - started:.1f} s")


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
        show.announce(found)
        while True:
            show.status(tour.describe(await tour.condition(found)))
            await trio.sleep(WATCH_EVERY_S)

    return watch


def _parts(found: Estate) -> str:
    """Return what the devnet consists of, in words."""
    nodes = [
        *_several(found.size.validators, "validator"),
        *_several(found.size.full_nodes, "full node"),
    ]
    return ", ".join([*nodes, "a relay", "alice and bob"])


def _several(number: int, what: str) -> list[str]:
    return [] if number == 0 else [f"a {what}"] if number == 1 else [f"{number} {what}s"]
