"""One relay process: opens everything in order, serves until told to stop, closes in reverse.

Start: lock the data directory, open and check the database, listen, serve health and metrics,
write `ready.json`, log `relay_ready`. SIGTERM or SIGINT: refuse new requests, answer those under
way within DRAIN_S, close. A second signal ends it at once. At any moment, what was
receipted is on disk.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio
from prometheus_client import CollectorRegistry, Gauge

import dchat
from dchat.kernel.errors import OperatorError
from dchat.node import http, identity, log, metrics
from dchat.node.clock import Clock, SystemClock, monotonic_ms
from dchat.node.config import RelayConfig
from relay.core.desk import Desk
from relay.core.jobs import Prune
from relay.core.limits import Limits
from relay.core.messages import PROTOCOL
from relay.core.queue import Queue
from relay.net.address import Address, parse_address
from relay.net.bootstrap import keep_connected
from relay.net.host import Host, open_host
from relay.net.limits import HostLimits
from relay.net.link import open_link
from relay.net.lock import locked
from relay.net.meter import Meter
from relay.net.pump import Pump
from relay.net.server import Server
from relay.net.store import Store
from relay.net.stream import Stream

DRAIN_S: Final = 10
READY_FILE: Final = "ready.json"
LOCK_FILE: Final = "lock"
LOCK_SUFFIX: Final = ".lock"

_log = log.get(__name__)


class NamelessPeer(OperatorError):
    """A bootstrap address does not say which peer is expected there."""

    hint = "append /p2p/ID; a relay shows its id as peer_id under /status"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a relay needs to start, checked: settings and the seed of its libp2p identity."""

    config: RelayConfig
    seed: bytes = field(repr=False)
    announce: tuple[Address, ...]
    bootstrap: tuple[Address, ...]


def check(config: RelayConfig) -> None:
    """Return if every address in the settings can be used; opens nothing. Raises: OperatorError."""
    _announce(config)
    _bootstrap(config)


def plan(config: RelayConfig) -> Plan:
    """Read the identity and every address that the settings name; opens nothing else.

    Raises: OperatorError, OSError where the identity file cannot be read.
    """
    seed = identity.load(config.node.identity_file).child("libp2p")
    return Plan(config, seed, _announce(config), _bootstrap(config))


async def rehearse(planned: Plan) -> None:
    """Open files, ports and keys as run() would, then close them. Raises: OperatorError."""
    async with _opened(planned, SystemClock()):
        pass


async def run(
    planned: Plan,
    clock: Clock | None = None,
    stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Be a relay until `stop` returns; by default that is when a signal asks to stop.

    Raises: OperatorError.
    """
    async with _opened(planned, clock or SystemClock()) as relay, trio.open_nursery() as nursery:
        relay.start(nursery)
        with relay.announced():
            await (stop or _signal)()
            await relay.drain()
        nursery.cancel_scope.cancel()


def _announce(config: RelayConfig) -> tuple[Address, ...]:
    public = config.network.public_address
    return (parse_address(public),) if public else ()


def _bootstrap(config: RelayConfig) -> tuple[Address, ...]:
    peers = tuple(parse_address(text) for text in config.network.bootstrap_nodes)
    for peer in peers:
        if peer.peer_id is None:
            raise NamelessPeer(f"bootstrap address {peer} has no peer id")
    return peers


@asynccontextmanager
async def _opened(planned: Plan, clock: Clock) -> AsyncGenerator[_Relay]:
    """Hold everything a relay needs open while the block runs; no peer is served yet."""
    config = planned.config
    limits = limits_of(config)
    config.node.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(config):
        # A relay that was killed leaves the file behind; nobody may take it for ours.
        (config.node.data_dir / READY_FILE).unlink(missing_ok=True)
        store = await trio.to_thread.run_sync(Store, config.database, limits)
        with closing(store):
            async with open_host(
                planned.seed,
                str(config.network.listen_address),
                announce=planned.announce,
                limits=_host_limits(config.network.max_peers),
            ) as host:
                desk = Desk(planned.seed, limits, Queue(limits, store.places()))
                relay = _Relay(planned, host, Parts(store, desk, clock))
                async with trio.open_nursery() as nursery:
                    await nursery.start(relay.serve_http)
                    yield relay
                    nursery.cancel_scope.cancel()


@contextmanager
def _locked(config: RelayConfig) -> Generator[None]:
    home, database = config.node.data_dir, config.database
    beside = database.with_name(database.name + LOCK_SUFFIX)
    with locked(home, home / LOCK_FILE), locked(database, beside):
        yield


def _host_limits(max_peers: int) -> HostLimits:
    # One address gets half the places at most, so that it cannot keep everybody else out.
    return HostLimits(max_connections=max_peers, max_per_source=max(max_peers // 2, 1))


def limits_of(config: RelayConfig) -> Limits:
    """Return the bounds that the settings ask for."""
    return Limits(
        max_queue_size=config.relay.max_queue_size,
        max_message_age_ms=config.storage.max_message_age * 1000,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The open parts of a relay besides its host."""

    store: Store
    desk: Desk
    clock: Clock


class _Relay:
    """The parts of a running relay, tied together."""

    def __init__(self, planned: Plan, host: Host, parts: Parts) -> None:
        registry = metrics.new_registry("relay")
        self._plan = planned
        self._host = host
        self._desk = parts.desk
        self._clock = parts.clock
        self._started_ms = monotonic_ms()
        self._meter = Meter(registry)
        self._pump = Pump(parts.store)
        self._server = Server(parts.desk, self._pump, parts.clock, self._meter)
        self._is_draining = False
        self._probes = http.Probes(self._readiness, self._status, registry, parts.clock)
        self._bound: http.Bound | None = None
        self._declare_gauges(registry)

    def start(self, nursery: trio.Nursery) -> None:
        """Serve peers in the nursery. Its tasks raise: OperatorError."""
        nursery.start_soon(self._pump.run, self._server.settled)
        nursery.start_soon(self._prune_for_ever)
        nursery.start_soon(keep_connected, self._host, self._plan.bootstrap)
        self._host.serve(PROTOCOL, self._handle)

    async def serve_http(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer health and metrics until cancelled. Raises: OperatorError."""

        def on_bound(bound: http.Bound) -> None:
            self._bound = bound
            task_status.started()

        where = self._plan.config.observability
        await http.serve(where.health, where.metrics, self._probes, on_bound)

    async def drain(self) -> None:
        """Answer what is under way and let every peer go, within DRAIN_S."""
        self._is_draining = True
        _log.info("relay_draining", sessions=self._server.sessions)
        with trio.move_on_after(DRAIN_S) as deadline:
            await self._server.drain()
        _log.info("relay_stopped", in_time=not deadline.cancelled_caught)

    async def _handle(self, stream: Stream) -> None:
        async with open_link(stream) as link:
            await self._server.serve(link)

    async def _prune_for_ever(self) -> None:
        while True:
            await self._pump.do(Prune(self._clock.now()))
            await trio.sleep(self._plan.config.storage.pruning_interval)

    @contextmanager
    def announced(self) -> Generator[None]:
        """Say in the log and in `ready.json` where the relay is, while the block runs."""
        path = self._plan.config.node.data_dir / READY_FILE
        facts = {
            "pid": os.getpid(),
            "peer_id": self._host.peer_id,
            "addresses": [str(address) for address in self._host.addresses()],
            "health": str(self._bound.health) if self._bound else "",
            "metrics": str(self._bound.metrics) if self._bound else "",
        }
        _write_whole(path, json.dumps(facts, indent=1) + "\n")
        _log.info("relay_ready", **facts)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def _readiness(self) -> http.Readiness:
        peers = len(self._host.connections())
        if self._is_draining:
            return http.Readiness(ready=False, connected_peers=peers, why="draining")
        return http.Readiness(ready=True, connected_peers=peers)

    def _status(self) -> Mapping[str, http.Json]:
        limits = self._desk.limits
        return {
            "version": dchat.__version__,
            "peer_id": self._host.peer_id,
            "addresses": [str(address) for address in self._host.addresses()],
            "uptime_seconds": self._uptime_s(),
            "peers": len(self._host.connections()),
            "sessions": self._server.sessions,
            "queue_size": len(self._desk.queue),
            "queue_bytes": self._desk.queue.bytes_held,
            "max_queue_size": limits.max_queue_size,
            "max_queue_bytes": limits.max_queue_bytes,
            "accepted": self._meter.accepted,
            "forwarded": self._meter.forwarded,
            "draining": self._is_draining,
        }

    def _uptime_s(self) -> int:
        return (monotonic_ms() - self._started_ms) // 1000

    def _declare_gauges(self, registry: CollectorRegistry) -> None:
        gauges: Mapping[str, tuple[str, Callable[[], float]]] = {
            "dchat_relay_queue_size": ("Envelopes held.", lambda: len(self._desk.queue)),
            "dchat_relay_queue_bytes": ("Bytes held.", lambda: self._desk.queue.bytes_held),
            "dchat_relay_uptime_seconds": ("Seconds since start.", self._uptime_s),
            "dchat_relay_sessions": ("Sessions.", lambda: self._server.sessions),
            "dchat_network_connected_peers": (
                "Connected peers.",
                lambda: len(self._host.connections()),
            ),
        }
        for name, (text, read) in gauges.items():
            Gauge(name, text, registry=registry).set_function(read)


async def _signal() -> None:
    """Return when asked to stop; a second request then ends the process the default way."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGHUP:
                return
            _log.warning("reload_ignored", why="no setting of a relay changes while it runs")


def _write_whole(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
