"""A relay's ports as a stranger's bytes meet them: libp2p's, and the two that speak HTTP."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx
import pytest
import trio
from libp2p.io.exceptions import ConnectionClosedError, IncompleteReadError

from dchat.node.http import MAX_CONNECTIONS
from relay.core.messages import Custody
from relay.net.address import parse_address
from relay.net.host import PeerUnreachable
from tests.e2e import relays
from tests.e2e.relays import RelayProcess, user_of
from tests.fakes.peers import attacker, dialled, yamux

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PATIENCE_S = 60
MIB = 1 << 20
HUNG_UP = (ConnectionClosedError, IncompleteReadError)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    started = relays.start(tmp_path_factory.mktemp("r"))
    yield started
    started.kill()


def place(multiaddr: str) -> tuple[str, int]:
    """Host and port of `/ip4/HOST/tcp/PORT/p2p/ID`."""
    _, _, host, _, port, *_ = multiaddr.split("/")
    return host, int(port)


def http_place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def said_by(where: tuple[str, int], sent: bytes) -> bytes:
    """What the other side says until it hangs up."""
    heard = bytearray()
    peer = socket.create_connection(where, PATIENCE_S)
    with peer, suppress(OSError):  # it may reset while we still talk
        peer.sendall(sent)
        peer.shutdown(socket.SHUT_WR)
        while chunk := peer.recv(65_536):
            heard += chunk
    return bytes(heard)


def takes_an_envelope(relay: RelayProcess) -> bool:
    """Whether a user who follows the rules, and comes back where there was no place, is served."""

    async def script() -> bool:
        with trio.fail_after(PATIENCE_S):
            while True:
                with suppress(PeerUnreachable):
                    async with user_of(relay, os.urandom(32), os.urandom(32)) as user:
                        return isinstance(await user.deposit(user.envelope(b"1" * 32)), Custody)
                await trio.sleep(0.5)

    return trio.run(script)


def resident_bytes(relay: RelayProcess) -> int:
    status = Path(f"/proc/{relay.process.pid}/statm").read_text()
    return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")


MULTISTREAM = b"\x13/multistream/1.0.0\n"
GREETINGS = {
    "noise": os.urandom(4096),
    "zeros": bytes(65_536),
    "HTTP": b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "a protocol line without end": MULTISTREAM + b"\xff" * 20,
    "a protocol line of 64 MiB": MULTISTREAM + b"\x80\x80\x80\x20" + b"/" * MIB,
    "a protocol of nobody": MULTISTREAM + b"\x08/nobody\n" * 100,
    "half a Noise handshake": MULTISTREAM + b"\x07/noise\n" + b"\x00\x20" + os.urandom(31),
    "a Noise key of zeros": MULTISTREAM + b"\x07/noise\n" + b"\x00\x20" + bytes(32) + bytes(2000),
    "a Noise frame of nothing": MULTISTREAM + b"\x07/noise\n" + b"\x00\x00" * 100,
    "a Noise frame of 64 KiB": MULTISTREAM + b"\x07/noise\n" + b"\xff\xff" + os.urandom(65_535),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_stranger_who_speaks_no_libp2p_is_hung_up_on(
    relay: RelayProcess, greeting: bytes
) -> None:
    said_by(place(relay.address), greeting)

    assert relay.process.poll() is None
    assert b"Traceback" not in relay.log.read_bytes()


FRAMES = {
    "a kind of nobody": yamux(77, 0, 1, 5),
    "data for no stream": yamux(0, 0, 999, 4, b"abcd"),
    "a stream opened thrice": yamux(1, 1, 1001, 0) * 3,
    "a window without end": yamux(1, 0, 1001, 0xFFFFFFFF) * 4,
    "every flag": yamux(0, 15, 1003, 3, b"abc"),
    "data for the connection": yamux(0, 1, 0, 3, b"abc"),
    "pings": yamux(2, 1, 0, 1) * 5000,
    "streams": b"".join(yamux(1, 1, 101 + 2 * number, 0) for number in range(1000)),
    "a frame of 4 GiB": yamux(0, 1, 1005, 0xFFFFFFFF, b"x" * 1000),
    "farewell": yamux(3, 0, 0, 2),
    "noise": Random(7).randbytes(2400),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_peer_that_shook_hands_may_talk_nonsense_too(relay: RelayProcess, frame: bytes) -> None:
    async def script() -> None:
        with trio.fail_after(PATIENCE_S), suppress(*HUNG_UP):
            async with dialled(parse_address(relay.address), "attacker") as (_, muxer):
                await muxer.secured_conn.write(frame)
                with trio.move_on_after(1):
                    while await muxer.secured_conn.read(65_536):
                        pass

    trio.run(script)

    assert relay.process.poll() is None
    assert b"peer_task_failed" not in relay.log.read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        b"\x04\xff\xfe\xfd\n",
        b"\xff" * 12,
        b"\x00" * 64,
        b"\x02no",
        b"\x80\x80\x80\x80\x08",
        b"\x01x",
    ],
    ids=["no text", "no end", "empty", "no newline", "4 GiB", "no newline at all"],
)
def test_a_protocol_cannot_be_asked_for_in_nonsense(relay: RelayProcess, line: bytes) -> None:
    async def script() -> None:
        with trio.fail_after(PATIENCE_S), suppress(Exception):
            async with attacker(parse_address(relay.address)) as muxer:
                stream = await muxer.open_stream()
                await stream.write(line)
                with trio.move_on_after(1):
                    await stream.read(100)

    trio.run(script)

    assert relay.process.poll() is None
    assert b"peer_task_failed" not in relay.log.read_bytes()


def test_after_all_that_a_user_is_served(relay: RelayProcess) -> None:
    assert takes_an_envelope(relay)


def test_silent_connections_are_bounded_and_forgotten(relay: RelayProcess) -> None:
    before = resident_bytes(relay)
    silent = [socket.create_connection(place(relay.address), PATIENCE_S) for _ in range(300)]
    [peer.close() for peer in silent]

    assert takes_an_envelope(relay)
    assert resident_bytes(relay) < before + 64 * MIB


# --- health and metrics

REQUESTS = {
    "noise": (b"\x00\x01\x02\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two lengths": (
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        400,
    ),
    "a length below zero": (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
    "a header over the bound": (b"GET / HTTP/1.1\r\nx: " + b"y" * MIB, 431),
    "headers over the bound": (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000, 431),
    "a path over the bound": (b"GET /" + b"a" * MIB, 431),
    "a path upwards": (b"GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "a coded path upwards": (b"GET /%2e%2e/etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "a path with a zero": (b"GET /health%00 HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    "a tunnel": (b"CONNECT localhost:22 HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "a chunk without end": (
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffff\r\n",
        404,
    ),
}


@pytest.mark.parametrize("port", ["health", "metrics"])
@pytest.mark.parametrize(("request_bytes", "status"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_refused_by_its_status(
    relay: RelayProcess, port: str, request_bytes: bytes, status: int
) -> None:
    said = said_by(http_place(getattr(relay, port)), request_bytes)

    # Who floods us with more than we read may lose the answer, never the connection's end.
    assert said.startswith(f"HTTP/1.1 {status} ".encode()) or (
        len(request_bytes) > MIB and not said
    )
    assert relay.process.poll() is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("path", ["/health", "/ready", "/status"])
def test_nothing_can_be_changed(relay: RelayProcess, method: str, path: str) -> None:
    answer = httpx.request(method, f"http://{relay.health}{path}", timeout=30, trust_env=False)

    assert answer.status_code == 405


@pytest.mark.parametrize(("port", "path"), [("health", "/health"), ("metrics", "/metrics")])
def test_twice_as_many_slow_connections_as_there_are_places_keep_out_no_probe(
    relay: RelayProcess, port: str, path: str
) -> None:
    where = getattr(relay, port)
    slow = [
        socket.create_connection(http_place(where), PATIENCE_S) for _ in range(2 * MAX_CONNECTIONS)
    ]
    [peer.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n") for peer in slow]

    answer = httpx.get(f"http://{where}{path}", timeout=30, trust_env=False)

    assert answer.status_code == 200
    [peer.close() for peer in slow]


def test_it_still_ends_well(relay: RelayProcess) -> None:
    """An unread answer and a half-sent request hold up nobody who wants to stop."""
    held = [socket.create_connection(http_place(relay.health), PATIENCE_S) for _ in range(4)]
    [peer.sendall(b"GET /status HTTP/1.1\r\n") for peer in held]

    relay.process.send_signal(signal.SIGTERM)

    assert relay.process.wait(PATIENCE_S) == 0
    [peer.close() for peer in held]
