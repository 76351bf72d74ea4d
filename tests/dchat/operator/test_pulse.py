from __future__ import annotations

import re
from collections.abc import Callable, Generator

import pytest
import trio
from prometheus_client import CollectorRegistry

from dchat.operator import pulse
from dchat.operator.pulse import Metrics, Pulse
from dchat.operator.supervisor import Phase
from tests.dchat.operator.programs import until
from tests.fakes.cometbft_rpc import OTHER, OWN, FakeNode, serving
from tests.fakes.node import HandClock

NOON_NS = 1_767_268_800 * 10**9
"""The fake node's block 0."""


class Scene:
    """A fake node, the pulse that watches it and the registry that it counts on."""

    def __init__(self, url: str, node: FakeNode) -> None:
        self.url = url
        self.node = node
        self.registry = CollectorRegistry()
        self.metrics: Metrics = pulse.declare(self.registry, ["chat"])
        self.pulse = Pulse("chat", "test", phase=Phase.RUNNING)
        self.clock = HandClock(NOON_NS)

    def watch(self, *steps: Callable[[], object]) -> None:
        """Watch until the node's height was judged; then do the next step, and watch on."""

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pulse.watch, self.url, self.pulse, self.metrics, self.clock)
                for step in (*steps, lambda: None):
                    await until(lambda: self.pulse.judged == self.node.height - 1)
                    step()
                nursery.cancel_scope.cancel()

        trio.run(main)

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(name, {"chain": "chat"})

    def watch_until(self, holds: Callable[[], bool]) -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pulse.watch, self.url, self.pulse, self.metrics, self.clock)
                await until(holds)
                nursery.cancel_scope.cancel()

        trio.run(main)

    def grow(self, blocks: int) -> Callable[[], None]:
        def step() -> None:
            self.node.height += blocks

        return step


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY_S", 0.01)


@pytest.fixture
def scene() -> Generator[Scene]:
    node = FakeNode(height=5)
    with serving(node) as url:
        yield Scene(url, node)


def test_heights_peers_and_power_are_read(scene: Scene) -> None:
    scene.watch()

    assert (scene.pulse.height, scene.pulse.peers, scene.pulse.power) == (5, 3, 10)
    assert scene.value("dchat_chain_height") == 5
    assert scene.value("dchat_validator_voting_power") == 10


def test_every_metric_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    pulse.declare(registry, ["chat", "currency"])

    assert registry.get_sample_value("dchat_validator_missed_blocks_total", {"chain": "chat"}) == 0
    assert registry.get_sample_value("dchat_chain_height", {"chain": "currency"}) == 0


def test_votes_and_block_times_are_counted(scene: Scene) -> None:
    scene.watch(scene.grow(3))

    assert scene.value("dchat_validator_blocks_validated_total") == 3
    assert scene.value("dchat_validator_missed_blocks_total") == 0
    assert scene.value("dchat_validator_block_time_seconds_count") == 2
    assert scene.value("dchat_validator_block_time_seconds_sum") == 2


@pytest.mark.parametrize("votes", [[], [(OTHER, 2)], [(OWN, 3)], [(OWN, 1)]])
def test_a_block_without_our_vote_is_missed(scene: Scene, votes: list[tuple[str, int]]) -> None:
    scene.node.votes = {5: votes}

    scene.watch(scene.grow(1))

    assert scene.value("dchat_validator_missed_blocks_total") == 1
    assert scene.value("dchat_validator_blocks_validated_total") == 0


def test_a_node_without_power_misses_nothing(scene: Scene) -> None:
    scene.node.power = 0
    scene.node.votes = {5: [(OTHER, 2)]}

    scene.watch(scene.grow(1))

    assert scene.value("dchat_validator_missed_blocks_total") == 0


def test_a_node_far_behind_is_not_asked_for_every_block(scene: Scene) -> None:
    scene.watch(scene.grow(1000))

    assert scene.value("dchat_validator_blocks_validated_total") == 0


@pytest.mark.parametrize("broken", [b"", b"{}", b"[1]", b"\xff"])
def test_a_node_that_talks_nonsense_is_not_answering(scene: Scene, broken: bytes) -> None:
    scene.node.broken = broken

    async def main() -> str | None:
        return await pulse.node_id_at(scene.url)

    assert trio.run(main) is None


def test_a_node_that_answers_says_who_it_is(scene: Scene) -> None:
    async def main() -> tuple[bool, str | None]:
        return await pulse.answers_at(scene.url), await pulse.node_id_at(scene.url)

    assert trio.run(main) == (True, "ab" * 20)


def test_a_closed_port_is_not_answering() -> None:
    assert trio.run(pulse.answers_at, "http://127.0.0.1:1") is False


@pytest.mark.parametrize(
    ("change", "ready"),
    [
        (lambda _pulse: None, True),
        (lambda given: setattr(given, "phase", Phase.PAUSED), False),
        (lambda given: setattr(given, "catching_up", True), False),
        (lambda given: setattr(given, "height", 0), False),
        (lambda given: setattr(given, "read_at", float("-inf")), False),
    ],
    ids=["all well", "restarting", "catching up", "no block", "silent"],
)
def test_ready_means_running_answering_and_caught_up(
    scene: Scene, change: Callable[[Pulse], object], ready: bool
) -> None:
    scene.watch()
    change(scene.pulse)

    async def main() -> dict[str, object]:
        scene.pulse.read_at += trio.current_time() - last
        return dict(pulse.show(scene.pulse))

    last = scene.pulse.read_at

    assert trio.run(main)["ready"] is ready


def test_a_chain_without_blocks_says_who_is_missing(scene: Scene) -> None:
    scene.pulse.patience_s = 0.05
    scene.pulse.names = {bytes.fromhex(OTHER): "validator-2"}

    scene.watch_until(lambda: bool(scene.pulse.stalled))

    assert re.fullmatch(
        r"no block after 5 for \d+ s: only 10 of 20 voting power votes and more than two thirds "
        r"are needed; not heard from: validator-2",
        scene.pulse.stalled,
    )


def test_a_node_that_knows_nobody_says_that_too(scene: Scene) -> None:
    scene.pulse.patience_s, scene.node.peers = 0.05, 0

    scene.watch_until(lambda: bool(scene.pulse.stalled))

    assert scene.pulse.stalled.endswith("; connected to no other node")


def test_a_node_that_gets_no_old_blocks_says_so(scene: Scene) -> None:
    scene.pulse.patience_s, scene.node.catching_up = 0.05, True

    scene.watch_until(lambda: bool(scene.pulse.stalled))

    assert scene.pulse.stalled.endswith(": catching up with 3 peers")


def test_a_block_ends_the_complaint(scene: Scene) -> None:
    scene.pulse.patience_s = 0.2
    scene.watch_until(lambda: bool(scene.pulse.stalled))

    scene.node.height += 1

    scene.watch_until(lambda: not scene.pulse.stalled)


@pytest.mark.parametrize(("off_s", "told"), [(300, 300), (-40, -40), (5, 0)])
def test_a_clock_that_is_far_off_is_noticed_within_a_few_blocks(
    scene: Scene, off_s: int, told: int
) -> None:
    def tick() -> None:
        scene.node.height += 1
        scene.clock.now_ns = NOON_NS + (scene.node.height + 1 + off_s) * 10**9

    tick()
    scene.watch(*[tick] * 12)

    assert abs(scene.pulse.skew.seconds - told) <= 1
    assert len(pulse.warnings([scene.pulse])) == bool(told)


def test_advice_stands_until_the_next_block(scene: Scene) -> None:
    scene.watch()
    pulse.heed(scene.pulse, "set the clock")
    scene.pulse.phase = Phase.PAUSED

    assert pulse.trouble(scene.pulse) == "waiting to restart; set the clock"
    assert pulse.warnings([scene.pulse]) == ["set the clock"]

    scene.watch(scene.grow(1))

    assert pulse.warnings([scene.pulse]) == []


def test_old_blocks_say_nothing_about_the_clock(scene: Scene) -> None:
    scene.node.catching_up = True
    scene.clock.now_ns = NOON_NS + 10**6 * 10**9

    scene.watch(*[scene.grow(1)] * 8)

    assert scene.pulse.skew.seconds == 0
