"""`dchat health`: ask a running node whether it is well."""

from __future__ import annotations

import json
from typing import Annotated, Final, cast

import httpx
import typer

from dchat.cli.show import Json, Value, show
from dchat.kernel.errors import OperatorError

TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 1 << 20
HEALTHY: Final = 200


class Unhealthy(OperatorError):
    """The node answered that it is not well, or did not answer."""

    hint = "look at the node's log; is the address its health address?"


def register(app: typer.Typer) -> None:
    """Add `health` to `app`."""
    app.command()(health)


def health(
    *,
    url: Annotated[str, typer.Option(help="A node's /health, /ready or /status address.")],
    as_json: Json = False,
) -> None:
    """Ask a node for its health.

    The exit status is 0 only when it answers that it is well.
    """
    code, body = _get(url)
    if code != HEALTHY:
        raise Unhealthy(f"{url} answered {code}: {body[:200].decode(errors='replace')}")
    try:
        answer = cast("Value", json.loads(body))
    except (ValueError, RecursionError):
        raise Unhealthy(f"{url} did not answer with JSON") from None
    show(answer, as_json=as_json)


def _get(url: str) -> tuple[int, bytes]:
    """Return status and body, bounded in time and size. Raises: Unhealthy."""
    body = bytearray()
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT_S, trust_env=False) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise Unhealthy(f"{url} answered with more than {MAX_ANSWER_BYTES} bytes")
            return response.status_code, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise Unhealthy(f"{url} does not answer: {fault or type(fault).__name__}") from None
