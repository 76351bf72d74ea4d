from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dchat.cli import health
from tests.conftest import Ran
from tests.fakes.cometbft_rpc import FakeNode, serving

Dchat = Callable[..., Ran]


def test_a_healthy_node_is_shown(dchat: Dchat) -> None:
    with serving(FakeNode(broken=b'{"status":"ok","version":"1","timestamp":5}')) as url:
        ran = dchat("health", "--url", f"{url}/health")

    assert (ran.code, ran.out) == (0, "status:    ok\nversion:   1\ntimestamp: 5\n")


def test_json_comes_out_as_it_came(dchat: Dchat) -> None:
    with serving(FakeNode(broken=b'{"ready":true}')) as url:
        ran = dchat("health", "--url", f"{url}/ready", "--json")

    assert json.loads(ran.out) == {"ready": True}


def test_a_node_that_is_not_ready_is_a_failure(dchat: Dchat) -> None:
    with serving(FakeNode(broken=b'{"ready":false}', code=503)) as url:
        ran = dchat("health", "--url", f"{url}/ready")

    assert (ran.code, ran.out) == (1, "")
    assert 'answered 503: {"ready":false}' in ran.err


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_a_failure(dchat: Dchat, body: bytes) -> None:
    with serving(FakeNode(broken=body)) as url:
        ran = dchat("health", "--url", url)

    assert ran.code == 1
    assert "did not answer with JSON" in ran.err


def test_an_endless_answer_is_cut_off(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_ANSWER_BYTES", 1000)

    with serving(FakeNode(broken=b"x" * 100_000)) as url:
        ran = dchat("health", "--url", url)

    assert "answered with more than 1000 bytes" in ran.err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/health", "nonsense", "http://[", "ftp://x"])
def test_a_silent_address_is_a_failure(dchat: Dchat, url: str) -> None:
    ran = dchat("health", "--url", url)

    assert (ran.code, ran.out) == (1, "")
    assert "does not answer" in ran.err
    assert ran.err.endswith("is the address its health address?\n")
