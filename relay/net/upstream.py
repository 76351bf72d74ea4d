"""What we take from py-libp2p: handshakes, the table of connections, the dispatch of streams.

Nothing outside this file and the two below it (wire, muxer) touches libp2p's connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final, cast

from libp2p.abc import INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID  # pyright: ignore[reportMissingTypeStubs] -- upstream ships none
from libp2p.peer.peerstore import PeerStore  # pyright: ignore[reportMissingTypeStubs] -- same
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr  # pyright: ignore[reportMissingTypeStubs] -- same

from dchat.kernel.errors import OperatorError, RemoteProtocolError
from relay.net.address import Address, PeerId
from relay.net.fence import blamed_on_peer, contained
from relay.net.limits import HostLimits
from relay.net.muxer import Muxer
from relay.net.wire import Wire

LIBP2P_VERSION: Final = "0.8.1"
_UNBOUNDED: Final = 1 << 30


class WrongLibp2p(OperatorError):
    """Another py-libp2p is installed than the one these guards were made for."""

    hint = f"install libp2p=={LIBP2P_VERSION}, or use the locked requirements"


class Upstream(BasicHost):
    """Upstream's host with Noise XX and yamux only, and without opinions of its own."""

    def __init__(self, seed: bytes, limits: HostLimits) -> None:
        key = create_new_key_pair(seed)
        identity = ID.from_pubkey(key.public_key)
        peers = PeerStore()
        peers.add_key_pair(identity, key)
        self._limits = limits
        self._addresses: Callable[[], tuple[Address, ...]] = tuple
        self._upgrader = TransportUpgrader({NOISE_ID: _noise(key)}, {TProtocol(YAMUX_ID): Muxer})
        self.swarm = Swarm(identity, peers, self._upgrader, [], connection_config=_config(limits))
        self.swarm.auto_connector = _Idle(self.swarm)
        super().__init__(self.swarm)
        # A peer's identify push is one more parser for strangers to reach, and we use none of it.
        self.remove_stream_handler(ID_PUSH)
        inner = self.swarm.common_stream_handler
        self.swarm.set_stream_handler(lambda stream: _fenced(inner, stream))

    def advertise(self, addresses: Callable[[], tuple[Address, ...]]) -> None:
        """Tell peers these addresses from now on."""
        self._addresses = addresses

    def get_addrs(self) -> list[Multiaddr]:
        """Return what identify tells peers."""
        return [Multiaddr(str(address)) for address in self._addresses()]

    def muxers(self, peer_id: PeerId | None = None) -> list[Muxer]:
        """Return the live connections, oldest first; with one peer if named."""
        peer = None if peer_id is None else ID.from_base58(peer_id)
        every = [cast("Muxer", conn.muxed_conn) for conn in self.swarm.get_connections(peer)]
        return [each for each in every if not each.event_shutting_down.is_set()]

    async def shake_hands(self, wire: Wire, expected: PeerId | None) -> Muxer:
        """Agree on Noise and yamux; `expected` is whom we dialled, None if we were dialled.

        Raises: anything, like all foreign parsers: call it inside a fence and a deadline.
        """
        dialled = expected is not None
        peer = ID.from_base58(expected) if dialled else None
        raw = RawConnection(wire, initiator=dialled)
        secured = await self._upgrader.upgrade_security(raw, dialled, peer)
        await self._upgrader.muxer_multistream.select_transport(cast("RawConnection", secured))
        wire.trust()
        return Muxer(secured, wire, self._limits)

    async def adopt(self, muxer: Muxer) -> None:
        """Start the connection; the peer's oldest ones make room for it."""
        older = self.muxers(muxer.remote)
        await self.swarm.add_conn(muxer, "outbound" if muxer.is_initiator else "inbound")
        for each in older[: max(0, len(older) + 1 - self._limits.max_per_peer)]:
            await each.hang_up()

    async def open(self, peer_id: PeerId, protocol: str) -> INetStream:
        """Open a stream on a live connection. Raises: anything, as above."""
        return await self.new_stream(ID.from_base58(peer_id), [TProtocol(protocol)])

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        # Upstream would ask every peer who it is, in a task whose failure ends the process.
        del peer_id, reason


class _Idle(AutoConnector):
    """Upstream would dial whoever it has an address of whenever it has few connections."""

    async def maybe_connect(self) -> None:
        """Leave it to `Host.dial`."""


def require_libp2p() -> None:
    """Return if the pinned py-libp2p is installed. Raises: WrongLibp2p."""
    if version("libp2p") != LIBP2P_VERSION:
        raise WrongLibp2p(f"libp2p {version('libp2p')} is installed, {LIBP2P_VERSION} is needed")


async def _fenced(inner: Callable[[INetStream], Awaitable[None]], stream: INetStream) -> None:
    with contained("stream"):
        try:
            with blamed_on_peer("stream"):
                await inner(stream)
        except RemoteProtocolError:
            await stream.reset()
            raise


def _noise(key: KeyPair) -> Noise:
    return Noise(key, noise_privkey=create_noise_key_pair().private_key)


def _config(limits: HostLimits) -> ConnectionConfig:
    # The door counts connections; upstream must neither refuse, trim nor dial by itself.
    return ConnectionConfig(
        min_connections=0,
        low_watermark=0,
        high_watermark=_UNBOUNDED,
        max_connections=_UNBOUNDED,
        max_connections_per_peer=_UNBOUNDED,
        inbound_stream_protocol_negotiation_timeout=limits.handshake_timeout_s,
        outbound_stream_protocol_negotiation_timeout=limits.handshake_timeout_s,
    )
