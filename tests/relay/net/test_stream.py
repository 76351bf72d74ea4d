from __future__ import annotations

import pytest
import trio

from relay.net.stream import Stream, StreamClosed
from tests.fakes.peers import ECHO, HUNG, connected, in_trio, relay

PLENTY = bytes(1 << 20)
"""More than a window."""


@in_trio
async def test_the_end_of_a_stream_reads_as_nothing() -> None:
    async def answer(stream: Stream) -> None:
        await stream.write(b"last words")

    async with relay() as host, connected(host) as client:
        host.serve("/test/answer", answer)
        stream = await client.open_stream(host.peer_id, "/test/answer")

        assert [await stream.read(), await stream.read()] == [b"last words", b""]


@in_trio
async def test_a_stream_that_was_cut_off_does_not_read_as_its_end() -> None:
    async def cut(stream: Stream) -> None:
        await stream.reset()

    async with relay() as host, connected(host) as client:
        host.serve("/test/cut", cut)
        stream = await client.open_stream(host.peer_id, "/test/cut")

        with pytest.raises(StreamClosed):
            await stream.read()


@in_trio
async def test_losing_the_connection_does_not_read_as_the_end() -> None:
    async with relay() as host, connected(host) as client:
        stream = await client.open_stream(host.peer_id, HUNG)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.disconnect, client.peer_id)
            with pytest.raises(StreamClosed):
                await stream.read()


@in_trio
async def test_a_cancelled_write_resets_the_stream() -> None:
    async with relay() as host, connected(host) as client:
        stream = await client.open_stream(host.peer_id, HUNG)
        with trio.move_on_after(0.05):
            await stream.write(PLENTY)

        with pytest.raises(StreamClosed):
            await stream.write(b"the rest of something else")


@in_trio
async def test_closing_and_resetting_twice_is_harmless() -> None:
    async with relay() as host, connected(host) as client:
        stream = await client.open_stream(host.peer_id, ECHO)

        await stream.close()
        await stream.close()
        await stream.reset()
        await stream.reset()


@in_trio
async def test_both_ends_are_named_by_the_handshake() -> None:
    names: list[str] = []

    async def note(stream: Stream) -> None:
        names.append(stream.peer_id)

    async with relay() as host, connected(host) as client:
        host.serve("/test/note", note)
        stream = await client.open_stream(host.peer_id, "/test/note")
        await stream.read()

        assert (stream.peer_id, names) == (host.peer_id, [client.peer_id])
