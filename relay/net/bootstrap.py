"""Keeps trying to be connected with the peers an operator named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import trio

from dchat.node import log
from relay.net.address import Address, PeerId
from relay.net.host import PeerUnreachable

FIRST_PAUSE_S: Final = 5
LAST_PAUSE_S: Final = 300

_log = log.get(__name__)


class Dialler(Protocol):
    """What this needs of a host."""

    @property
    def peer_id(self) -> PeerId:
        """The host's own id."""
        ...

    async def dial(self, peer_id: PeerId, addresses: Sequence[Address], /) -> None:
        """Be connected with the peer, at once if it already is. Raises: PeerUnreachable."""
        ...


async def keep_connected(host: Dialler, peers: Sequence[Address]) -> None:
    """Dial each peer now and again whenever it is not connected, until cancelled.

    The pause between two attempts doubles from 5 to 300 seconds while a peer is unreachable.
    """
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(_keep_one, host, peer)


async def _keep_one(host: Dialler, peer: Address) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        is_connected = await _dial(host, peer)
        if is_connected:
            pause_s = FIRST_PAUSE_S
        await trio.sleep(pause_s)
        if not is_connected:
            pause_s = min(2 * pause_s, LAST_PAUSE_S)


async def _dial(host: Dialler, peer: Address) -> bool:
    if peer.peer_id is None or peer.peer_id == host.peer_id:
        return True
    try:
        await host.dial(peer.peer_id, (peer,))
    except PeerUnreachable as fault:
        _log.warning("bootstrap_unreachable", peer=peer.peer_id, why=str(fault))
        return False
    return True
