from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.net.door import Door, DoorClosed, source_of
from relay.net.limits import HostLimits

LIMITS = HostLimits(
    max_connections=4, max_per_source=2, max_half_open=3, max_half_open_per_source=1
)


def enter(door: Door, room: str, source: str) -> AbstractContextManager[None]:
    return {"connected": door.connected, "half_open": door.half_open}[room](source)


@pytest.mark.parametrize(
    ("room", "inside", "bound"),
    [
        ("connected", ["a", "a", "b", "c"], "max_connections"),
        ("connected", ["d", "d"], "max_connections_per_source"),
        ("half_open", ["a", "b", "c"], "max_half_open"),
        ("half_open", ["d"], "max_half_open_per_source"),
    ],
)
def test_a_full_room_takes_nobody_and_names_its_bound(
    room: str, inside: list[str], bound: str
) -> None:
    door = Door(LIMITS)
    with ExitStack() as visitors:
        for source in inside:
            visitors.enter_context(enter(door, room, source))

        with pytest.raises(DoorClosed) as refused, enter(door, room, "d"):
            pass

    assert refused.value.bound == bound


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_every_place_comes_back_whatever_happened_in_between(visits: list[str]) -> None:
    door = Door(LIMITS)
    with ExitStack() as visitors:
        for source in visits:
            try:
                visitors.enter_context(door.connected(source))
            except DoorClosed:
                continue

    with door.connected("a"), door.connected("a"), door.connected("b"), door.connected("c"):
        pass


def test_a_place_comes_back_when_the_visit_ends_in_an_error() -> None:
    door = Door(HostLimits(max_connections=1))
    with pytest.raises(ValueError, match="inside"), door.connected("a"):
        raise ValueError("inside")

    with door.connected("b"):
        pass


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_addresses_that_one_party_can_have_many_of_count_as_one(address: str, source: str) -> None:
    assert source_of(address) == source
