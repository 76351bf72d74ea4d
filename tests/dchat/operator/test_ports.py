from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from dchat.node import http
from dchat.node.address import Address
from dchat.operator import ports
from dchat.operator.ports import NoFreePort, Ports

HIGH = Ports(46_656, 46_657, 48_080, 49_090, 47_070, 48_081, 49_091)


def free_base() -> Ports:
    """Ports that are all free now, far from the usual ones."""
    return ports.choose(HIGH)


def test_free_ports_are_taken_as_wanted() -> None:
    wanted = free_base()

    assert ports.choose(wanted) == wanted


def test_a_chain_whose_port_is_taken_moves_as_a_whole() -> None:
    wanted = free_base()

    with http.listen(Address(ports.HOST, wanted.rpc + 10)):
        chosen = ports.choose(wanted)

    assert chosen.p2p - wanted.p2p == chosen.rpc - wanted.rpc
    assert (chosen.rpc - wanted.rpc) % 100 == 0
    assert chosen.rpc != wanted.rpc


def test_a_taken_relay_port_moves_alone() -> None:
    wanted = free_base()

    with http.listen(Address(ports.HOST, wanted.relay)):
        chosen = ports.choose(wanted)

    assert chosen.relay != wanted.relay
    assert replace(chosen, relay=wanted.relay) == wanted


def test_no_port_is_given_twice() -> None:
    wanted = free_base()

    with http.listen(Address(ports.HOST, wanted.validator_health)):
        chosen = ports.choose(wanted)

    assert len(set(astuple(chosen))) == len(astuple(chosen))


def test_a_range_without_a_free_port_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = free_base()
    monkeypatch.setattr(ports, "MAX_TRIES", 1)

    with http.listen(Address(ports.HOST, wanted.relay)), pytest.raises(NoFreePort, match="near"):
        ports.choose(wanted)


def test_the_ports_of_every_node_are_looked_at() -> None:
    wanted = ports.choose(HIGH, 3)

    with http.listen(Address(ports.HOST, wanted.at(2).rpc + 10)):
        chosen = ports.choose(wanted, 3)

    assert chosen.rpc != wanted.rpc
    assert ports.choose(wanted, 3) == wanted


def test_every_port_of_a_network_is_its_own() -> None:
    assert len(ports.choose(HIGH, 4).all(4)) == 4 * 6 + 3


def test_ports_that_are_not_given_are_passed_over() -> None:
    wanted = free_base()

    chosen = ports.choose(wanted, take=lambda port: port != wanted.validator_health)

    assert chosen.validator_health != wanted.validator_health
