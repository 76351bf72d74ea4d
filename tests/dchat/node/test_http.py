from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing

import dchat
from dchat.kernel.ids import EpochMs
from dchat.node import http, metrics
from dchat.node.address import Address
from dchat.node.http import AddressInUse, AddressUnusable, Bound, Probes, Readiness

HERE = Address("127.0.0.1", 0)
DEADLINE_S = 10


class StoppedClock:
    def now(self) -> EpochMs:
        return EpochMs(1_698_518_400_999)


READY = Readiness(True, 45)


def probes(readiness: Readiness = READY) -> Probes:
    return Probes(
        ready=lambda: readiness,
        status=lambda: {"queue_size": 7},
        registry=metrics.new_registry("test"),
        clock=StoppedClock(),
    )


@asynccontextmanager
async def serving(shown: Probes) -> AsyncGenerator[Bound]:
    bound: list[Bound] = []
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http.serve, HERE, HERE, shown, bound.append)
            await trio.testing.wait_all_tasks_blocked()
            yield bound[0]
            nursery.cancel_scope.cancel()


def ask(shown: Probes, path: str, method: str = "GET") -> httpx.Response:
    async def main() -> httpx.Response:
        async with serving(shown) as bound, httpx.AsyncClient(trust_env=False) as client:
            where = bound.metrics if path == "/metrics" else bound.health
            return await client.request(method, f"http://{where}{path}")

    return trio.run(main)


def test_health_is_as_the_guide_has_it() -> None:
    answer = ask(probes(), "/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "version": dchat.__version__,
        "timestamp": 1_698_518_400,
    }


def test_ready_is_as_the_guide_has_it() -> None:
    answer = ask(probes(), "/ready")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "connected_peers": 45})


def test_not_ready_is_503_with_its_reason() -> None:
    answer = ask(probes(Readiness(False, 0, "waiting for chat")), "/ready")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "connected_peers": 0, "why": "waiting for chat"}


def test_status_shows_what_the_process_says() -> None:
    assert ask(probes(), "/status").json() == {"queue_size": 7}


def test_metrics_are_prometheus_text() -> None:
    answer = ask(probes(), "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "dchat_build_info" in answer.text


@pytest.mark.parametrize("path", ["/", "/health/", "/metrics/x", "/status%00"])
def test_other_paths_are_not_found(path: str) -> None:
    assert ask(probes(), path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(method: str) -> None:
    assert ask(probes(), "/health", method).status_code == 405


def test_the_server_does_not_say_what_it_runs_on() -> None:
    assert "server" not in ask(probes(), "/health").headers


def test_too_many_requests_at_once_are_refused_at_once() -> None:
    release = trio.Event()
    answers: list[int] = []

    async def slow(scope: object, receive: object, send: object) -> None:
        await release.wait()

    async def refused() -> None:
        app = http.Capped(slow)
        async with trio.open_nursery() as nursery:
            for _ in range(http.MAX_REQUESTS_AT_ONCE):
                nursery.start_soon(app, {"type": "http"}, _nothing, _nowhere)
            await trio.testing.wait_all_tasks_blocked()
            await app({"type": "http"}, _nothing, _collect(answers))
            release.set()

    trio.run(refused)

    assert answers == [503]


def test_a_port_in_use_is_said_to_be() -> None:
    with (
        http.listen(HERE) as taken,
        pytest.raises(AddressInUse, match="is already in use") as caught,
    ):
        http.listen(Address("127.0.0.1", taken.getsockname()[1]))

    assert "choose another" in caught.value.hint


def test_the_first_port_is_free_again_if_the_second_is_taken() -> None:
    with http.listen(HERE) as taken, http.listen(HERE) as other:
        free = Address("127.0.0.1", other.getsockname()[1])
        other.close()
        busy = Address("127.0.0.1", taken.getsockname()[1])

        with pytest.raises(AddressInUse):
            trio.run(http.serve, free, busy, probes())

        http.listen(free).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_cannot_be_used(host: str) -> None:
    with pytest.raises(AddressUnusable, match="cannot listen on"):
        http.listen(Address(host, 0))


async def _nothing() -> dict[str, object]:
    return {"type": "http.request"}


async def _nowhere(_message: object) -> None:
    return None


def _collect(answers: list[int]) -> Callable[[MutableMapping[str, object]], Awaitable[None]]:
    async def send(message: MutableMapping[str, object]) -> None:
        answers.extend([int(str(message["status"]))] if "status" in message else [])

    return send
