from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from relay.core.frames import HEADER, MAX_BODY, FrameTooLarge, OversizedFrame, encode_frame
from relay.net.address import PeerId, parse_address
from relay.net.host import open_host
from relay.net.limits import HostLimits
from relay.net.link import Link, LinkClosed, LinkLimits, LinkStalled, open_link
from relay.net.stream import Stream, StreamClosed
from tests.fakes.peers import ECHO, HUNG, connected, in_trio, relay, seed

PROTOCOL = "/test/link"
SMALL = LinkLimits(max_frames=3, max_bytes=MAX_BODY + 4, send_timeout_s=20, flush_timeout_s=5)

LinkPair = Callable[[], AbstractAsyncContextManager[tuple[Link, Link]]]


class FakeStream:
    """One end of a pipe in memory; `writes` counts what a real one would encrypt and send."""

    def __init__(self, pipe: trio.abc.HalfCloseableStream) -> None:
        self.peer_id = PeerId("12D3KooWFake")
        self.writes = 0
        self._pipe = pipe

    async def read(self) -> bytes:
        try:
            return bytes(await self._pipe.receive_some(65536))
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise StreamClosed(str(error)) from error

    async def write(self, data: bytes) -> None:
        self.writes += 1
        try:
            await self._pipe.send_all(data)
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise StreamClosed(str(error)) from error

    async def close(self) -> None:
        await self._pipe.send_eof()

    async def reset(self) -> None:
        await trio.aclose_forcefully(self._pipe)


@asynccontextmanager
async def fake_pair(limits: LinkLimits | None = None) -> AsyncGenerator[tuple[Link, Link]]:
    near, far = trio.testing.lockstep_stream_pair()
    async with open_link(FakeStream(near), limits) as one, open_link(FakeStream(far)) as other:
        yield one, other


@asynccontextmanager
async def real_pair() -> AsyncGenerator[tuple[Link, Link]]:
    arrived, links = trio.Event(), list[Link]()

    async def serve(stream: Stream) -> None:
        async with open_link(stream) as link:
            links.append(link)
            arrived.set()
            await done.wait()

    done = trio.Event()
    async with relay() as host, connected(host) as client:
        host.serve(PROTOCOL, serve)
        async with open_link(await client.open_stream(host.peer_id, PROTOCOL)) as link:
            await arrived.wait()
            yield link, links[0]
        done.set()


async def flood(link: Link, size: int, number: int = 10**6) -> None:
    """Send so many messages of a size, or until the link refuses one."""
    for _ in range(number):
        await link.send(bytes(size))


both = pytest.mark.parametrize("pair", [fake_pair, real_pair])


@both
@in_trio
async def test_messages_arrive_whole_and_in_order(pair: LinkPair) -> None:
    sent = [bytes([size % 251]) * size for size in (0, 1, 5, 1000, 65536, MAX_BODY, 3)] * 3
    async with pair() as (near, far), trio.open_nursery() as nursery:

        async def send() -> None:
            for body in sent:
                await near.send(body)

        nursery.start_soon(send)
        assert [await far.receive() for _ in sent] == sent


@both
@in_trio
async def test_both_directions_work_at_once(pair: LinkPair) -> None:
    async with pair() as (near, far):
        await near.send(b"ping")
        await far.send(b"pong")

        assert (await near.receive(), await far.receive()) == (b"pong", b"ping")


@both
@in_trio
async def test_closing_sends_what_is_queued_first(pair: LinkPair) -> None:
    async with pair() as (near, far), trio.open_nursery() as nursery:
        await near.send(b"first")
        await near.send(b"last")
        nursery.start_soon(near.aclose)

        assert [await far.receive(), await far.receive()] == [b"first", b"last"]
        with pytest.raises(LinkClosed):
            await far.receive()


@both
@in_trio
async def test_a_closed_link_takes_no_message(pair: LinkPair) -> None:
    async with pair() as (near, _):
        await near.aclose()

        with pytest.raises(LinkClosed):
            await near.send(b"late")


@both
@in_trio
async def test_a_body_over_the_bound_is_refused_and_the_link_lives_on(pair: LinkPair) -> None:
    async with pair() as (near, far):
        with pytest.raises(FrameTooLarge):
            await near.send(bytes(MAX_BODY + 1))

        await near.send(b"small")
        assert await far.receive() == b"small"


@both
@in_trio
async def test_a_cancelled_receive_loses_nothing(pair: LinkPair) -> None:
    async with pair() as (near, far):
        with trio.move_on_after(0.01):
            await far.receive()
        await near.send(b"kept")

        assert await far.receive() == b"kept"


@both
@in_trio
async def test_an_error_in_the_block_leaves_it_as_itself(pair: LinkPair) -> None:
    with pytest.raises(LinkClosed, match="mine"):
        async with pair():
            raise LinkClosed("mine")


@in_trio
async def test_what_gathers_while_one_write_is_under_way_goes_out_as_one() -> None:
    near, far = trio.testing.memory_stream_pair()
    stream = FakeStream(near)
    async with open_link(stream) as link, open_link(FakeStream(far)) as other:
        for number in range(50):
            await link.send(bytes([number]) * 1000)
        assert [(await other.receive())[0] for _ in range(50)] == list(range(50))

    assert stream.writes <= 2


@in_trio
async def test_an_oversized_frame_closes_the_link() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with open_link(FakeStream(far)) as link:
        await near.send_all(encode_frame(b"good") + HEADER.pack(MAX_BODY + 1))

        assert await link.receive() == b"good"
        with pytest.raises(OversizedFrame):
            await link.receive()
        with pytest.raises(LinkClosed):
            await link.send(b"more")


@pytest.mark.parametrize(
    ("limits", "size"),
    [(LinkLimits(max_frames=3), 1), (LinkLimits(max_bytes=MAX_BODY + 4), MAX_BODY // 2)],
    ids=["frames", "bytes"],
)
def test_a_full_queue_waits_then_gives_up_on_a_peer_that_reads_nothing(
    limits: LinkLimits, size: int
) -> None:
    async def main() -> float:
        near, _ = trio.testing.lockstep_stream_pair()
        async with open_link(FakeStream(near), limits) as link:
            with pytest.raises(LinkStalled):
                await flood(link, size, 20)
        return trio.current_time()

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == limits.send_timeout_s


def test_a_full_queue_lets_the_sender_on_as_soon_as_the_peer_reads() -> None:
    async def main() -> list[bytes]:
        async with fake_pair(SMALL) as (near, far), trio.open_nursery() as nursery:

            async def send() -> None:
                for number in range(20):
                    await near.send(bytes([number]))

            nursery.start_soon(send)
            await trio.sleep(SMALL.send_timeout_s - 1)
            return [await far.receive() for _ in range(20)]

    got = trio.run(main, clock=MockClock(autojump_threshold=0))

    assert got == [bytes([number]) for number in range(20)]


def test_closing_does_not_wait_for_ever_for_a_peer_that_reads_nothing() -> None:
    async def main() -> float:
        near, _ = trio.testing.lockstep_stream_pair()
        async with open_link(FakeStream(near), SMALL) as link:
            await link.send(b"never read")
        return trio.current_time()

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == SMALL.flush_timeout_s


def test_a_sender_who_waits_wakes_when_the_link_closes() -> None:
    async def main() -> float:
        near, far = trio.testing.lockstep_stream_pair()
        async with open_link(FakeStream(near), SMALL) as link, trio.open_nursery() as nursery:

            async def fill() -> None:
                with pytest.raises(LinkClosed):
                    await flood(link, 1)

            nursery.start_soon(fill)
            await trio.sleep(1)
            await far.aclose()
        return trio.current_time()

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) < SMALL.send_timeout_s


@in_trio
async def test_a_lost_connection_ends_both_directions() -> None:
    async with relay() as host, connected(host) as client:
        stream = await client.open_stream(host.peer_id, ECHO)
        async with open_link(stream) as link:
            await client.disconnect(host.peer_id)

            with pytest.raises(LinkClosed):
                await link.receive()
            with pytest.raises(LinkClosed):
                await link.send(b"x")


# --- a peer that is there and does nothing

FROZEN_PEER = """
import trio
from relay.net.host import open_host
from tests.fakes.peers import HUNG, LOOPBACK, hang, seed

async def main():
    async with open_host(seed("frozen"), LOOPBACK) as host:
        host.serve(HUNG, hang)
        print(host.addresses()[0], flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@asynccontextmanager
async def frozen_link() -> AsyncGenerator[Link]:
    """A link with a process that has been stopped: its sockets stay open, nobody reads them."""
    limits = HostLimits(ping_every_s=0.3, dead_after_s=0.9, write_timeout_s=0.6)
    script = [sys.executable, "-c", FROZEN_PEER]
    peer = await trio.lowlevel.open_process(script, stdout=subprocess.PIPE)
    assert peer.stdout is not None
    try:
        at = parse_address((await peer.stdout.receive_some(512)).decode().strip())
        assert at.peer_id is not None
        async with open_host(seed("client"), limits=limits) as client:
            await client.dial(at.peer_id, [at])
            async with open_link(await client.open_stream(at.peer_id, HUNG)) as link:
                peer.send_signal(signal.SIGSTOP)
                yield link
    finally:
        peer.kill()
        await peer.stdout.aclose()
        with trio.move_on_after(5, shield=True):
            await peer.wait()


@pytest.mark.slow
@in_trio
async def test_a_frozen_peer_does_not_keep_its_reader() -> None:
    async with frozen_link() as link:
        with trio.fail_after(10), pytest.raises(LinkClosed):
            await link.receive()


@pytest.mark.slow
@in_trio
async def test_a_frozen_peer_does_not_keep_its_writer() -> None:
    async with frozen_link() as link:
        with trio.fail_after(10), pytest.raises(LinkClosed):
            await flood(link, MAX_BODY)
