"""Frames a second over a Link, beside a bare TCP socket with the same framing in the same run.

    just bench link [--frames N] [--size BYTES] [--write-baseline]

Sender and receiver are two processes on loopback, as client and relay are. Both sides run the same
link code; below it lies a libp2p stream (Noise, yamux) or the socket itself. `one way` ends with
the receiver's answer to the last frame, `round trips` keep 64 frames under way. `fresh` is the time
from nothing to the first answer: dial, handshake, stream. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from statistics import median

import trio

from benchmarks.report import finish
from relay.net.address import Address, PeerId, parse_address
from relay.net.host import open_host
from relay.net.link import Link, LinkClosed, open_link
from relay.net.stream import Stream, StreamClosed

COUNT = "/bench/count"
ECHO = "/bench/echo"
UNDER_WAY = 64
ROUNDS = 5
SEEDS = (b"s" * 32, b"c" * 32)

Opener = Callable[[], AbstractAsyncContextManager[Link]]


def main() -> None:
    """Measure both sides in turn; the figures are the medians of five rounds."""
    parser = argparse.ArgumentParser(prog="just bench link")
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--write-baseline", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        trio.run(serve)
        return
    with other_side() as (relay, *ports):
        places = parse_address(relay), [int(port) for port in ports]
        measured = trio.run(compare, *places, args.frames, bytes(args.size))
    finish({**measured, "frame_bytes": args.size}, write_baseline=args.write_baseline)


@contextmanager
def other_side() -> Generator[list[str], None, None]:
    """Run `serve` in a process of its own; gives the words it prints."""
    script = [sys.executable, "-m", "benchmarks.link", "--serve"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield (server.stdout or sys.stdin).readline().split()
        finally:
            server.terminate()


async def compare(relay: Address, ports: list[int], frames: int, body: bytes) -> dict[str, object]:
    """Return the figures; rounds of both sides alternate, so that a busy machine hits both."""
    counted, echoed = (partial(over_tcp, port) for port in ports)
    results: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, count, echo in (
            ("tcp", counted, echoed),
            ("link", partial(over_libp2p, relay, COUNT), partial(over_libp2p, relay, ECHO)),
        ):
            results.setdefault(f"{name}_fresh_ms", []).append(1000 * await one(echo, body))
            results.setdefault(f"{name}_frames_per_s", []).append(
                frames / await one_way(count, frames, body)
            )
            results.setdefault(f"{name}_round_trips_per_s", []).append(
                frames / 5 / await round_trips(echo, frames // 5, body)
            )
    figures = {name: round(median(values), 1) for name, values in results.items()}
    for name, value in figures.items():
        print(f"{name:24} {value:12,.1f}")
    ours, peer = figures["link_frames_per_s"], figures["tcp_frames_per_s"]
    return {
        "name": "link",
        "value": ours,
        "unit": "frames/s, one way",
        "peer": "a bare TCP socket with the same framing",
        "peer_value": peer,
        "ratio": round(ours / peer, 3),
        **figures,
    }


async def one(opener: Opener, body: bytes) -> float:
    """Connect, send one frame, get it back."""
    began = time.perf_counter()
    async with opener() as link:
        await link.send(body)
        await link.receive()
        return time.perf_counter() - began


async def one_way(opener: Opener, frames: int, body: bytes) -> float:
    """Send all frames, then an empty one, which is answered."""
    async with opener() as link:
        began = time.perf_counter()
        for _ in range(frames):
            await link.send(body)
        await link.send(b"")
        await link.receive()
        return time.perf_counter() - began


async def round_trips(opener: Opener, frames: int, body: bytes) -> float:
    """Get every frame back, with a fixed number of them under way."""
    async with opener() as link:
        began = time.perf_counter()
        for _ in range(UNDER_WAY):
            await link.send(body)
        for _ in range(frames - UNDER_WAY):
            await link.receive()
            await link.send(body)
        for _ in range(UNDER_WAY):
            await link.receive()
        return time.perf_counter() - began


@asynccontextmanager
async def over_libp2p(relay: Address, protocol: str) -> AsyncGenerator[Link]:
    """A link over a stream of a fresh connection."""
    whom = relay.peer_id or PeerId("")
    async with open_host(SEEDS[1]) as host:
        await host.dial(whom, [relay])
        async with open_link(await host.open_stream(whom, protocol)) as link:
            yield link


@asynccontextmanager
async def over_tcp(port: int) -> AsyncGenerator[Link]:
    """A link over a bare socket."""
    socket = await trio.open_tcp_stream("127.0.0.1", port)
    async with open_link(Bare(socket)) as link:
        yield link


class Bare:
    """A TCP socket as what a link needs below it."""

    peer_id = PeerId("nobody")

    def __init__(self, socket: trio.SocketStream) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """Return some bytes, none at the end."""
        try:
            return bytes(await self._socket.receive_some(65536))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise StreamClosed(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        await self._socket.send_all(data)

    async def close(self) -> None:
        """Finish."""
        await self._socket.aclose()

    async def reset(self) -> None:
        """Drop it."""
        await trio.aclose_forcefully(self._socket)


async def serve() -> None:
    """Be the other side: print the libp2p address and the ports of both services, then serve."""
    async with open_host(SEEDS[0], "127.0.0.1:0") as host, trio.open_nursery() as nursery:
        ports: list[str] = []
        for protocol, service in ((COUNT, count), (ECHO, echo)):
            host.serve(protocol, partial(on_stream, service))
            handler = partial(on_socket, service)
            listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), handler, 0)
            ports.append(str(listeners[0].socket.getsockname()[1]))
        print(host.addresses()[0], *ports, flush=True)
        await trio.sleep_forever()


async def on_stream(service: Callable[[Link], Awaitable[None]], stream: Stream) -> None:
    """Run the service over a libp2p stream."""
    async with open_link(stream) as link:
        await service(link)


async def on_socket(service: Callable[[Link], Awaitable[None]], socket: trio.SocketStream) -> None:
    """Run the service over a bare socket."""
    try:
        async with open_link(Bare(socket)) as link:
            await service(link)
    except LinkClosed:
        pass


async def count(link: Link) -> None:
    """Read to the empty frame and answer it."""
    while await link.receive():
        pass
    await link.send(b"counted")


async def echo(link: Link) -> None:
    """Send every frame back."""
    while True:
        await link.send(await link.receive())


if __name__ == "__main__":
    main()
