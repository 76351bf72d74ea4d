from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import MockClock

from relay.net.address import Address, PeerId, peer_id
from relay.net.bootstrap import keep_connected
from relay.net.host import PeerUnreachable
from tests.fakes.peers import seed

ME = peer_id(seed("me"))
NEAR = Address("127.0.0.1", 7070, peer_id(seed("near")))
AWAY = Address("127.0.0.1", 7071, peer_id(seed("away")))


class Dials:
    """A host that notes when it dialled whom; whoever is in `away` cannot be reached."""

    peer_id = ME

    def __init__(self, *away: Address) -> None:
        self.away = {address.peer_id for address in away}
        self.at: list[tuple[int, PeerId]] = []

    async def dial(self, peer_id: PeerId, addresses: Sequence[Address]) -> None:
        self.at.append((round(trio.current_time()), peer_id))
        assert [address.peer_id for address in addresses] == [peer_id]
        if peer_id in self.away:
            raise PeerUnreachable(peer_id, ("away",))


def dialled(host: Dials, *peers: Address, seconds: float) -> list[tuple[int, PeerId]]:
    """Keep connected for so long, in no time."""

    async def run() -> None:
        with trio.move_on_after(seconds):
            await keep_connected(host, peers)

    trio.run(run, clock=MockClock(autojump_threshold=0))
    return host.at


def test_a_peer_is_looked_after_every_five_seconds() -> None:
    times = [at for at, _ in dialled(Dials(), NEAR, seconds=16)]

    assert times == [0, 5, 10, 15]


def test_the_pause_doubles_while_a_peer_is_away() -> None:
    times = [at for at, _ in dialled(Dials(AWAY), AWAY, seconds=80)]

    assert times == [0, 5, 15, 35, 75]


def test_the_pause_stops_growing_at_five_minutes() -> None:
    times = [at for at, _ in dialled(Dials(AWAY), AWAY, seconds=2_000)]

    assert times[-1] - times[-2] == 300


def test_a_peer_that_is_away_keeps_nobody_from_the_others() -> None:
    seen = dialled(Dials(AWAY), AWAY, NEAR, seconds=16)

    assert [at for at, peer in seen if peer == NEAR.peer_id] == [0, 5, 10, 15]


def test_a_relay_named_in_its_own_list_does_not_dial_itself() -> None:
    assert dialled(Dials(), Address("127.0.0.1", 7070, ME), seconds=16) == []
