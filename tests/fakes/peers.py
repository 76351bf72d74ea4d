"""Peers for tests of the relay's network: keys, guarded hosts, hostile ones and upstream's own."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, cast

import trio
from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import (  # pyright: ignore[reportMissingTypeStubs] -- upstream ships none
    PeerInfo,
    info_from_p2p_addr,
)
from libp2p.stream_muxer.yamux.yamux import YAMUX_HEADER_FORMAT
from multiaddr import Multiaddr  # pyright: ignore[reportMissingTypeStubs] -- same

from relay.net.address import Address, parse_address
from relay.net.fence import lone_error
from relay.net.host import Host, open_host
from relay.net.limits import HostLimits
from relay.net.muxer import FixedWindowStream, Muxer
from relay.net.stream import Stream
from relay.net.upstream import Upstream
from relay.net.wire import Wire

P = ParamSpec("P")

ECHO = "/test/echo"
HUNG = "/test/hung"
LOOPBACK = "127.0.0.1:0"


def seed(name: str) -> bytes:
    """A key seed, the same for the same name."""
    return hashlib.sha256(name.encode()).digest()


def in_trio(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test under trio, at most 60 s of it."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            with trio.fail_after(60):
                await test(*args, **kwargs)

        trio.run(main)

    return run


async def echo(stream: Stream) -> None:
    """Send back what comes, until the peer has finished."""
    while received := await stream.read():
        await stream.write(received)


async def hang(stream: Stream) -> None:
    """Read nothing, for ever."""
    del stream
    await trio.sleep_forever()


@asynccontextmanager
async def relay(limits: HostLimits | None = None, name: str = "relay") -> AsyncGenerator[Host]:
    """A listening host that serves ECHO and HUNG."""
    async with open_host(seed(name), LOOPBACK, limits=limits) as host:
        host.serve(ECHO, echo)
        host.serve(HUNG, hang)
        yield host


@asynccontextmanager
async def connected(to: Host, name: str = "client") -> AsyncGenerator[Host]:
    """A host with a connection to another."""
    async with open_host(seed(name)) as host:
        await host.dial(to.peer_id, to.addresses())
        yield host


async def assert_echoes(host: Host, to: Host) -> None:
    """A fresh stream from one host to the other carries bytes both ways."""
    stream = await host.open_stream(to.peer_id, ECHO)
    await stream.write(b"ping")
    assert await stream.read() == b"ping"
    await stream.close()


@asynccontextmanager
async def attacker(to: Host | Address, name: str = "attacker") -> AsyncGenerator[Muxer]:
    """A connection to the host there on which any bytes can be sent, muxer and all."""
    async with dialled(to, name) as (upstream, muxer):
        await upstream.adopt(muxer)
        yield muxer


@asynccontextmanager
async def dialled(to: Host | Address, name: str) -> AsyncGenerator[tuple[Upstream, Muxer]]:
    """A connection that has shaken hands and whose own muxer does not run yet."""
    at = to.addresses()[0] if isinstance(to, Host) else to
    upstream = Upstream(seed(name), HostLimits(max_buffered=1 << 40))
    with lone_error():
        async with upstream.run(listen_addrs=[]):
            wire = Wire(await trio.open_tcp_stream(at.host, at.port), 15.0)
            try:
                yield upstream, await upstream.shake_hands(wire, at.peer_id)
            finally:
                wire.abort()


async def open_negotiated(muxer: Muxer, protocol: str) -> FixedWindowStream:
    """A stream of the attacker's connection that the host's handler of the protocol serves."""
    stream = await muxer.open_stream()
    for text in ("/multistream/1.0.0", protocol):
        await stream.write(bytes([len(text) + 1]) + text.encode() + b"\n")
    greeting = len("/multistream/1.0.0") + len(protocol) + 4
    got = b""
    while len(got) < greeting:
        got += await stream.read(greeting - len(got))
    return cast("FixedWindowStream", stream)


def yamux(kind: int, flags: int, stream_id: int, length: int, body: bytes = b"") -> bytes:
    """One yamux frame, as wrong as the caller likes."""
    return struct.pack(YAMUX_HEADER_FORMAT, 0, kind, flags, stream_id, length) + body


@asynccontextmanager
async def unguarded(
    name: str, config: ConnectionConfig | None = None, port: int = 0
) -> AsyncGenerator[IHost]:
    """Upstream's own host with its defaults, listening."""
    host = new_host(key_pair=create_new_key_pair(seed(name)), connection_config=config)
    with lone_error():
        async with host.run(listen_addrs=[Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")]):
            try:
                yield host
            finally:
                await host.close()


def address_of(host: IHost) -> Address:
    """Where upstream's host listens, and its id."""
    return parse_address(str(host.get_addrs()[0]))


def whereabouts(host: IHost) -> PeerInfo:
    """The same in upstream's terms."""
    return info_from_p2p_addr(host.get_addrs()[0])


async def until(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    while not holds():  # noqa: ASYNC110 -- upstream offers no event for it
        await trio.sleep(0.005)
