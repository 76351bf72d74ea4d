"""Health, readiness, status and metrics over HTTP, bounded so that a stranger cannot exhaust them.

`/health`, `/ready` and `/status` answer on one address, `/metrics` on another. Everything is
read-only, without parameters, and computed from callables that must not block. A connection is
for one request: it ends with the answer, at its deadline, or when it has been open longest of
all and a new one needs its place, so that slow ones cannot keep a probe out.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import h11
import trio
from prometheus_client import CollectorRegistry

import dchat
from dchat.kernel.errors import OperatorError
from dchat.node import metrics
from dchat.node.address import Address
from dchat.node.clock import Clock, SystemClock

MAX_CONNECTIONS: Final = 64
"""Held at once on each of the two addresses."""
REQUEST_DEADLINE_S: Final = 10
"""From accepting a connection to the last byte of its answer, however it drips."""
LINGER_S: Final = 1
"""How long a peer may go on sending what nobody reads before the connection is cut."""
MAX_HEAD_BYTES: Final = 8 * 1024
"""Request line and headers together."""
RECEIVE_BYTES: Final = 4 * 1024
BACKLOG: Final = 64
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


class AddressInUse(OperatorError):
    """Another process listens there already."""

    hint = "stop the other process, or choose another address or port"


class AddressUnusable(OperatorError):
    """The machine does not have that address, or forbids the port."""

    hint = "listen on an address of this machine and a port above 1023"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the process can serve now, with how many peers; `why` names what is missing."""

    ready: bool
    connected_peers: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the endpoints show. The callables are called per request and must be quick."""

    ready: Callable[[], Readiness]
    status: Callable[[], Mapping[str, Json]]
    registry: CollectorRegistry
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the two servers really listen (port 0 resolved)."""

    health: Address
    metrics: Address


async def serve(
    health: Address,
    metrics_address: Address,
    probes: Probes,
    on_bound: Callable[[Bound], None] = lambda _bound: None,
) -> None:
    """Answer until cancelled; `on_bound` is called once both ports accept connections.

    Raises: AddressInUse, AddressUnusable, before anything is served.
    """
    first, second = _both_listening(health, metrics_address)
    on_bound(Bound(_bound_to(first), _bound_to(second)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve_on, health_pages(probes), first)
        nursery.start_soon(_serve_on, metrics_pages(probes), second)


@dataclass(frozen=True, slots=True)
class Page:
    """What a path shows at the moment."""

    body: bytes
    status: int = 200
    media_type: str = JSON


Pages: TypeAlias = Mapping[bytes, Callable[[], Page]]
"""The path of a request, byte for byte, and what it shows."""


def health_pages(probes: Probes) -> Pages:
    """Return what is behind the health address."""

    def health() -> Page:
        seconds = probes.clock.now() // 1000
        return _page({"status": "ok", "version": dchat.__version__, "timestamp": seconds})

    def ready() -> Page:
        now = probes.ready()
        body: dict[str, Json] = {"ready": now.ready, "connected_peers": now.connected_peers}
        if now.why:
            body["why"] = now.why
        return _page(body, 200 if now.ready else 503)

    return {b"/health": health, b"/ready": ready, b"/status": lambda: _page(dict(probes.status()))}


def metrics_pages(probes: Probes) -> Pages:
    """Return what is behind the metrics address."""
    return {
        b"/metrics": lambda: Page(metrics.render(probes.registry), media_type=metrics.CONTENT_TYPE)
    }


def listen(address: Address) -> socket.socket:
    """Return a bound, listening TCP socket. Raises: AddressInUse, AddressUnusable."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as fault:
        raise AddressUnusable(f"cannot listen on {address}: {fault.strerror}") from None
    family, kind, protocol, _, target = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(target)
        sock.listen(BACKLOG)
    except OSError as fault:
        sock.close()
        if fault.errno == errno.EADDRINUSE:
            raise AddressInUse(f"address {address} is already in use") from None
        raise AddressUnusable(f"cannot listen on {address}: {fault.strerror}") from None
    return sock


def _both_listening(first: Address, second: Address) -> tuple[socket.socket, socket.socket]:
    one = listen(first)
    try:
        return one, listen(second)
    except OperatorError:
        one.close()
        raise


def _bound_to(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(str(host), int(port))


def _page(body: dict[str, Json], status: int = 200) -> Page:
    return Page(json.dumps(body, ensure_ascii=False).encode(), status)


async def _serve_on(pages: Pages, sock: socket.socket) -> None:
    """Answer until cancelled; whoever has been connected longest makes room for a new one."""
    connected: dict[trio.CancelScope, None] = {}

    async def converse(stream: trio.SocketStream) -> None:
        if len(connected) >= MAX_CONNECTIONS:
            oldest = next(iter(connected))
            del connected[oldest]
            oldest.cancel()
        with trio.move_on_after(REQUEST_DEADLINE_S) as scope:
            connected[scope] = None
            try:
                await _answer_one(pages, stream)
            except trio.BrokenResourceError:
                pass  # the peer is gone
            finally:
                connected.pop(scope, None)
        await trio.aclose_forcefully(stream)

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    await trio.serve_listeners(converse, [listener])


async def _answer_one(pages: Pages, stream: trio.SocketStream) -> None:
    """Read one request's head, answer it, and wait a little for the peer to be done."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    method = b""
    try:
        request = await _request(http, stream)
        if request is None:
            return
        page, method = _found(pages, request), request.method
    except h11.RemoteProtocolError as fault:
        page = Page(b"bad request\n", fault.error_status_hint, TEXT)
    await stream.send_all(_written(http, page, method))
    await stream.send_eof()
    with trio.move_on_after(LINGER_S):  # closing with something unread takes the answer back
        while await stream.receive_some(RECEIVE_BYTES):
            pass


async def _request(http: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """Return the head of the request, None where the peer left. Raises: RemoteProtocolError."""
    while True:
        match http.next_event():
            case h11.Request() as request:
                return request
            case h11.NEED_DATA:
                http.receive_data(await stream.receive_some(RECEIVE_BYTES))
            case _:
                return None


def _found(pages: Pages, request: h11.Request) -> Page:
    show = pages.get(request.target.partition(b"?")[0])
    if show is None:
        return Page(b"not found\n", 404, TEXT)
    if request.method not in (b"GET", b"HEAD"):
        return Page(b"only GET\n", 405, TEXT)
    return show()


def _written(http: h11.Connection, page: Page, method: bytes) -> bytes:
    """Return the whole answer; to HEAD without its body."""
    body = () if method == b"HEAD" else (h11.Data(page.body),)
    headers = [
        ("content-type", page.media_type),
        ("content-length", str(len(page.body))),
        ("connection", "close"),
        *([("allow", "GET, HEAD")] if page.status == 405 else []),  # noqa: PLR2004
    ]
    answer = h11.Response(status_code=page.status, headers=headers)
    return b"".join(http.send(part) or b"" for part in (answer, *body, h11.EndOfMessage()))
