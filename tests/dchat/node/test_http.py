from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

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
async def serving(shown: Probes, patience_s: float = DEADLINE_S) -> AsyncGenerator[Bound]:
    bound: list[Bound] = []
    with trio.fail_after(patience_s):
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


def test_what_was_asked_for_in_the_query_string_does_not_matter() -> None:
    assert ask(probes(), "/health?verbose=1").status_code == 200


def test_head_has_the_headers_alone() -> None:
    answer = ask(probes(), "/health", "HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_refused_method_is_told_which_ones_there_are() -> None:
    assert ask(probes(), "/health", "POST").headers["allow"] == "GET, HEAD"


MALFORMED = {
    "noise": (b"\x00\x01\x02\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "two lengths": (
        b"POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        400,
    ),
    "a huge header": (b"GET /health HTTP/1.1\r\nhost: " + b"a" * 9_000, 431),
    "many headers": (b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 2_000, 431),
    "a long path": (b"GET /" + b"a" * 9_000, 431),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    "upwards": (b"GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "an address": (b"GET http://localhost/health HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    "a body": (b"PUT /health HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999\r\n\r\nx", 405),
}


@pytest.mark.parametrize(("raw", "status"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_answered_and_its_connection_ended(raw: bytes, status: int) -> None:
    async def main() -> bytes:
        async with serving(probes()) as bound:
            peer = await trio.open_tcp_stream(bound.health.host, bound.health.port)
            async with peer:
                await peer.send_all(raw)
                await peer.send_eof()
                return b"".join([chunk async for chunk in peer])

    said = trio.run(main)

    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Traceback" not in said


def test_two_requests_in_one_breath_get_one_answer() -> None:
    async def main() -> bytes:
        async with serving(probes()) as bound:
            peer = await trio.open_tcp_stream(bound.health.host, bound.health.port)
            async with peer:
                await peer.send_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
                await peer.send_eof()
                return b"".join([chunk async for chunk in peer])

    assert trio.run(main).count(b"HTTP/1.1 ") == 1


def test_who_has_been_connected_longest_makes_room_for_a_probe() -> None:
    async def main() -> tuple[int, list[bytes]]:
        async with serving(probes()) as bound, httpx.AsyncClient(trust_env=False) as client:
            slow = [await dripping(bound) for _ in range(http.MAX_CONNECTIONS)]
            answer = await client.get(f"http://{bound.health}/health")
            first, last = slow[0], slow[-1]
            await last.send_all(b"\r\n")
            said = [await ended(first), await last.receive_some(12)]
            [await peer.aclose() for peer in slow]
            return answer.status_code, said

    assert trio.run(main) == (200, [b"", b"HTTP/1.1 200"])


def test_a_request_that_drips_is_cut_at_its_deadline() -> None:
    clock = trio.testing.MockClock(autojump_threshold=0.01)

    async def main() -> tuple[bytes, float]:
        async with serving(probes(), patience_s=600) as bound:
            began, peer = trio.current_time(), await dripping(bound)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer)
                said = await ended(peer)
                nursery.cancel_scope.cancel()
            await peer.aclose()
            return said, trio.current_time() - began

    said, took_s = trio.run(main, clock=clock)

    assert said == b""
    assert http.REQUEST_DEADLINE_S <= took_s <= http.REQUEST_DEADLINE_S + 2


def test_an_answer_that_nobody_reads_does_not_hold_up_the_end() -> None:
    large = Probes(
        ready=lambda: READY,
        status=lambda: {"much": "x" * 32_000_000},
        registry=metrics.new_registry("test"),
    )

    async def main() -> bool:
        async with serving(large) as bound:
            peer = await trio.open_tcp_stream(bound.health.host, bound.health.port)
            await peer.send_all(b"GET /status HTTP/1.1\r\nhost: a\r\n\r\n")
            await peer.receive_some(1)
        await peer.aclose()
        return True

    assert trio.run(main)


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


async def dripping(bound: Bound) -> trio.SocketStream:
    """A connection that has said half of what it has to say, and holds its place."""
    peer = await trio.open_tcp_stream(bound.health.host, bound.health.port)
    await peer.send_all(b"GET /health HTTP/1.1\r\nhost: a\r\n")
    await trio.testing.wait_all_tasks_blocked(0.001)
    return peer


async def drip(peer: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await peer.send_all(b"x: y\r\n")
            await trio.sleep(1)


async def ended(peer: trio.SocketStream) -> bytes:
    """What came before the other side hung up, however it did."""
    try:
        return b"".join([chunk async for chunk in peer])
    except trio.BrokenResourceError:
        return b""
