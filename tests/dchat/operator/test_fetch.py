from __future__ import annotations

import socket

import pytest
import trio

from dchat.operator import fetch
from dchat.operator.fetch import NoAnswer
from tests.fakes.cometbft_rpc import FakeNode, serving


def got(url: str) -> bytes:
    async def main() -> bytes:
        async with fetch.client(url) as http:
            return await fetch.get(http, "/status")

    return trio.run(main)


def test_a_body_is_returned() -> None:
    with serving(FakeNode(broken=b"hello")) as url:
        assert got(url) == b"hello"


def test_too_long_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", 100_000)

    with (
        serving(FakeNode(broken=b"x" * 3_000_000)) as url,
        pytest.raises(NoAnswer, match="an answer over 100000 bytes"),
    ):
        got(url)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "DEADLINE_S", 0.05)

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswer):
        got(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "ftp://127.0.0.1"])
def test_an_address_that_leads_nowhere_is_no_answer(url: str) -> None:
    with pytest.raises(NoAnswer):
        got(url)
