"""Four validators of both chains: whatever happens to them, they agree, and they go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dchat.node.clock import SystemClock
from dchat.node.rfc3339 import parse_time
from tests.e2e import clocks, fleet
from tests.e2e.fleet import Fleet, Traffic
from tests.e2e.nodes import CHAINS, Node

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

OFF_S = 300
ADVICE = "this machine's clock is behind: set it, for example by NTP"
NEAR_S = 60
"""More than a busy machine's delays, and far less than five minutes."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One network for all scenarios; transactions come to both chains all along."""
    built = fleet.build(tmp_path_factory.mktemp("net"))
    payer = built.network.folder / "rich.json"
    traffic = [Traffic(built.validators, payer, chain) for chain in CHAINS]
    try:
        built.start()
        [each.start() for each in traffic]
        yield built
    finally:
        [each.stop() for each in traffic if each.is_alive()]
        built.kill()


@pytest.fixture
def four(running: Fleet) -> Iterator[Fleet]:
    """All four at work; after the scenario they are again, and agree on every block of both."""
    running.start()
    yield running
    running.start()
    running.advance()
    assert fleet.quarrels(running.nodes) == []


def test_four_validators_sign_and_make_blocks_with_changing_state(four: Fleet) -> None:
    reached = four.advance(6)

    first = four.validators[0]
    first.wait_until(lambda: first.get("/status")["chains"]["chat"]["connected_peers"] == 3, "mesh")
    commit = first.rpc("chat", "commit", height=str(reached["chat"] - 2))["signed_header"]
    recent = fleet.headers(first, "currency", reached["currency"] - 5, reached["currency"])
    assert len(commit["commit"]["signatures"]) == 4
    assert len({header["app_hash"] for header in recent}) > 1
    assert first.get("/ready") == {"ready": True, "connected_peers": 6}


def test_a_full_node_that_comes_late_fetches_every_block(four: Fleet) -> None:
    folder, peer = four.network.folder, four.validators[1].ports.p2p
    four.late.finds = (
        f"""genesis_files = ["{folder}/genesis-chat.json", "{folder}/genesis-currency.json"]"""
    )
    four.late.bootstrap = f"/ip4/127.0.0.1/tcp/{peer}"
    reached = four.advance(1)

    four.late.start()
    four.late.wait_for_heights(reached)
    four.late.wait_until(lambda: bool(four.late.get("/ready")["ready"]), "readiness")

    status = four.late.get("/status")
    assert {each["role"] for each in status["addresses"].values()} == {"full node"}
    assert {each["voting_power"] for each in status["chains"].values()} == {0}
    assert int(four.late.rpc("chat", "status")["sync_info"]["earliest_block_height"]) == 1


def test_one_that_was_killed_is_not_missed_and_comes_back(four: Fleet) -> None:
    victim = four.validators[3]

    victim.kill_tree()
    reached = four.advance(4)
    victim.start()

    victim.wait_for_heights(reached)
    victim.wait_until(lambda: "_missed_blocks" in victim.metrics(), "metrics")
    power = victim.get("/status")["chains"]["chat"]["voting_power"]
    assert power == 10


def test_two_down_halt_both_chains_until_one_returns_and_the_others_say_why(four: Fleet) -> None:
    first, _, third, fourth = four.validators

    third.kill_tree()
    fourth.kill_tree()
    first.wait_until(lambda: _says(four, "not heard from: validator-3, validator-4"), "complaint")
    halted = first.heights()

    why = first.get("/ready")["why"]
    assert "chat: no block after " in why
    assert "currency: no block after " in why
    assert "only 20 of 40 voting power votes and more than two thirds are needed" in why
    assert not first.get("/ready")["ready"]
    assert first.heights() == halted

    third.start()
    first.wait_for_heights({chain: height + 2 for chain, height in halted.items()})
    first.wait_until(lambda: bool(first.get("/ready")["ready"]), "readiness")


@pytest.mark.parametrize("end", [Fleet.ask_to_stop, Fleet.kill], ids=["stopped", "killed"])
def test_all_go_at_once_and_go_on_where_they_were(
    four: Fleet, end: Callable[[Fleet], None]
) -> None:
    before = four.advance(1)

    end(four)

    four.start()
    assert [n.name for n in four.nodes if n.height("currency") < before["currency"]] == []
    four.advance(2)


def test_a_clock_five_minutes_ahead_moves_neither_blocks_nor_their_time(four: Fleet) -> None:
    skewed, judge = four.validators[3], four.validators[0]
    with clocks.shifted(skewed, OFF_S):
        skewed.wait_until(lambda: bool(skewed.get("/status")["warnings"]), "warning")

        reached = four.advance(4)

        [warning] = skewed.get("/status")["warnings"]
        commit = judge.rpc("chat", "commit", height=str(reached["chat"] - 1))["signed_header"]
    headers = fleet.headers(judge, "chat", 1, reached["chat"])
    now_s = SystemClock().now() // 1000
    votes_s = sorted(_seconds(vote["timestamp"]) for vote in commit["commit"]["signatures"])
    assert warning.startswith("this machine's clock is ")
    assert warning.endswith(" s ahead of the network's")
    assert abs(int(warning.split()[4]) - OFF_S) < NEAR_S
    assert votes_s[3] - votes_s[2] > OFF_S - NEAR_S
    assert fleet.rises([header["time"] for header in headers])
    assert abs(_seconds(headers[-1]["time"]) - now_s) < NEAR_S


def test_a_clock_five_minutes_behind_leaves_out_that_validator_alone_and_it_says_so(
    four: Fleet,
) -> None:
    skewed, *others = reversed(four.validators)
    with clocks.shifted(skewed, -OFF_S):
        skewed.wait_until(lambda: ADVICE in _complaint(skewed), "advice to set the clock")
        stuck_at = others[0].heights()

        [node.wait_for_heights({c: h + 4 for c, h in stuck_at.items()}) for node in others]

        assert ADVICE in _complaint(skewed)


def _complaint(node: Node) -> str:
    """Why the node is not ready, or its last words where it gave up."""
    return str(node.get("/ready").get("why")) if fleet.is_running(node) else node.tail()


def _says(four: Fleet, words: str) -> bool:
    """Whether both who are left say it of both chains."""
    left = four.validators[:2]
    return all(node.get("/ready").get("why", "").count(words) == 2 for node in left)


def _seconds(time: str) -> int:
    return parse_time(time) // 10**9
