"""Keeps trying to be connected with the peers an operator named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from dchat.node import log
from relay.net.address import Address
from relay.net.host import Host, PeerUnreachable

FIRST_PAUSE_S: Final = 5
LAST_PAUSE_S: Final = 300

_log = log.get(__name__)


async def keep_connected(host: Host, peers: Sequence[Address]) -> None:
    """Dial each peer now and again whenever it is not connected, until cancelled.

    The pause between two attempts doubles from 5 to 300 seconds while a peer is unreachable.
    """
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(_keep_one, host, peer)


async def _keep_one(host: Host, peer: Address) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        is_connected = await _dial(host, peer)
        pause_s = FIRST_PAUSE_S if is_connected else min(2 * pause_s, LAST_PAUSE_S)
        await trio.sleep(pause_s)


async def _dial(host: Host, peer: Address) -> bool:
    if peer.peer_id is None or peer.peer_id == host.peer_id:
        return True
    try:
        await host.dial(peer.peer_id, (peer,))
    except PeerUnreachable as fault:
        _log.warning("bootstrap_unreachable", peer=peer.peer_id, why=str(fault))
        return False
    return True
