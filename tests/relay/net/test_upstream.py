from __future__ import annotations

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.peerinfo import (  # pyright: ignore[reportMissingTypeStubs] -- upstream ships none
    info_from_p2p_addr,
)
from multiaddr import Multiaddr  # pyright: ignore[reportMissingTypeStubs] -- same

from relay.net import upstream
from relay.net.address import PeerId
from relay.net.fence import PeerFailed
from relay.net.host import Host, open_host
from relay.net.upstream import WrongLibp2p
from tests.fakes.peers import ECHO, address_of, connected, in_trio, relay, seed, unguarded


def test_another_version_of_upstream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "LIBP2P_VERSION", "9.9.9")

    with pytest.raises(WrongLibp2p):
        trio.run(open_host(seed("host")).__aenter__)


@pytest.mark.parametrize("protocol", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
@in_trio
async def test_nothing_but_noise_is_spoken(protocol: str) -> None:
    async with relay() as host, await raw(host) as stream:
        await stream.send_all(delimited("/multistream/1.0.0") + delimited(protocol))

        await received(stream, delimited("/multistream/1.0.0") + delimited("na"))


def delimited(text: str) -> bytes:
    """A multistream message: varint length, text, newline. Source: multistream-select 1.0."""
    return bytes([len(text) + 1]) + text.encode() + b"\n"


async def received(stream: trio.SocketStream, expected: bytes) -> None:
    """Read exactly what is expected."""
    got = b""
    while len(got) < len(expected):
        got += await stream.receive_some(len(expected) - len(got))
    assert got == expected


async def raw(host: Host) -> trio.SocketStream:
    """A TCP connection to the host."""
    return await trio.open_tcp_stream("127.0.0.1", host.addresses()[0].port)


@in_trio
async def test_identify_push_is_not_served() -> None:
    async with relay() as host, connected(host) as client:
        with pytest.raises(PeerFailed):
            await client.open_stream(host.peer_id, "/ipfs/id/push/1.0.0")


@in_trio
async def test_nobody_is_asked_to_identify_itself() -> None:
    asked: list[INetStream] = []

    async def note(stream: INetStream) -> None:
        asked.append(stream)

    async with unguarded("plain") as plain, open_host(seed("client")) as client:
        plain.set_stream_handler(TProtocol("/ipfs/id/1.0.0"), note)
        plain.set_stream_handler(TProtocol("/test/any"), note)
        whom = PeerId(str(plain.get_id()))
        await client.dial(whom, [address_of(plain)])
        await (await client.open_stream(whom, "/test/any")).close()

    assert len(asked) == 1


@in_trio
async def test_an_unmodified_libp2p_host_can_talk_to_us() -> None:
    async with relay() as host, unguarded("plain") as plain:
        whom = info_from_p2p_addr(Multiaddr(str(host.addresses()[0])))
        await plain.connect(whom)

        stream = await plain.new_stream(whom.peer_id, [TProtocol(ECHO)])
        await stream.write(b"ping")

        assert await stream.read(4) == b"ping"


@in_trio
async def test_we_can_talk_to_an_unmodified_libp2p_host() -> None:
    async def shout(stream: INetStream) -> None:
        await stream.write((await stream.read(4)).upper())

    async with unguarded("plain") as plain, open_host(seed("client")) as client:
        plain.set_stream_handler(TProtocol("/test/shout"), shout)
        whom = PeerId(str(plain.get_id()))
        await client.dial(whom, [address_of(plain)])

        stream = await client.open_stream(whom, "/test/shout")
        await stream.write(b"ping")

        assert await stream.read() == b"PING"
