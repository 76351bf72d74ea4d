from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from trio.testing import MockClock

from relay.net.wire import MAX_UNTRUSTED, Wire
from tests.fakes.peers import in_trio

MEGABYTE = bytes(range(256)) * 4096
"""More than a socket buffer takes while nobody reads."""


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    return (
        trio.SocketStream(trio.socket.from_stdlib_socket(near)),
        trio.SocketStream(trio.socket.from_stdlib_socket(far)),
    )


async def left_of(
    write: Callable[[bytes], Awaitable[None]], near: trio.SocketStream, far: trio.SocketStream
) -> bytes:
    """What arrives of a write that is cancelled while nobody reads."""
    scope = trio.CancelScope()

    async def cancelled_write() -> None:
        with scope:
            await write(MEGABYTE)
        await near.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled_write)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        return b"".join([bytes(chunk) async for chunk in far])


@in_trio
async def test_a_cancelled_write_still_sends_every_byte() -> None:
    near, far = socket_pair()
    async with far:
        assert await left_of(Wire(near, 15.0).write, near, far) == MEGABYTE


@in_trio
async def test_an_unguarded_write_that_is_cancelled_is_cut_off() -> None:
    near, far = socket_pair()
    async with far:
        assert len(await left_of(TrioTCPStream(near).write, near, far)) < len(MEGABYTE)


def test_a_write_that_stalls_closes_the_socket() -> None:
    async def main() -> None:
        near, far = socket_pair()
        async with far:
            with pytest.raises(ConnectionClosedError):
                await Wire(near, 15.0).write(MEGABYTE)

            assert trio.current_time() == pytest.approx(15.0, abs=0.5)
            assert near.socket.fileno() == -1

    trio.run(main, clock=MockClock(autojump_threshold=0.05))


def test_one_stalled_write_does_not_hold_the_others_longer_than_itself() -> None:
    async def main() -> None:
        near, far = socket_pair()
        wire = Wire(near, 15.0)

        async def write() -> None:
            with pytest.raises(ConnectionClosedError):
                await wire.write(MEGABYTE)

        async with far, trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(write)

        assert trio.current_time() == pytest.approx(15.0, abs=0.5)

    trio.run(main, clock=MockClock(autojump_threshold=0.05))


@in_trio
async def test_reads_hand_out_what_came_in_the_pieces_asked_for() -> None:
    near, far = socket_pair()
    wire = Wire(near, 15.0)
    async with far:
        await far.send_all(b"abcdef")

        assert [await wire.read(0), await wire.read(2), await wire.read(9)] == [b"", b"ab", b"cdef"]
    wire.abort()


@in_trio
async def test_a_read_after_the_peer_has_left_is_empty() -> None:
    near, far = socket_pair()
    wire = Wire(near, 15.0)
    await far.aclose()

    assert await wire.read(1) == b""
    wire.abort()


@in_trio
async def test_aborting_wakes_whoever_reads() -> None:
    near, far = socket_pair()
    wire = Wire(near, 15.0)
    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(wire.read, 1)
        await trio.testing.wait_all_tasks_blocked()

        wire.abort()


@in_trio
async def test_a_write_to_a_closed_socket_is_an_error() -> None:
    near, far = socket_pair()
    wire = Wire(near, 15.0)
    wire.abort()

    with pytest.raises(ConnectionClosedError):
        await wire.write(b"x")
    await far.aclose()


def test_every_byte_read_moves_the_time_the_peer_was_heard() -> None:
    async def main() -> None:
        near, far = socket_pair()
        wire = Wire(near, 15.0)
        await trio.sleep(7)
        async with far:
            await far.send_all(b"x")
            await wire.read(1)
        wire.abort()

        assert wire.heard_at == pytest.approx(7, abs=0.5)

    trio.run(main, clock=MockClock(autojump_threshold=0.05))


@in_trio
async def test_a_handshake_reads_no_more_than_its_bound_whatever_length_was_announced() -> None:
    assert await read_of_a_flood(trusted=False) <= MAX_UNTRUSTED


@in_trio
async def test_a_trusted_peer_may_send_more() -> None:
    assert await read_of_a_flood(trusted=True) > 2 * MAX_UNTRUSTED


async def read_of_a_flood(*, trusted: bool) -> int:
    """How many bytes come through of four times the bound."""
    near, far = socket_pair()
    wire, got = Wire(near, 15.0), 0
    if trusted:
        wire.trust()
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(flood, far)
        with suppress(ConnectionClosedError):
            while piece := await wire.read(1 << 40):
                got += len(piece)
        nursery.cancel_scope.cancel()
    return got


async def flood(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(MEGABYTE)
        await stream.send_eof()
