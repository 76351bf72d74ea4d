"""One HTTP GET to a process of this machine or a peer, bounded in time and size; no TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import httpx
import trio

from dchat.kernel.errors import RemoteProtocolError

DEADLINE_S: Final = 3.0
MAX_BYTES: Final = 8 << 20
NONE: Final[Mapping[str, str]] = {}
TRUSTING_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once and without certificates: loading them costs 50 ms for every client, and nothing here
is asked over TLS. An https address fails."""


class NoAnswer(RemoteProtocolError):
    """The other side is silent, slow, talks too much or says that something is wrong."""


def client(base_url: str) -> httpx.AsyncClient:
    """Return a client for `get`, which brings the deadline; proxies are not used."""
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=None,  # noqa: S113 - see get
        trust_env=False,
        verify=TRUSTING_NOBODY,
    )


async def get(http: httpx.AsyncClient, path: str, params: Mapping[str, str] = NONE) -> bytes:
    """Return the body of an answer with status 200. Raises: NoAnswer."""
    try:
        with trio.fail_after(DEADLINE_S):
            async with http.stream("GET", path, params=params) as response:
                response.raise_for_status()
                return await _read(response)
    except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError) as fault:
        raise NoAnswer(f"{path}: {fault or type(fault).__name__}") from None


async def _read(response: httpx.Response) -> bytes:
    """Return the body. Too long a one is cancelled from within, which closes httpx's generators."""
    body = bytearray()
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                scope.cancel()
    if len(body) > MAX_BYTES:
        raise NoAnswer(f"an answer over {MAX_BYTES} bytes")
    return bytes(body)
