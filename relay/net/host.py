"""A libp2p host that strangers may reach: TCP, Noise XX and yamux only, Ed25519 peer ids.

Listening and dialling are done here, because upstream's leak slots, share ports in silence,
remember a failed dial for a minute and never give up on a frozen peer. See ADR 0005.

    async with open_host(seed, "0.0.0.0:7070") as host:
        host.serve("/dchat/relay/1", handler)             # handler(stream) runs once per stream
        await host.dial(peer_id, addresses)
        stream = await host.open_stream(peer_id, "/dchat/relay/1")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol

from dchat.kernel.errors import OperatorError, RemoteProtocolError
from relay.net.address import Address, BadAddress, PeerId, parse_listen
from relay.net.door import Door, source_of
from relay.net.fence import PeerFailed, blamed_on_peer, contained, lone_error
from relay.net.limits import HostLimits
from relay.net.muxer import Muxer
from relay.net.stream import Stream
from relay.net.upstream import Upstream, require_libp2p
from relay.net.wire import Wire

MAX_ADDRESSES: Final = 16
"""Addresses of one peer tried in one dial; the rest are ignored."""
_CLOSE_S: Final = 2.0

Handler = Callable[[Stream], Awaitable[None]]
"""Runs once per inbound stream of its protocol; whatever it raises ends that stream only."""


class CannotListen(OperatorError):
    """The address to listen on is taken or not ours."""

    hint = "stop the other process, or choose another address"


class PeerUnreachable(RemoteProtocolError):
    """No address led to the peer. Attributes: peer_id, reasons -- one per address tried."""

    def __init__(self, whom: PeerId, reasons: tuple[str, ...]) -> None:
        super().__init__(f"cannot reach {whom}: {'; '.join(reasons) or 'no address'}")
        self.peer_id = whom
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Connection:
    """A live connection, for status and metrics. `buffered` are received bytes nobody has read."""

    peer_id: PeerId
    inbound: bool
    streams: int
    buffered: int


@asynccontextmanager
async def open_host(
    seed: bytes,
    listen: str | None = None,
    *,
    announce: Sequence[Address] = (),
    limits: HostLimits | None = None,
) -> AsyncGenerator[Host, None]:
    """Run a host while the block runs; `listen` as `HOST:PORT` or multiaddr, None = dial only.

    `announce` are the addresses told to peers instead of the bound ones.

    Raises: WrongLibp2p, BadAddress, CannotListen.
    """
    require_libp2p()
    bounds = limits or HostLimits()
    upstream = Upstream(seed, bounds)
    with lone_error():
        async with upstream.run(listen_addrs=[]), trio.open_nursery() as nursery:
            host = Host(upstream, nursery, bounds)
            try:
                if listen is not None:
                    await host.listen(parse_listen(listen))
                host.announce(announce)
                yield host
            finally:
                await host.close()


class Host:
    """Connections with peers, and the streams on them. Made by `open_host`."""

    def __init__(self, upstream: Upstream, nursery: trio.Nursery, limits: HostLimits) -> None:
        self.peer_id = PeerId(str(upstream.get_id()))
        self._upstream = upstream
        self._nursery = nursery
        self._limits = limits
        self._door = Door(limits)
        self._bound: tuple[Address, ...] = ()
        self._announced: tuple[Address, ...] = ()
        upstream.advertise(self.addresses)

    def addresses(self) -> tuple[Address, ...]:
        """Return where peers find this host: the announced addresses, else the bound ones."""
        return self._announced or self._bound

    def announce(self, addresses: Sequence[Address]) -> None:
        """Tell peers these addresses from now on, or the bound ones if there are none."""
        self._announced = tuple(Address(each.host, each.port, self.peer_id) for each in addresses)

    def connections(self) -> tuple[Connection, ...]:
        """Return the live connections."""
        return tuple(
            Connection(each.remote, not each.is_initiator, len(each.streams), each.buffered())
            for each in self._upstream.muxers()
        )

    def is_connected(self, whom: PeerId) -> bool:
        """Tell whether there is a live connection with the peer."""
        return bool(self._upstream.muxers(whom))

    def serve(self, protocol: str, handler: Handler) -> None:
        """Run `handler` for each stream that a peer opens for `protocol`.

        When it returns the stream is closed; when it raises the stream is reset.
        """

        async def handle(inner: INetStream) -> None:
            stream = Stream(inner, PeerId(str(inner.muxed_conn.peer_id)))
            with contained(protocol):
                try:
                    await handler(stream)
                except BaseException:
                    await stream.reset()
                    raise
                await stream.close()

        self._upstream.set_stream_handler(TProtocol(protocol), handle)

    async def dial(
        self, whom: PeerId, addresses: Sequence[Address], timeout_s: float = 10.0
    ) -> None:
        """Be connected with the peer, trying all addresses at once; at once if it already is.

        Raises: PeerUnreachable.
        """
        if self.is_connected(whom):
            return
        attempt = _Attempt(whom)
        try:
            with trio.move_on_after(timeout_s) as scope:
                await self._race(attempt, addresses)
                await self._settle(attempt)
            if scope.cancelled_caught:
                attempt.reasons.append(f"no answer within {timeout_s} s")
        finally:
            attempt.give_up_unless_settled()
        if not attempt.is_settled:
            raise PeerUnreachable(whom, tuple(attempt.reasons))

    async def open_stream(self, whom: PeerId, protocol: str) -> Stream:
        """Open a stream to a connected peer.

        Raises: PeerUnreachable if not connected; PeerFailed if it refuses or does not answer.
        """
        if not self.is_connected(whom):
            raise PeerUnreachable(whom, ("not connected",))
        doing = f"opening {protocol}"
        # Shielded: cancelled half-way it would leak a stream on both sides.
        with (
            trio.move_on_after(2 * self._limits.handshake_timeout_s, shield=True),
            blamed_on_peer(doing),
        ):
            return Stream(await self._upstream.open(whom, protocol), whom)
        raise PeerFailed(f"{doing}: no answer")

    async def disconnect(self, whom: PeerId) -> None:
        """Close every connection with the peer."""
        for muxer in self._upstream.muxers(whom):
            await muxer.hang_up()

    async def close(self) -> None:
        """Stop listening and close every connection, politely within two seconds."""
        with trio.move_on_after(_CLOSE_S, shield=True):
            async with trio.open_nursery() as nursery:
                for muxer in self._upstream.muxers():
                    nursery.start_soon(_part, muxer)
        for muxer in self._upstream.muxers():
            muxer.abort()
        self._nursery.cancel_scope.cancel()

    async def listen(self, at: Address) -> None:
        """Accept connections at `at`, and be the only one who does. Raises: CannotListen."""
        try:
            # Without SO_REUSEPORT, unlike upstream's: two relays must not share a port unawares.
            listeners = await trio.open_tcp_listeners(at.port, host=at.host)
        except OSError as error:
            raise CannotListen(f"cannot listen on {at}: {error}") from error
        self._nursery.start_soon(trio.serve_listeners, self._accept, listeners)
        self._bound += tuple(_bound(each, self.peer_id) for each in listeners)

    async def _accept(self, stream: trio.SocketStream) -> None:
        wire = Wire(stream, self._limits.write_timeout_s)
        try:
            with contained("inbound connection"), blamed_on_peer("inbound connection"):
                await self._admit(wire, source_of(stream.socket.getpeername()[0]))
        finally:
            wire.abort()

    async def _admit(self, wire: Wire, source: str) -> None:
        with self._door.connected(source):
            with self._door.half_open(source), trio.fail_after(self._limits.handshake_timeout_s):
                muxer = await self._upstream.shake_hands(wire, None)
            await self._upstream.adopt(muxer)
            await muxer.event_closed.wait()

    async def _race(self, attempt: _Attempt, addresses: Sequence[Address]) -> None:
        async with trio.open_nursery() as nursery:
            for address in addresses[:MAX_ADDRESSES]:
                nursery.start_soon(self._try, attempt, address, nursery.cancel_scope)

    async def _try(self, attempt: _Attempt, address: Address, race: trio.CancelScope) -> None:
        try:
            muxer = await self._reach(attempt.whom, address)
        except (OSError, RemoteProtocolError, BadAddress) as error:
            attempt.reasons.append(f"{address}: {error}")
            return
        if attempt.muxer is not None:
            muxer.abort()
            return
        attempt.muxer = muxer
        race.cancel()

    async def _reach(self, whom: PeerId, address: Address) -> Muxer:
        if address.peer_id not in {None, whom}:
            raise BadAddress(str(address), f"names another peer than {whom}")
        stream = await trio.open_tcp_stream(address.host, address.port)
        wire = Wire(stream, self._limits.write_timeout_s)
        try:
            with blamed_on_peer("handshake"):
                return await self._upstream.shake_hands(wire, whom)
        except BaseException:
            wire.abort()
            raise

    async def _settle(self, attempt: _Attempt) -> None:
        """Start the connection that won, and hear from the peer's muxer that it let us in."""
        if attempt.muxer is None:
            return
        try:
            with blamed_on_peer("connection"):
                await self._upstream.adopt(attempt.muxer)
                attempt.is_settled = await attempt.muxer.answers()
        except PeerFailed as error:
            attempt.reasons.append(str(error))
        if not attempt.is_settled:
            attempt.reasons.append("refused after the handshake")


@dataclass(slots=True)
class _Attempt:
    """A dial under way: the connection once one address won, else why each failed."""

    whom: PeerId
    muxer: Muxer | None = None
    is_settled: bool = False
    reasons: list[str] = field(default_factory=list[str])

    def give_up_unless_settled(self) -> None:
        """Close a connection that won and came no further."""
        if self.muxer is not None and not self.is_settled:
            self.muxer.abort()


async def _part(muxer: Muxer) -> None:
    with contained("closing"):
        await muxer.close()


def _bound(listener: trio.SocketListener, own_id: PeerId) -> Address:
    host, port = listener.socket.getsockname()[:2]
    return Address(host, port, own_id)
