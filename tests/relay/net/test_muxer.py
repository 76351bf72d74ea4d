from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux import yamux as upstream

from relay.net.host import Host
from relay.net.limits import HostLimits
from relay.net.stream import Stream
from tests.fakes.peers import (
    ECHO,
    HUNG,
    assert_echoes,
    attacker,
    connected,
    dialled,
    in_trio,
    open_negotiated,
    relay,
    until,
    yamux,
)

WINDOW = upstream.DEFAULT_WINDOW_SIZE


# --- memory


@in_trio
async def test_a_peer_that_ignores_the_window_is_cut_off_at_the_bound() -> None:
    limits = HostLimits(max_buffered=1 << 20)
    async with (
        relay(limits) as host,
        connected(host) as client,
        attacker(host) as hostile,
    ):
        stream = await open_negotiated(hostile, HUNG)
        flood = yamux(upstream.TYPE_DATA, 0, stream.stream_id, 60_000, bytes(60_000))
        most = 0

        with suppress(ConnectionClosedError):
            while True:
                await hostile.secured_conn.write(flood)
                most = max(most, held(host))

        assert most <= limits.max_buffered
        await assert_echoes(client, host)


@in_trio
async def test_a_frame_that_announces_more_than_the_bound_is_refused_unread() -> None:
    async with relay() as host, attacker(host) as hostile:
        await hostile.secured_conn.write(yamux(upstream.TYPE_DATA, upstream.FLAG_SYN, 77, 15 << 20))

        await until(hostile.event_shutting_down.is_set)


@in_trio
async def test_no_message_longer_than_a_read_is_gathered_for_a_protocols_name() -> None:
    async with relay() as host, attacker(host) as hostile:
        stream = await hostile.open_stream()

        await stream.write(b"\xff\xff\x7f")

        with trio.fail_after(3):  # upstream's own deadline for a negotiation is five seconds
            await until(lambda: stream.reset_received)


@in_trio
async def test_a_writer_gets_no_further_than_the_window_of_a_reader_who_does_not_read() -> None:
    async with relay() as host, connected(host) as client, trio.open_nursery() as nursery:
        stream = await client.open_stream(host.peer_id, HUNG)

        nursery.start_soon(stream.write, bytes(4 * WINDOW))

        await until(lambda: held(host) > WINDOW // 2)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert held(host) <= WINDOW
        nursery.cancel_scope.cancel()


@in_trio
async def test_a_reader_who_reads_gives_the_window_back() -> None:
    async with relay() as host, connected(host) as client:
        stream = await client.open_stream(host.peer_id, ECHO)

        with trio.fail_after(10):  # a writer that polled for the window would take longer
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.write, bytes(30 * WINDOW))
                await read_exactly(stream, 30 * WINDOW)


@in_trio
async def test_what_arrives_on_a_stream_that_was_closed_or_reset_is_dropped() -> None:
    limits = HostLimits(max_buffered=2 * WINDOW)
    async with relay(limits) as host, connected(host) as client:
        host.serve("/test/deaf", close_at_once)
        for end in ("/test/deaf", HUNG) * 4:
            stream = await client.open_stream(host.peer_id, end)
            await stream.write(bytes(WINDOW - 1000))
            await stream.reset()

        await assert_echoes(client, host)


async def close_at_once(stream: Stream) -> None:
    """Read nothing."""


def held(host: Host) -> int:
    """Bytes that the host has received and nobody has read."""
    return sum(each.buffered for each in host.connections())


async def read_exactly(stream: Stream, size: int) -> bytes:
    """Read so many bytes."""
    got = b""
    while len(got) < size:
        got += await stream.read()
    return got


# --- streams


@in_trio
async def test_streams_over_the_bound_are_reset_and_take_no_memory() -> None:
    async with (
        relay(HostLimits(max_streams_per_connection=8)) as host,
        attacker(host) as hostile,
    ):
        for number in range(200):
            syn = yamux(upstream.TYPE_WINDOW_UPDATE, upstream.FLAG_SYN, 101 + 2 * number, 0)
            await hostile.secured_conn.write(syn)
        await hostile.answers()

        with trio.fail_after(3):  # well before their negotiation times out
            await until(lambda: host.connections()[0].streams <= 8)


@pytest.mark.parametrize(
    "frame",
    [
        yamux(77, 0, 1, 5),
        yamux(upstream.TYPE_DATA, 0, 999, 4, b"abcd"),
        yamux(upstream.TYPE_WINDOW_UPDATE, upstream.FLAG_SYN, 1001, 0) * 3,
        yamux(upstream.TYPE_WINDOW_UPDATE, 0, 1001, 0xFFFFFFFF) * 4,
        yamux(upstream.TYPE_DATA, 15, 1003, 3, b"abc"),
        yamux(upstream.TYPE_DATA, upstream.FLAG_SYN, 0, 3, b"abc"),
        yamux(upstream.TYPE_PING, upstream.FLAG_SYN, 0, 1) * 500,
        yamux(upstream.TYPE_GO_AWAY, 0, 0, 2),
        Random(7).randbytes(240),
    ],
    ids=[
        "type",
        "unknown stream",
        "syn twice",
        "window",
        "flags",
        "id 0",
        "pings",
        "away",
        "noise",
    ],
)
@in_trio
async def test_a_malformed_frame_harms_nobody_else(frame: bytes) -> None:
    async with relay() as host, connected(host) as client, attacker(host) as hostile:
        await hostile.secured_conn.write(frame)
        await hostile.answers()

        await assert_echoes(client, host)


# --- liveness


@in_trio
async def test_a_silent_peer_is_given_up() -> None:
    limits = HostLimits(ping_every_s=0.1, dead_after_s=0.3)
    async with relay(limits) as host, dialled(host, "mute"):
        await until(lambda: len(host.connections()) == 1)

        with trio.fail_after(4):
            await until(lambda: not host.connections())


@in_trio
async def test_a_peer_that_answers_pings_is_kept_however_idle() -> None:
    limits = HostLimits(ping_every_s=0.1, dead_after_s=0.3)
    async with relay(limits) as host, connected(host) as client:
        await trio.sleep(1.0)

        await assert_echoes(client, host)


@in_trio
async def test_a_peer_that_reads_nothing_does_not_keep_its_writer() -> None:
    async with relay() as host, attacker(host) as slow:
        slow.limits = HostLimits(stall_timeout_s=0.2)
        stream = await open_negotiated(slow, HUNG)

        with pytest.raises(MuxedStreamError, match="stopped reading"):
            await stream.write(bytes(2 * WINDOW))


@in_trio
async def test_a_writer_who_waits_for_the_window_wakes_when_the_connection_dies() -> None:
    async with relay() as host, attacker(host) as hostile:
        stream = await open_negotiated(hostile, HUNG)

        async def write() -> None:
            with pytest.raises(MuxedStreamError):
                await stream.write(bytes(2 * WINDOW))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await until(lambda: stream._credit.statistics().tasks_waiting == 1)
            await hostile.hang_up()


# --- cancellation


@in_trio
async def test_cancelled_writes_leave_the_other_streams_of_the_connection_alone() -> None:
    dice = Random(1)
    async with relay() as host, connected(host) as client:
        for _ in range(60):
            stream = await client.open_stream(host.peer_id, ECHO)
            with trio.move_on_after(dice.random() * 0.002):
                await stream.write(bytes(200_000))
            await stream.reset()

        await assert_echoes(client, host)


@in_trio
async def test_cancelled_openings_leave_no_stream_behind() -> None:
    dice = Random(2)
    async with relay() as host, connected(host) as client:
        for _ in range(60):
            with trio.move_on_after(dice.random() * 0.004):
                await (await client.open_stream(host.peer_id, ECHO)).close()

        await until(lambda: client.connections()[0].streams == 0)
        await assert_echoes(client, host)


@in_trio
async def test_cancelled_reads_lose_nothing() -> None:
    dice = Random(3)
    sent = dice.randbytes(3 * WINDOW)
    got = b""
    async with relay() as host, connected(host) as client, trio.open_nursery() as nursery:
        stream = await client.open_stream(host.peer_id, ECHO)
        nursery.start_soon(stream.write, sent)
        while len(got) < len(sent):
            with trio.move_on_after(dice.random() * 0.001):
                got += await stream.read(30_000)

    assert got == sent
