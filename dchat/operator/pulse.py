"""What a node's chains are doing, read from CometBFT's RPC once a second, and the metrics of it.

When no block comes although one should, the pulse says why; when this machine's clock is far from
the network's, it says that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Final

import httpx
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import BeforeValidator

from dchat.kernel.headers import Flag
from dchat.node import answers, log
from dchat.node.answers import Answer, MalformedAnswer
from dchat.node.clock import Clock
from dchat.node.http import Json
from dchat.operator import fetch, stall
from dchat.operator.fetch import NoAnswer
from dchat.operator.skew import Skew
from dchat.operator.supervisor import Phase

EVERY_S: Final = 1.0
MAX_CATCH_UP: Final = 20
"""Headers looked at per round; a node far behind skips the rest."""
STALE_AFTER_S: Final = 10.0
PATIENCE_S: Final = 30.0
NS: Final = 1_000_000_000
NS_IN_MS: Final = 1_000_000
BLOCK_TIME_BUCKETS: Final = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 12.5, 15, 20, 30, 60)

logger = log.get(__name__)


class _Sync(Answer):
    latest_block_height: answers.Int
    latest_block_time: answers.TimeNs
    catching_up: bool


class _NodeInfo(Answer):
    id: str


class _Own(Answer):
    address: answers.Hex
    voting_power: answers.Int


class StatusBody(Answer):
    """Part of `/status`."""

    sync_info: _Sync
    node_info: _NodeInfo
    validator_info: _Own


class _NetInfo(Answer):
    n_peers: answers.Int


class _Vote(Answer):
    block_id_flag: int
    validator_address: answers.Hex


class _Commit(Answer):
    signatures: Annotated[list[_Vote], BeforeValidator(lambda raw: raw or [])]


class _Header(Answer):
    time: answers.TimeNs


class _Signed(Answer):
    header: _Header
    commit: _Commit


class _CommitBody(Answer):
    signed_header: _Signed


@dataclass(frozen=True, slots=True)
class Metrics:
    """The guide's validator metrics; every one has the label `chain`."""

    height: Gauge
    peers: Gauge
    power: Gauge
    restarts: Counter
    validated: Counter
    missed: Counter
    block_time: Histogram


@dataclass(slots=True)
class Pulse:
    """One chain's last known condition. Times are trio's clock; 0 before anything was read."""

    chain: str
    chain_id: str
    names: Mapping[bytes, str] = field(default_factory=dict[bytes, str])
    """What genesis calls its validators, by their addresses."""
    patience_s: float = PATIENCE_S
    """Without a block for so long, something is wrong."""
    phase: Phase = Phase.STARTING
    height: int = 0
    block_time_ns: int = 0
    catching_up: bool = True
    peers: int = 0
    power: int = 0
    restarts: int = 0
    read_at: float = field(default=float("-inf"))
    risen_at: float = field(default=float("-inf"))
    stalled: str = ""
    """Why no blocks come; empty while they do."""
    failure: str = ""
    """Why the chain's processes were last restarted."""
    advice: str = ""
    """What to do about something that the node complained of since the last block."""
    skew: Skew = field(default_factory=Skew)
    judged: int = 0
    judged_time_ns: int = 0


def declare(registry: CollectorRegistry, chains: Iterable[str]) -> Metrics:
    """Put the metrics of these chains on a registry, at zero; call once a process."""
    labels = ["chain"]
    measures = Metrics(
        height=Gauge("dchat_chain_height", "Latest block.", labels, registry=registry),
        peers=Gauge("dchat_chain_peers", "Connected nodes.", labels, registry=registry),
        power=Gauge(
            "dchat_validator_voting_power", "Power of this node's key.", labels, registry=registry
        ),
        restarts=Counter(
            "dchat_validator_restarts_total",
            "How often this chain's processes were restarted.",
            labels,
            registry=registry,
        ),
        validated=Counter(
            "dchat_validator_blocks_validated_total",
            "Blocks that carry this validator's vote.",
            labels,
            registry=registry,
        ),
        missed=Counter(
            "dchat_validator_missed_blocks_total",
            "Blocks without this validator's vote while it had power.",
            labels,
            registry=registry,
        ),
        block_time=Histogram(
            "dchat_validator_block_time_seconds",
            "Time between two blocks.",
            labels,
            registry=registry,
            buckets=BLOCK_TIME_BUCKETS,
        ),
    )
    for chain in chains:
        for each in fields(measures):
            getattr(measures, each.name).labels(chain)
    return measures


async def watch(url: str, pulse: Pulse, metrics: Metrics, clock: Clock) -> None:
    """Keep the pulse current until cancelled; a node that does not answer leaves it to go stale."""
    async with fetch.client(url) as http:
        while True:
            try:
                await _read(http, pulse, metrics, clock)
                await _find_stall(http, pulse)
            except (NoAnswer, MalformedAnswer) as fault:
                logger.debug("pulse_missed", chain=pulse.chain, reason=repr(fault))
            await trio.sleep(EVERY_S)


def is_fresh(pulse: Pulse) -> bool:
    """Whether the node answered lately."""
    return trio.current_time() - pulse.read_at < STALE_AFTER_S


def is_ready(pulse: Pulse) -> bool:
    """Whether the chain runs, answers, has caught up and makes blocks."""
    return not trouble(pulse)


def heed(pulse: Pulse, advice: str) -> None:
    """Keep a piece of advice until the next block."""
    if pulse.advice != advice:
        logger.warning("advice_given", chain=pulse.chain, advice=advice)
    pulse.advice = advice


def trouble(pulse: Pulse) -> str:
    """Return why the chain is not ready, and what to do where that is known; empty where it is."""
    found = _trouble(pulse)
    return f"{found}; {pulse.advice}" if found and pulse.advice else found


def _trouble(pulse: Pulse) -> str:
    if pulse.phase is not Phase.RUNNING:
        return (
            f"{pulse.phase.value}, after: {pulse.failure}" if pulse.failure else pulse.phase.value
        )
    if not is_fresh(pulse):
        return "its node does not answer"
    if pulse.stalled:
        return pulse.stalled
    if pulse.height == 0:
        return "no block yet"
    if pulse.catching_up:
        return f"catching up, at block {pulse.height} with {pulse.peers} peers"
    return ""


def warnings(pulses: Iterable[Pulse]) -> list[str]:
    """Return what does not keep the chains from working, and should be looked at."""
    known = list(pulses)
    off = max((each.skew.seconds for each in known), key=abs, default=0)
    where = "ahead of" if off > 0 else "behind"
    clock = [f"this machine's clock is {abs(off)} s {where} the network's"] if off else []
    return [*clock, *sorted({each.advice for each in known if each.advice})]


def show(pulse: Pulse) -> dict[str, Json]:
    """Return what `/status` says of one chain."""
    return {
        "chain_id": pulse.chain_id,
        "phase": pulse.phase.value,
        "ready": is_ready(pulse),
        "trouble": trouble(pulse),
        "height": pulse.height,
        "block_time_ms": pulse.block_time_ns // NS_IN_MS,
        "catching_up": pulse.catching_up,
        "connected_peers": pulse.peers,
        "voting_power": pulse.power,
        "restarts": pulse.restarts,
        "last_failure": pulse.failure,
        "clock_ahead_s": pulse.skew.seconds,
    }


async def answers_at(url: str) -> bool:
    """Whether a node answers `/status` there."""
    async with fetch.client(url) as http:
        try:
            await fetch.get(http, "/status")
        except (NoAnswer, MalformedAnswer):
            return False
        return True


async def node_id_at(url: str) -> str | None:
    """Return the id that a node claims over RPC; None where it does not answer."""
    async with fetch.client(url) as http:
        try:
            body = await fetch.get(http, "/status")
            return answers.parse(answers.Result[StatusBody], body).result.node_info.id
        except (NoAnswer, MalformedAnswer):
            return None


async def _read(http: httpx.AsyncClient, pulse: Pulse, metrics: Metrics, clock: Clock) -> None:
    asked_ns = clock.now() * NS_IN_MS
    said = answers.parse(answers.Result[StatusBody], await fetch.get(http, "/status")).result
    answered_ns = clock.now() * NS_IN_MS
    net = answers.parse(answers.Result[_NetInfo], await fetch.get(http, "/net_info")).result
    _take_in(pulse, said)
    pulse.peers = net.n_peers
    metrics.height.labels(pulse.chain).set(pulse.height)
    metrics.peers.labels(pulse.chain).set(pulse.peers)
    metrics.power.labels(pulse.chain).set(pulse.power)
    await _judge_blocks(http, pulse, metrics, said.validator_info.address)
    _judge_clock(pulse, asked_ns, answered_ns)


def _take_in(pulse: Pulse, said: StatusBody) -> None:
    now, before = trio.current_time(), pulse.height
    pulse.height = said.sync_info.latest_block_height
    pulse.block_time_ns = said.sync_info.latest_block_time
    pulse.catching_up = said.sync_info.catching_up
    pulse.power = said.validator_info.voting_power
    silent = not is_fresh(pulse)
    pulse.read_at = now
    if pulse.height > before or silent:
        pulse.risen_at = now
        if pulse.stalled:
            logger.info("chain_moves_again", chain=pulse.chain, height=pulse.height)
        pulse.stalled = ""
    if pulse.height > before > 0:
        pulse.advice = ""


async def _find_stall(http: httpx.AsyncClient, pulse: Pulse) -> None:
    """Say why there is no block, once one should have come."""
    waited_s = trio.current_time() - pulse.risen_at
    if waited_s < pulse.patience_s:
        return
    if not pulse.stalled:
        logger.warning("chain_stalled", chain=pulse.chain, height=pulse.height)
    if pulse.catching_up:
        why = f"catching up with {pulse.peers} peers"
    else:
        why = await stall.explain(http, pulse.names)
    alone = "; connected to no other node" if pulse.peers == 0 else ""
    pulse.stalled = f"no block after {pulse.height} for {waited_s:.0f} s: {why}{alone}"


def _judge_clock(pulse: Pulse, asked_ns: int, answered_ns: int) -> None:
    before = pulse.skew.seconds
    if pulse.catching_up:
        pulse.skew.forget()
        return
    pulse.skew.judge(pulse.height, pulse.block_time_ns)
    pulse.skew.heard(pulse.height, asked_ns, answered_ns)
    if pulse.skew.seconds and not before:
        logger.warning("clock_off", chain=pulse.chain, ahead_s=pulse.skew.seconds)


async def _judge_blocks(
    http: httpx.AsyncClient, pulse: Pulse, metrics: Metrics, own: bytes
) -> None:
    """Count votes in the commits that are final: those below the latest height."""
    final = pulse.height - 1
    if pulse.judged == 0 or final - pulse.judged > MAX_CATCH_UP:
        pulse.judged, pulse.judged_time_ns = max(0, final), 0
        return
    for height in range(pulse.judged + 1, final + 1):
        body = await fetch.get(http, "/commit", {"height": str(height)})
        signed = answers.parse(answers.Result[_CommitBody], body).result.signed_header
        _count(signed, pulse, metrics, own)
        pulse.skew.judge(height, signed.header.time)
        pulse.judged, pulse.judged_time_ns = height, signed.header.time


def _count(signed: _Signed, pulse: Pulse, metrics: Metrics, own: bytes) -> None:
    if pulse.judged_time_ns:
        elapsed = (signed.header.time - pulse.judged_time_ns) / NS
        metrics.block_time.labels(pulse.chain).observe(elapsed)
    voted = any(
        vote.validator_address == own and vote.block_id_flag == Flag.COMMIT
        for vote in signed.commit.signatures
    )
    if voted:
        metrics.validated.labels(pulse.chain).inc()
    elif pulse.power > 0:
        metrics.missed.labels(pulse.chain).inc()
