from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import cast

import pytest
import trio
from libp2p.network.config import ConnectionConfig
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID  # pyright: ignore[reportMissingTypeStubs] -- upstream ships none
from libp2p.peer.peerinfo import (  # pyright: ignore[reportMissingTypeStubs] -- same
    PeerInfo,
)
from multiaddr import Multiaddr  # pyright: ignore[reportMissingTypeStubs] -- same

from dchat.kernel.errors import DchatError, InvariantBroken
from relay.net.address import Address, BadAddress, peer_id
from relay.net.fence import PeerFailed
from relay.net.host import CannotListen, Host, PeerUnreachable, open_host
from relay.net.limits import HostLimits
from relay.net.stream import Stream, StreamClosed
from relay.net.upstream import Upstream
from relay.net.wire import Wire
from tests.fakes.peers import (
    ECHO,
    address_of,
    assert_echoes,
    attacker,
    connected,
    in_trio,
    relay,
    seed,
    unguarded,
    until,
    whereabouts,
)

BAD_UTF8 = b"\x04\xff\xff\xff\n"
"""A multistream message whose text is not UTF-8: all it takes to end an unguarded process."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@in_trio
async def test_a_stream_carries_bytes_both_ways() -> None:
    async with relay() as host, connected(host) as client:
        await assert_echoes(client, host)


@in_trio
async def test_both_sides_know_each_other_by_the_key_of_their_seed() -> None:
    async with relay() as host, connected(host, "client") as client:
        assert (host.peer_id, client.peer_id) == (peer_id(seed("relay")), peer_id(seed("client")))
        assert [each.peer_id for each in host.connections()] == [client.peer_id]
        assert [each.peer_id for each in client.connections()] == [host.peer_id]


@in_trio
async def test_a_host_is_found_at_its_bound_address_unless_it_announces_another() -> None:
    async with relay() as host:
        bound = host.addresses()

        host.announce([Address("relay.example.org", 7070)])

        assert bound[0].port != 0
        assert str(host.addresses()[0]) == f"/dns/relay.example.org/tcp/7070/p2p/{host.peer_id}"


@in_trio
async def test_an_unknown_protocol_is_refused_and_the_connection_lives_on() -> None:
    async with relay() as host, connected(host) as client:
        with pytest.raises(PeerFailed):
            await client.open_stream(host.peer_id, "/test/unknown")

        await assert_echoes(client, host)


@in_trio
async def test_a_stream_needs_a_connection_first() -> None:
    async with relay() as host, open_host(seed("client")) as client:
        with pytest.raises(PeerUnreachable):
            await client.open_stream(host.peer_id, ECHO)


@in_trio
async def test_disconnecting_ends_the_connection_on_both_sides() -> None:
    async with relay() as host, connected(host) as client:
        await client.disconnect(host.peer_id)

        await until(lambda: not host.connections() and not client.connections())


# --- remote crashes


@in_trio
async def test_five_bytes_of_bad_utf8_end_one_stream_only() -> None:
    async with relay() as host, connected(host) as client, attacker(host) as hostile:
        stream = await hostile.open_stream()

        await stream.write(BAD_UTF8)

        await until(lambda: stream.reset_received)
        await assert_echoes(client, host)


def test_the_same_five_bytes_end_an_unguarded_host() -> None:
    async def main() -> None:
        async with unguarded("victim") as victim, attacker(address_of(victim)) as hostile:
            stream = await hostile.open_stream()
            await stream.write(BAD_UTF8)
            await trio.sleep(5)

    with pytest.raises(UnicodeDecodeError):
        trio.run(main)


@pytest.mark.parametrize(
    "error",
    [ValueError("bug"), StreamEOF(), PeerFailed("gone"), ExceptionGroup("many", [KeyError("x")])],
    ids=repr,
)
@in_trio
async def test_a_handler_that_raises_ends_its_own_stream_only(error: Exception) -> None:
    async def fail(stream: Stream) -> None:
        await stream.read()
        raise error

    async with relay() as host, connected(host) as client, connected(host, "other") as other:
        host.serve("/test/fail", fail)
        stream = await client.open_stream(host.peer_id, "/test/fail")

        await stream.write(b"x")

        with pytest.raises(StreamClosed):
            await stream.read()
        await assert_echoes(client, host)
        await assert_echoes(other, host)


def test_a_broken_invariant_in_a_handler_stops_the_host() -> None:
    async def fail(stream: Stream) -> None:
        raise InvariantBroken(stream.peer_id)

    async def main() -> None:
        async with relay() as host, connected(host) as client:
            host.serve("/test/fail", fail)
            await client.open_stream(host.peer_id, "/test/fail")
            await trio.sleep(5)

    with pytest.raises(InvariantBroken):
        trio.run(main)


# --- inbound slots


@in_trio
async def test_a_slot_comes_back_with_every_connection_that_ends() -> None:
    limits = HostLimits(max_connections=2, max_half_open=2)
    async with relay(limits) as host, open_host(seed("client")) as client:
        for _ in range(20):
            await client.dial(host.peer_id, host.addresses())
            await assert_echoes(client, host)
            await client.disconnect(host.peer_id)
            await until(lambda: not host.connections())


@in_trio
async def test_an_unguarded_host_takes_nobody_after_as_many_connections_as_it_has_slots() -> None:
    slots = ConnectionConfig(
        min_connections=0, low_watermark=0, high_watermark=2, max_connections=2
    )
    async with unguarded("host", slots) as host, unguarded("client") as client:
        network = cast("Swarm", client.get_network())
        for _ in range(2):
            await client.connect(whereabouts(host))
            await client.disconnect(host.get_id())
            await until(lambda: not cast("Swarm", host.get_network()).get_connections())

        with pytest.raises(SwarmException):
            await client.connect(whereabouts(host))

        assert not network.get_connections()


@in_trio
async def test_connections_over_the_bound_are_refused_and_those_inside_live_on() -> None:
    async with relay(HostLimits(max_connections=1)) as host, connected(host) as client:
        async with open_host(seed("late")) as late:
            with pytest.raises(PeerUnreachable):
                await late.dial(host.peer_id, host.addresses())

        await assert_echoes(client, host)


@in_trio
async def test_a_peer_that_comes_again_pushes_out_its_own_oldest_connection() -> None:
    async with (
        relay(HostLimits(max_per_peer=1)) as host,
        connected(host, "twin") as first,
        connected(host, "twin") as second,
    ):
        await until(lambda: not first.connections())

        await assert_echoes(second, host)
        assert len(host.connections()) == 1


# --- half-open connections


@in_trio
async def test_half_open_sockets_of_one_address_do_not_keep_others_out() -> None:
    limits = HostLimits(max_half_open_per_source=4)
    async with relay(limits) as host, AsyncExitStack() as sockets:
        for _ in range(40):
            await sockets.enter_async_context(await half_open(host, "127.0.0.2"))

        with trio.fail_after(4):
            async with connected(host) as client:
                await assert_echoes(client, host)


@in_trio
async def test_a_half_open_socket_over_the_bound_is_closed_at_once() -> None:
    limits = HostLimits(max_half_open_per_source=1)
    async with (
        relay(limits) as host,
        await half_open(host, "127.0.0.2"),
        await half_open(host, "127.0.0.2") as late,
    ):
        with trio.fail_after(4):
            await until_closed(late)


@in_trio
async def test_a_handshake_that_stalls_gives_its_place_back() -> None:
    limits = HostLimits(max_half_open=1, max_connections=1, handshake_timeout_s=0.2)
    async with relay(limits) as host, await half_open(host, "127.0.0.1") as idle:
        await until_closed(idle)

        async with connected(host) as client:
            await assert_echoes(client, host)


async def half_open(host: Host, source: str) -> trio.SocketStream:
    """A TCP connection that says nothing after upstream's greeting."""
    port = host.addresses()[0].port
    return await trio.open_tcp_stream("127.0.0.1", port, local_address=source)


async def until_closed(stream: trio.SocketStream) -> None:
    """Return when the other side has closed."""
    while await stream.receive_some():
        pass


# --- listening


@in_trio
async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with relay() as host:
        port = host.addresses()[0].port

        with pytest.raises(CannotListen, match=str(port)):
            async with open_host(seed("second"), f"127.0.0.1:{port}"):
                pass

        async with connected(host) as client:
            await assert_echoes(client, host)


@in_trio
async def test_two_unguarded_hosts_share_a_port_in_silence() -> None:
    port = free_port()
    async with unguarded("first", port=port) as first, unguarded("second", port=port) as second:
        assert whereabouts(first).addrs == whereabouts(second).addrs


@in_trio
async def test_a_port_that_upstream_holds_is_in_use_too() -> None:
    port = free_port()
    async with unguarded("first", port=port):
        with pytest.raises(CannotListen):
            async with open_host(seed("second"), f"127.0.0.1:{port}"):
                pass


@in_trio
async def test_leaving_the_block_frees_the_port_and_ends_every_connection() -> None:
    async with open_host(seed("client")) as client:
        async with relay() as host:
            await client.dial(host.peer_id, host.addresses())
            port = host.addresses()[0].port

        await until(lambda: not client.connections())
        socket.create_server(("127.0.0.1", port)).close()


@in_trio
async def test_an_error_in_the_block_leaves_it_as_itself() -> None:
    with pytest.raises(DchatError, match="mine"):
        async with relay(), open_host(seed("client")):
            raise DchatError("mine")


@pytest.mark.parametrize("text", ["7070", "0.0.0.0:70700", "/ip4/1.2.3.4/udp/1", "a b:1"])
@in_trio
async def test_a_bad_listen_address_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(BadAddress):
        async with open_host(seed("host"), text):
            pass


# --- dialling


@in_trio
async def test_a_peer_that_was_down_is_reached_as_soon_as_it_is_up() -> None:
    port = free_port()
    async with open_host(seed("client")) as client:
        with pytest.raises(PeerUnreachable):
            await client.dial(peer_id(seed("relay")), [Address("127.0.0.1", port)])

        async with open_host(seed("relay"), f"127.0.0.1:{port}") as host:
            await client.dial(host.peer_id, host.addresses())

            assert client.is_connected(host.peer_id)


@in_trio
async def test_an_unguarded_host_remembers_a_failed_dial() -> None:
    port = free_port()
    retry = PeerInfo(
        ID.from_base58(peer_id(seed("relay"))), [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")]
    )
    async with unguarded("client") as client:
        with pytest.raises(SwarmException):
            await client.connect(retry)

        async with open_host(seed("relay"), f"127.0.0.1:{port}"):
            with pytest.raises(SwarmException):
                await client.connect(retry)


@in_trio
async def test_a_dead_address_does_not_delay_a_live_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dead = Address("127.0.0.1", mute.getsockname()[1])
        async with relay() as host, open_host(seed("client")) as client:
            with trio.fail_after(4):
                await client.dial(host.peer_id, [dead, *host.addresses()])

            await assert_echoes(client, host)


@in_trio
async def test_many_addresses_of_one_peer_make_one_connection() -> None:
    async with relay() as host, open_host(seed("client")) as client:
        await client.dial(host.peer_id, host.addresses() * 8)

        await until(lambda: len(host.connections()) == 1)
        assert len(client.connections()) == 1


@in_trio
async def test_a_host_that_answers_with_another_key_is_not_connected() -> None:
    async with relay() as host, open_host(seed("client")) as client:
        port = host.addresses()[0].port
        impostor_of = peer_id(seed("somebody else"))

        with pytest.raises(PeerUnreachable):
            await client.dial(impostor_of, [Address("127.0.0.1", port)])

        assert not client.connections()


@in_trio
async def test_an_address_that_names_another_peer_is_not_dialled() -> None:
    async with relay() as host, open_host(seed("client")) as client:
        with pytest.raises(PeerUnreachable, match="names another peer"):
            await client.dial(peer_id(seed("somebody else")), host.addresses())


@in_trio
async def test_a_dial_ends_at_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dead = Address("127.0.0.1", mute.getsockname()[1])
        async with open_host(seed("client")) as client:
            with pytest.raises(PeerUnreachable, match="no answer within"):
                await client.dial(peer_id(seed("relay")), [dead], timeout_s=0.1)

            assert not client.connections()


@in_trio
async def test_a_peer_that_hangs_up_after_the_handshake_is_unreachable() -> None:
    async with shaking_hands(then=abort) as address, open_host(seed("client")) as client:
        with pytest.raises(PeerUnreachable, match="refused after the handshake"):
            await client.dial(peer_id(seed("fickle")), [address])

        assert not client.connections()


@in_trio
async def test_a_peer_that_falls_silent_after_the_handshake_is_unreachable() -> None:
    async with shaking_hands(then=ignore) as address, open_host(seed("client")) as client:
        with pytest.raises(PeerUnreachable, match="no answer within"):
            await client.dial(peer_id(seed("fickle")), [address], timeout_s=0.5)

        assert not client.connections()


@asynccontextmanager
async def shaking_hands(then: Callable[[Wire], Awaitable[None]]) -> AsyncGenerator[Address]:
    """A peer named `fickle` that goes through the handshake and then does as told."""
    fickle = Upstream(seed("fickle"), HostLimits())

    async def serve(stream: trio.SocketStream) -> None:
        wire = Wire(stream, 1.0)
        await fickle.shake_hands(wire, None)
        await then(wire)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield Address("127.0.0.1", listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def abort(wire: Wire) -> None:
    """Hang up."""
    wire.abort()


async def ignore(wire: Wire) -> None:
    """Keep the connection and say nothing."""
    await trio.sleep_forever()
    wire.abort()


@in_trio
async def test_a_cancelled_dial_leaves_nothing_behind() -> None:
    dice = Random(4)
    async with relay() as host, open_host(seed("client")) as client:
        for _ in range(30):
            with trio.move_on_after(dice.random() * 0.03):
                await client.dial(host.peer_id, host.addresses())
            await client.disconnect(host.peer_id)

        await until(lambda: not host.connections())
        await client.dial(host.peer_id, host.addresses())
        await assert_echoes(client, host)


@in_trio
async def test_dialling_a_connected_peer_changes_nothing() -> None:
    async with relay() as host, connected(host) as client:
        before = client.connections()

        await client.dial(host.peer_id, [])

        assert client.connections() == before
