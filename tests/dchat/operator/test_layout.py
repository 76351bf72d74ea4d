from __future__ import annotations

from pathlib import Path

from dchat.operator.layout import Estate, Size
from dchat.operator.ports import Ports

FIVE = Estate(Path("net"), "devnet-x", Ports(), Size(3, 2))


def test_validators_come_first_and_every_node_has_a_place_of_its_own() -> None:
    names = [member.name for member in FIVE.members]

    assert names == ["validator-1", "validator-2", "validator-3", "full-node-1", "full-node-2"]
    assert [member.place for member in FIVE.members] == [0, 1, 2, 3, 4]
    assert [member.validates for member in FIVE.members] == [True] * 3 + [False] * 2


def test_the_next_node_listens_a_hundred_further() -> None:
    third = FIVE.ports_of(FIVE.members[2])

    assert (third.p2p, third.rpc, third.validator_health, third.validator_metrics) == (
        *(26_856, 26_857),
        *(8280, 9290),
    )
