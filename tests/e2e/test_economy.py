"""Stake, absence, double signing and a newcomer among four real validators, in one story.

Each test would do on a network of its own; in this order they share one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from abci_currency.txs.unjail import NeverUnjailed
from dchat.node.rfc3339 import parse_time
from dchat.operator.home import IDLE_HEADER_EVERY_S
from tests.conftest import Ran
from tests.e2e import fleet, stakes
from tests.e2e.fleet import Fleet
from tests.e2e.nodes import CHAINS, Json, Node
from tests.e2e.stakes import Desk, address, operator

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NS = 10**9


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four validators with stake of 100, 100, 100 and 80; the chains idle."""
    built = stakes.build(tmp_path_factory.mktemp("net"))
    try:
        built.start()
        yield built
    finally:
        built.kill()


@pytest.fixture
def net(running: Fleet) -> Iterator[Fleet]:
    """The network; after each chapter whoever runs agrees on every block of both chains."""
    yield running
    assert fleet.quarrels([node for node in running.nodes if fleet.is_running(node)]) == []


@pytest.fixture
def desk(net: Fleet, dchat: Callable[..., Ran]) -> Desk:
    return Desk(net.network, dchat)


def slashes(desk: Desk, whose: str) -> list[Json]:
    """What a validator was slashed for, the oldest first."""
    found: list[Json] = desk.ask("slashes", whose)["slashes"]
    return found


def test_a_delegation_moves_power_two_blocks_later(net: Fleet, desk: Desk) -> None:
    first = net.validators[0]

    words = ("delegate", "--validator", operator(first), "--amount", "40")
    at = desk.order("saver", *words)["height"]

    assert stakes.powers(first, at + 1)[address(first)] == 100
    assert [stakes.powers(n, at + 2)[address(first)] for n in net.validators] == [140] * 4
    assert desk.ask("validator", operator(first))["power"] == 140


def test_a_fifth_joins_and_the_weakest_drops_out(net: Fleet, desk: Desk) -> None:
    first, *_, fourth = net.validators
    fifth = net.late

    with stakes.traffic(net):
        fifth.start()
        fifth.wait_until(lambda: fifth.get("/status")["stake"].startswith("done"), "end of staking")
        first.wait_until(lambda: address(fifth) in stakes.newest(first), "fifth validator")
        stakes.await_vote(first, fifth)

    assert sorted(stakes.newest(first).values()) == [90, 100, 100, 140]
    assert address(fourth) not in stakes.newest(first)
    assert desk.states() == {
        **dict.fromkeys(["validator-1", "validator-2", "validator-3", "late"], "active"),
        "validator-4": "waiting",
    }
    roles = fifth.get("/status")["addresses"]
    assert [roles[chain]["role"] for chain in CHAINS] == ["full node", "validator"]


def test_an_idle_chain_stays_idle_with_a_validator_down(net: Fleet, desk: Desk) -> None:
    first, second = net.validators[:2]

    stakes.halt(second)
    paid = desk.order("saver", "send", "--to", operator(first), "--amount", "1")["height"]
    first.wait_for_heights({"currency": paid + 5})

    last = fleet.headers(first, "currency", paid + 3, paid + 5)
    times_ns = [parse_time(header["time"]) for header in last]
    shown = desk.ask("validator", operator(second))
    assert address(second) not in stakes.signers(first, paid + 1)
    assert len({header["app_hash"] for header in last}) == 1
    assert min(b - a for a, b in pairwise(times_ns)) > (IDLE_HEADER_EVERY_S - 1) * NS
    assert (shown["state"], shown["missed_blocks"] > 3) == ("active", True)


def test_who_is_away_too_long_is_jailed_unjails_and_votes_again(net: Fleet, desk: Desk) -> None:
    first, second, _, fourth = net.validators
    stakes.halt(second)

    with stakes.traffic(net):
        first.wait_until(lambda: address(second) not in stakes.newest(first), "jail")
        [slash] = slashes(desk, operator(second))
        jailed = desk.ask("validator", operator(second))
        second.start()
        second.wait_until(lambda: bool(second.get("/ready")["ready"]), "readiness")
        stakes.await_release(first, jailed["jailed_until"])
        freed = desk.order(second.name, "unjail")["height"]
        back = stakes.powers(first, freed + 2)
        stakes.await_vote(first, second)

    at = slash["slashed_at"]
    assert (slash["fault"], slash["burned_at_once"]) == ("downtime", "1 DCHAT")
    assert stakes.events(first, at) == ["Slashed", "Jailed"]
    assert address(second) in stakes.powers(first, at + 1)
    assert address(second) not in stakes.powers(first, at + 2)
    assert stakes.powers(first, at + 2)[address(fourth)] == 80
    assert (jailed["state"], jailed["power"]) == ("jailed", 0)
    assert address(second) not in stakes.powers(first, freed + 1)
    assert back[address(second)] == 99
    assert desk.states()[second.name] == "active"


def test_who_signs_twice_is_slashed_and_after_its_return_never_votes_again(
    net: Fleet, desk: Desk
) -> None:
    first, _, third, fourth = net.validators

    with stakes.traffic(net), stakes.started_twice(third, net):
        first.wait_until(lambda: address(third) not in stakes.newest(first), "first slash")
        [slash] = slashes(desk, operator(third))
        jailed = desk.ask("validator", operator(third))
        stakes.await_release(first, jailed["jailed_until"])
        freed = desk.order(third.name, "unjail")["height"]
        returned = stakes.powers(first, freed + 2)
        first.wait_until(lambda: address(third) not in stakes.newest(first), "second slash")
        again = slashes(desk, operator(third))[-1]
        first.wait_for_heights({"currency": again["slashed_at"] + 4})

    at = slash["slashed_at"]
    [proof, *_] = first.rpc("currency", "block", height=str(at))["block"]["evidence"]["evidence"]
    assert proof["type"] == "tendermint/DuplicateVoteEvidence"
    assert (slash["fault"], slash["burned_at_once"]) == ("duplicate_vote", "5 DCHAT")
    assert stakes.events(first, at)[:3] == ["OffenceProved", "Slashed", "Jailed"]
    assert jailed["state"] == "jailed"
    assert address(third) in stakes.powers(first, at + 1)
    assert address(third) not in stakes.powers(first, at + 2)
    assert returned[address(third)] == 95
    assert again["offence_at"] >= freed + 2
    assert "Tombstoned" in stakes.events(first, again["slashed_at"])
    assert stakes.powers(first, again["slashed_at"] + 2)[address(fourth)] == 80
    assert desk.states()[third.name] == "tombstoned"
    refusal = desk.refused(third.name, "unjail")
    assert (refusal.code, json.loads(refusal.out)["code"]) == (13, NeverUnjailed.code)


def test_a_stranger_proves_where_every_unit_is_from_genesis_on(net: Fleet, desk: Desk) -> None:
    fourth = net.validators[3]

    report = desk.ask("supply", "--audit", "--rpc", _rpc(fourth))

    proved = report["checked"]
    assert proved["root_of_trust_height"] == 1
    assert 3 * proved["signed_power_at_least"] > 2 * proved["total_power"]
    assert (report["issued"], report["accounts"] > len(net.validators)) == ("1400 DCHAT", True)


def _rpc(node: Node) -> str:
    return f"http://127.0.0.1:{node.ports.rpc + 10}"
