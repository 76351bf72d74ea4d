"""Prepared HTTP requests sent over many connections as fast as the answers come back.

The load must cost little itself, because it shares two cores with what it measures: everything
is encoded beforehand, and one thread with a selector drives all connections.
"""

from __future__ import annotations

import base64
import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dchat.kernel import errors

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
PATIENCE_S = 60
NOT_NOW = [b'"code":%d,' % refusal.code for refusal in (errors.PoolFull, errors.CommitDue)]


class Client(Protocol):
    """What one connection sends, and what it makes of the answers."""

    def request(self) -> bytes | None:
        """The next HTTP request, None once there is none."""
        ...

    def answered(self, body: bytes) -> None:
        """Takes the answer to the last request."""
        ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the node answered. `accepted` counts code 0 and no error."""

    accepted: int
    turned_away: int
    """Refused for now and sent again."""
    refused: int
    first_refusal: str
    took_s: float


def encode(method: str, txs: Sequence[bytes], per_request: int) -> list[bytes]:
    """HTTP requests that submit `txs` in this order, `per_request` in one JSON-RPC batch."""
    return [
        post([call(method, at + n, raw) for n, raw in enumerate(txs[at : at + per_request])])
        for at in range(0, len(txs), per_request)
    ]


def send(port: int, lanes: Sequence[Sequence[bytes]]) -> Submitted:
    """Every lane on a connection of its own, each request after the answer to the one before."""
    clients = [_Prepared(list(reversed(requests))) for requests in lanes]
    took_s = drive(port, clients)
    answers = [each for client in clients for body in client.answers for each in parse(body)]
    refusals = [answer for answer in answers if "error" in answer or answer["result"]["code"]]
    return Submitted(
        accepted=len(answers) - len(refusals),
        turned_away=sum(client.turned_away for client in clients),
        refused=len(refusals),
        first_refusal=json.dumps(refusals[0])[:300] if refusals else "",
        took_s=took_s,
    )


def drive(port: int, clients: Sequence[Client]) -> float:
    """Every client on a connection of its own until it has nothing more to ask; seconds taken."""
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            lane = _Lane(socket.create_connection(("127.0.0.1", port)), client)
            selector.register(lane.peer, selectors.EVENT_READ, lane)
            lane.send_next()
        busy = len(clients)
        while busy:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE_S} s")
            for key, _ in ready:
                if not key.data.receive():
                    selector.unregister(key.fileobj)
                    key.data.peer.close()
                    busy -= 1
    return time.perf_counter() - started


@dataclass(slots=True)
class _Prepared:
    requests: list[bytes]
    """In reverse order."""
    answers: list[bytes] = field(default_factory=list[bytes])
    turned_away: int = 0
    _sent: bytes = b""

    def request(self) -> bytes | None:
        if not self.requests:
            return None
        self._sent = self.requests.pop()
        return self._sent

    def answered(self, body: bytes) -> None:
        if any(mark in body for mark in NOT_NOW):
            self.requests.append(self._sent)
            self.turned_away += 1
        else:
            self.answers.append(body)


@dataclass(slots=True)
class _Lane:
    peer: socket.socket
    client: Client
    _pending: bytes = b""

    def send_next(self) -> bool:
        """Whether there was something to send."""
        request = self.client.request()
        if request is not None:
            self.peer.sendall(request)
        return request is not None

    def receive(self) -> bool:
        """One more piece of an answer; False once the last answer is complete."""
        chunk = self.peer.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the node hung up")
        self._pending += chunk
        body = _complete(self._pending)
        if body is None:
            return True
        self._pending = b""
        self.client.answered(body)
        return self.send_next()


def call(method: str, number: int, raw: bytes) -> dict[str, Any]:
    """A JSON-RPC call that submits raw."""
    params = {"tx": base64.b64encode(raw).decode()}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def post(calls: list[dict[str, Any]]) -> bytes:
    """One HTTP request with one call or a batch of them."""
    body = json.dumps(calls[0] if len(calls) == 1 else calls).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body


def _complete(answer: bytes) -> bytes | None:
    """The body, if all of it is there."""
    head, found, body = answer.partition(HEAD_END)
    if not found:
        return None
    lowered = head.lower()
    at = lowered.find(LENGTH)
    if at < 0:
        return _joined(body) if body.endswith(b"0" + HEAD_END) else None
    length = int(lowered[at + len(LENGTH) :].split(b"\r\n", 1)[0])
    return body if len(body) >= length else None


def _joined(chunked: bytes) -> bytes:
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        body, chunked = body + rest[:length], rest[length + 2 :]
    return body


def parse(body: bytes) -> list[dict[str, Any]]:
    """The JSON-RPC answers in a body."""
    parsed: list[dict[str, Any]] | dict[str, Any] = json.loads(body)
    return parsed if isinstance(parsed, list) else [parsed]
