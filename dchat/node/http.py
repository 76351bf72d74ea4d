"""Health, readiness, status and metrics over HTTP, bounded so that a stranger cannot exhaust them.

`/health`, `/ready` and `/status` answer on one address, `/metrics` on another. Everything is
read-only, without parameters, and computed from callables that must not block.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_asgi  # pyright: ignore[reportUnknownVariableType] - old trio stubs lack TaskStatus
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import dchat
from dchat.kernel.errors import OperatorError
from dchat.node import metrics
from dchat.node.address import Address
from dchat.node.clock import Clock, SystemClock

MAX_REQUESTS_AT_ONCE: Final = 32
REQUEST_DEADLINE_S: Final = 10
IDLE_DEADLINE_S: Final = 15
BACKLOG: Final = 64

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
        nursery.start_soon(_serve_on, health_app(probes), first)
        nursery.start_soon(_serve_on, metrics_app(probes), second)


def health_app(probes: Probes) -> Starlette:
    """Return the app behind the health address."""

    async def health(_request: Request) -> Response:
        seconds = probes.clock.now() // 1000
        return JSONResponse({"status": "ok", "version": dchat.__version__, "timestamp": seconds})

    async def ready(_request: Request) -> Response:
        now = probes.ready()
        body: dict[str, Json] = {"ready": now.ready, "connected_peers": now.connected_peers}
        if now.why:
            body["why"] = now.why
        return JSONResponse(body, status_code=200 if now.ready else 503)

    async def status(_request: Request) -> Response:
        return JSONResponse(dict(probes.status()))

    return _app({"/health": health, "/ready": ready, "/status": status})


def metrics_app(probes: Probes) -> Starlette:
    """Return the app behind the metrics address."""

    async def show(_request: Request) -> Response:
        return Response(metrics.render(probes.registry), media_type=metrics.CONTENT_TYPE)

    return _app({"/metrics": show})


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


class Capped:
    """Answers 503 at once when too many requests are under way, rather than queueing them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._slots = trio.CapacityLimiter(MAX_REQUESTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._slots.available_tokens < 1:
            await PlainTextResponse("busy\n", status_code=503)(scope, receive, send)
        else:
            async with self._slots:
                await self._app(scope, receive, send)


def _app(routes: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> Starlette:
    table = [Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()]
    app = Starlette(routes=table, middleware=[Middleware(Capped)])
    app.router.redirect_slashes = False
    return app


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


async def _serve_on(app: Starlette, sock: socket.socket) -> None:
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.read_timeout = REQUEST_DEADLINE_S
    config.keep_alive_timeout = IDLE_DEADLINE_S
    config.backlog = BACKLOG
    config.graceful_timeout = 1
    await serve_asgi(app, config)  # pyright: ignore[reportArgumentType] - hypercorn types ASGI apps as its own TypedDicts
