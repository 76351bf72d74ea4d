"""Links without a network: two ends in one process, bounded like the real thing."""

from __future__ import annotations

import trio

from relay.core.frames import MAX_BODY
from relay.net.address import PeerId
from relay.net.link import LinkClosed


class MemoryLink:
    """One end of a pair; see relay.net.link.Link."""

    def __init__(
        self,
        peer_id: PeerId,
        outlet: trio.MemorySendChannel[bytes],
        inlet: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._peer_id = peer_id
        self._outlet = outlet
        self._inlet = inlet

    @property
    def peer_id(self) -> PeerId:
        return self._peer_id

    async def send(self, body: bytes) -> None:
        assert len(body) <= MAX_BODY
        try:
            await self._outlet.send(body)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkClosed("closed") from None

    async def receive(self) -> bytes:
        try:
            return await self._inlet.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise LinkClosed("closed") from None

    async def aclose(self) -> None:
        self._outlet.close()
        self._inlet.close()


def link_pair(client: str = "client", relay: str = "relay") -> tuple[MemoryLink, MemoryLink]:
    """The client's end and the relay's end; each names the other as its peer."""
    there, at_relay = trio.open_memory_channel[bytes](64)
    back, at_client = trio.open_memory_channel[bytes](64)
    return MemoryLink(PeerId(relay), there, at_client), MemoryLink(PeerId(client), back, at_relay)
