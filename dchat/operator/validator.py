"""`dchat validator`: both chains' CometBFT and applications as one process tree.

Also runs a full node: an identity outside the validator set follows and serves, and signs nothing.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import trio

from dchat.node import http, log, metrics
from dchat.node.address import Address
from dchat.node.clock import Clock, SystemClock, monotonic_ms
from dchat.node.config import Consensus, Database
from dchat.node.http import Json, Probes, Readiness
from dchat.operator import bonding, claim, cometbft, home, pulse, supervisor
from dchat.operator.bonding import Bonding, Progress
from dchat.operator.child import Child
from dchat.operator.cometbft import Binary
from dchat.operator.plan import RPC_ABOVE_P2P, ChainPlan, ValidatorPlan
from dchat.operator.pulse import Pulse
from dchat.operator.supervisor import Failure, Group, Phase

MAX_SOCKET_PATH: Final = 100
"""Bytes; the system's own limit is 107."""
APP_READY_S: Final = 120.0
NODE_READY_S: Final = 600.0
"""A node that replays many blocks opens its RPC late."""
STOP_S: Final = 15.0
SLACK_S: Final = 10.0
"""A block that is later than its timeouts by so much is missing."""
FATAL: Final = ("CONSENSUS FAILURE!!!",)
"""CometBFT says this, votes no more, and goes on answering as if nothing were wrong."""
_APART: Final = "this state is not of these blocks: move the chain's directory in state/ away"
_TORN_APART: Final = (
    "CometBFT's databases disagree: keep data/priv_validator_state.json, move data/*.db,"
    " data/cs.wal and the chain's directory in state/ away, and let the node sync again"
)
REMEDIES: Final = {
    "is too far in the future": "this machine's clock is behind: set it, for example by NTP",
    "is higher than core": _APART,
    "does not match AppHash after replay": _APART,
    "but last stored abci responses was at height": _APART,
    "no space left on device": "free some space on the disk of the data directory and start again",
    "StoreBlockHeight (": _TORN_APART,
}

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Tree:
    """What the running validator knows about itself."""

    plan: ValidatorPlan
    binary: Binary
    sockets: Path
    pulses: Mapping[str, Pulse]
    measures: pulse.Metrics
    clock: Clock
    staked: Progress
    """How far the node is with what it is to stake."""


def rehearse(plan: ValidatorPlan, env: Mapping[str, str]) -> None:
    """Open every port and find the binary as a start would, then let go of them.

    Raises: OperatorError. Builds nothing and writes no file.
    """
    try_ports(plan)
    if env.get("DCHAT_COMETBFT"):
        cometbft.find(lambda _line: None, env)


def try_ports(plan: ValidatorPlan) -> None:
    """Return if every address can be listened on now. Raises: AddressInUse, AddressUnusable.

    CometBFT would only say so after several tries, and a stranger's RPC on our port would even
    pass for ours.
    """
    observability = plan.settings.observability
    places = [place for each in plan.chains for place in (each.p2p, each.rpc)]
    for place in (*places, observability.health, observability.metrics):
        http.listen(place).close()


def run(plan: ValidatorPlan, say: Callable[[str], None], clock: Clock | None = None) -> None:
    """Run until SIGTERM or SIGINT; every child has ended on return. Raises: OperatorError.

    Blocks never depend on `clock`: it is shown, and compared with the network's.
    """
    _raise_file_limit()
    with claim.claim(plan.data_dir), socket_folder(plan.data_dir) as sockets:
        try_ports(plan)
        binary = cometbft.find(say, os.environ, plan.data_dir)
        if not binary.pinned:
            logger.warning("cometbft_not_pinned", path=str(binary.path), want=cometbft.VERSION)
        pulses = {each.chain.name: _pulse(each, plan.settings.consensus) for each in plan.chains}
        registry = metrics.new_registry("validator")
        measures = pulse.declare(registry, pulses)
        tree = Tree(plan, binary, sockets, pulses, measures, clock or SystemClock(), Progress())
        started = monotonic_ms()
        probes = Probes(
            ready=lambda: readiness(tree),
            status=lambda: status(tree, (monotonic_ms() - started) // 1000),
            registry=registry,
            clock=tree.clock,
        )
        trio.run(_main, tree, probes, say)


def _pulse(each: ChainPlan, times: Consensus) -> Pulse:
    return Pulse(each.chain.name, each.chain.chain_id, each.names, patience_s(times))


def patience_s(times: Consensus) -> float:
    """Return the seconds after which a block that has not come is missing."""
    round_ms = times.timeout_propose + times.timeout_prevote + times.timeout_precommit
    return home.idle_s(times) + (times.timeout_commit + round_ms) / 1000 + SLACK_S


async def _main(tree: Tree, probes: Probes, say: Callable[[str], None]) -> None:
    observability = tree.plan.settings.observability
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        nursery.start_soon(http.serve, observability.health, observability.metrics, probes)
        for each in tree.plan.chains:
            watched = tree.pulses[each.chain.name]
            nursery.start_soon(pulse.watch, each.rpc_url, watched, tree.measures, tree.clock)
        if tree.plan.bonding is not None:
            nursery.start_soon(_stake, tree, tree.plan.bonding, say)
        async with supervisor.leash() as tether:
            groups = [await _prepare(tree, each) for each in tree.plan.chains]
            await supervisor.supervise(groups, tether, recorder(tree))
    logger.info("validator_stopped")


async def _stake(tree: Tree, asked: Bonding, say: Callable[[str], None]) -> None:
    currency = next(each for each in tree.plan.chains if each.chain.name == "currency")
    await bonding.run(asked, currency.rpc_url, tree.pulses["currency"], tree.staked, say)


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as arrived:
        async for number in arrived:
            if number == signal.SIGHUP:
                logger.warning("settings_kept", reason="restart the validator to change settings")
                continue
            logger.info("validator_stopping", signal=signal.Signals(number).name)
            scope.cancel()


async def _prepare(tree: Tree, each: ChainPlan) -> Group:
    """Write one chain's home and return its processes in starting order."""
    settings = tree.plan.settings
    socket = tree.sockets / f"{each.chain.name}.sock"
    node = home.Node(
        moniker=settings.validator.moniker,
        app_socket=socket,
        p2p=each.p2p,
        rpc=each.rpc,
        peers=await peers(each),
        max_peers=settings.network.max_peers,
        consensus=settings.consensus,
    )
    home.write(each.home, node, each.keys, each.genesis)
    _log_start(each, len(node.peers))
    children = (_app(tree, each, socket), _comet(tree, each))
    return Group(each.chain.name, children)


def _log_start(each: ChainPlan, peers: int) -> None:
    logger.info(
        "chain_prepared",
        chain=each.chain.name,
        chain_id=each.chain.chain_id,
        node_id=each.keys.node_id,
        p2p=str(each.p2p),
        rpc=str(each.rpc),
        role="validator" if each.is_founder else "full node",
        peers=peers,
    )


async def peers(each: ChainPlan) -> tuple[str, ...]:
    """Return `id@host:port` of every known peer; a missing id is asked of the peer itself."""
    found = {f"{node_id}@{place}" for place, node_id in each.known.items()}
    for peer in each.bootstrap:
        node_id = peer.peer_id or each.known.get(peer.address) or await _ask_id(peer.address)
        if node_id and node_id != each.keys.node_id:
            found.add(f"{node_id}@{peer.address}")
    return tuple(sorted(found))


async def _ask_id(place: Address) -> str | None:
    rpc = Address(place.host, place.port + RPC_ABOVE_P2P)
    node_id = await pulse.node_id_at(f"http://{rpc}")
    if node_id is None:
        logger.warning("bootstrap_unresolved", peer=str(place), asked=str(rpc))
    else:
        logger.warning("bootstrap_id_unverified", peer=str(place), node_id=node_id)
    return node_id


def _app(tree: Tree, each: ChainPlan, socket: Path) -> Child:
    async def is_serving() -> bool:
        return socket.is_socket()  # noqa: ASYNC240 - one stat of a local file

    level = tree.plan.settings.validator.log_level
    command = (sys.executable, "-P", "-m", each.chain.module, "--json-logs", "--log-level", level)
    return Child(
        name=f"{each.chain.name}-app",
        command=(
            *command,
            *("--socket", str(socket), "--data-dir", str(each.state_dir)),
            *drawing_flags(each),
            *database_flags(tree.plan.settings.database),
        ),
        log_path=tree.plan.data_dir / "logs" / f"{each.chain.name}-app.log",
        ready=is_serving,
        ready_deadline_s=APP_READY_S,
        stop_deadline_s=STOP_S,
        env=claim.environment(tree.plan.data_dir, os.environ),
    )


def drawing_flags(each: ChainPlan) -> tuple[str, ...]:
    """Return what tells an application where its secret for draws is, if its chain has any."""
    return ("--beacon-secret", str(home.beacon_secret(each.home))) if each.keys.beacon else ()


def database_flags(database: Database) -> tuple[str, ...]:
    """Return what tells an application about its database."""
    values = {
        "--backend": database.backend,
        "--cache-mib": database.cache_size,
        "--write-buffer-mib": database.write_buffer_size,
        "--max-open-files": database.max_open_files,
        "--compaction-threads": database.compaction_threads,
    }
    given = [(flag, str(value)) for flag, value in values.items() if value is not None]
    return tuple(chain.from_iterable(given))


def _comet(tree: Tree, each: ChainPlan) -> Child:
    async def is_answering() -> bool:
        return await pulse.answers_at(each.rpc_url)

    return Child(
        name=f"{each.chain.name}-node",
        command=(str(tree.binary.path), "start", "--home", str(each.home)),
        log_path=tree.plan.data_dir / "logs" / f"{each.chain.name}-node.log",
        ready=is_answering,
        ready_deadline_s=NODE_READY_S,
        stop_deadline_s=STOP_S,
        env=claim.environment(tree.plan.data_dir, home.environment(os.environ)),
        fatal=FATAL,
        remedies=REMEDIES,
        advise=lambda remedy: pulse.heed(tree.pulses[each.chain.name], remedy),
    )


def recorder(tree: Tree) -> supervisor.Report:
    """Return what keeps each chain's phase and counts its restarts."""

    def record(chain: str, phase: Phase, failure: Failure | None) -> None:
        tree.pulses[chain].phase = phase
        if failure is not None:
            tree.pulses[chain].restarts += 1
            tree.pulses[chain].failure = str(failure)
            tree.measures.restarts.labels(chain).inc()

    return record


def readiness(tree: Tree) -> Readiness:
    """Return what `/ready` shows: ready once both chains run, caught up and make blocks."""
    troubles = {name: pulse.trouble(each) for name, each in tree.pulses.items()}
    connected = sum(each.peers for each in tree.pulses.values())
    why = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items() if trouble)
    return Readiness(not why, connected, why)


def status(tree: Tree, uptime_s: int) -> dict[str, Json]:
    """Return what `/status` shows."""
    pulses = tree.pulses.values()
    shown: dict[str, Json] = {each.chain: pulse.show(each) for each in pulses}
    staked: dict[str, Json] = {"stake": tree.staked.show()} if tree.plan.bonding else {}
    return {
        "uptime_s": uptime_s,
        "moniker": tree.plan.settings.validator.moniker,
        "cometbft": {"sha256": tree.binary.sha256, "pinned": tree.binary.pinned},
        "connected_peers": sum(each.peers for each in tree.pulses.values()),
        "warnings": [*pulse.warnings(pulses)],
        **staked,
        "chains": shown,
        "addresses": {
            each.chain.name: _addresses(each, tree.pulses[each.chain.name])
            for each in tree.plan.chains
        },
    }


def _addresses(each: ChainPlan, pulse: Pulse) -> dict[str, Json]:
    return {
        "role": "validator" if each.is_founder or pulse.power else "full node",
        "p2p": str(each.p2p),
        "rpc": str(each.rpc),
        "node_id": each.keys.node_id,
    }


@contextmanager
def socket_folder(data_dir: Path) -> Generator[Path]:
    """Give an owner-only folder whose name is short enough for UNIX sockets."""
    folder = data_dir.resolve() / "run"
    if len(os.fsencode(folder / "currency.sock")) <= MAX_SOCKET_PATH:
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder
        return
    short = Path(tempfile.mkdtemp(prefix="dchat-"))
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets us; databases and peers need them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
