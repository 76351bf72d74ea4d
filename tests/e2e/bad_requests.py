"""Requests that no RPC should take, of every kind, on many connections at once."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from abci_currency.txs import transfer
from dchat.kernel import genesis, params, tx
from dchat.kernel.ids import Amount, ChainId, Height
from tests.e2e.load import RICH
from tests.fakes.memory import ALICE, BOB, envelope

PATIENCE_S: Final = 20
CONNECTIONS: Final = 32
PAY: Final = transfer.FAMILY.body(transfer.Transfer(ALICE.id, Amount(5)))
GOOD: Final = replace(
    envelope(BOB, PAY), chain_id=ChainId("solo-1"), valid_until_height=Height(9_000)
)


def funded_genesis() -> bytes:
    """A genesis in which alice can pay for a load, and bob for what is refused."""
    people = sorted(person.id for person in (ALICE, BOB))
    funds = tuple(genesis.Allocation(account, RICH) for account in people)
    return genesis.SHAPE.encode(genesis.Genesis(params.DEFAULT, funds))


def post(body: bytes, head: str = "POST / HTTP/1.1") -> bytes:
    """A request over HTTP."""
    headers = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n{headers}\r\n\r\n".encode() + body


def get(target: str) -> bytes:
    """A request without a body."""
    return f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


def call(method: str, **params: object) -> bytes:
    """A request over JSON-RPC."""
    said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(json.dumps(said).encode())


def submit(raw: bytes, how: str = "sync") -> bytes:
    """A transaction, or what is to look like one."""
    return call(f"broadcast_tx_{how}", tx=b64encode(raw).decode())


def misplaced(number: int, **changes: object) -> bytes:
    """Bob's signed transaction, each number another one, in which something is wrong."""
    return tx.build(replace(GOOD, fee=Amount(10_000 + number), **changes), BOB.seed)


def unsigned(number: int) -> bytes:
    """A transaction whose signature costs the application a check."""
    raw = misplaced(number)
    return raw[:-1] + bytes([raw[-1] ^ 1])


BAD: Final[Mapping[str, Callable[[int], bytes]]] = {
    "no JSON": lambda _: post(b"{"),
    "a number": lambda _: post(b"5"),
    "nothing": lambda _: post(b""),
    "an array of nothing": lambda _: post(b"[]"),
    "JSON that nests deep": lambda _: post(b"[" * 5_000),
    "no such method": lambda n: call(f"method_{n}"),
    "a method that is off": lambda _: call("unsafe_flush_mempool"),
    "params of another type": lambda _: call("block", height={"a": 1}),
    "a batch over the bound": lambda _: post(b"[" + b",".join([b'{"id":1}'] * 100) + b"]"),
    "no such page": lambda n: get(f"/page-{n}"),
    "a method of HTTP": lambda _: post(b"", "DELETE /status HTTP/1.1"),
    "no HTTP": lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 8 + b"\r\n\r\n",
    "half a request": lambda _: post(b"{" * 100)[:-50],
    "a body over the bound": lambda _: post(b'"' + b"x" * 1_100_000 + b'"'),
    "noise": lambda n: submit(n.to_bytes(40, "big")),
    "noise, unanswered": lambda n: submit(b"async" + n.to_bytes(40, "big"), "async"),
    "no base64": lambda n: call("broadcast_tx_sync", tx=f"%%{n}"),
    "too long": lambda n: submit(n.to_bytes(tx.MAX_TX_BYTES + 1, "big")),
    "a wrong signature": lambda n: submit(unsigned(n)),
    "another chain": lambda n: submit(misplaced(n, chain_id=ChainId("solo-2"))),
    "a nonce ahead": lambda n: submit(misplaced(n, nonce=5_000_000 + n)),
    "expired": lambda n: submit(misplaced(n, valid_until_height=Height(0))),
    "a path of nothing": lambda n: call("abci_query", path=f"/nothing/{n}", data=""),
    "a path of no text": lambda _: get("/abci_query?path=%22%ff%fe%22"),
    "a long key": lambda _: call("abci_query", path="/store", data="00" * 2_000),
    "a block to come": lambda n: call(
        "abci_query", path="/store", data="00", height=str(10**9 + n)
    ),
    "a block before": lambda n: call("block", height=str(-1 - n)),
    "an unknown hash": lambda n: call("tx", hash=b64encode(n.to_bytes(32, "big")).decode()),
    "a search of nothing": lambda _: call("tx_search", query="tx.height >", prove=True),
}


class Flood:
    """Sends bad requests from many threads; counts how the connections took them."""

    def __init__(self, port: int, count: int, connections: int = CONNECTIONS) -> None:
        self.took: Counter[str] = Counter()
        self._port = port
        shares = [range(at, count, connections) for at in range(connections)]
        self._threads = [threading.Thread(target=self._send, args=(share,)) for share in shares]
        self._lock = threading.Lock()

    def run(self) -> None:
        """Return once all of them were answered or hung up on."""
        [thread.start() for thread in self._threads]
        [thread.join() for thread in self._threads]

    def _send(self, share: range) -> None:
        kinds = list(BAD.items())
        peer: socket.socket | None = None
        for number in share:
            name, make = kinds[number % len(kinds)]
            peer = peer or socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)
            answer = exchange(peer, make(number))
            with self._lock:
                self.took[f"{name}: {'answered' if answer else 'hung up'}"] += 1
            if not answer or b"connection: close" in answer.lower():
                peer.close()
                peer = None
        if peer:
            peer.close()


def exchange(peer: socket.socket, request: bytes) -> bytes:
    """The head of the answer with its body read, empty where the node hung up.

    A request that is not whole is given up once it was sent.
    """
    with suppress(ConnectionError):
        peer.sendall(request)
        if b"\r\n\r\n" not in request or not _is_whole(request):
            return b""
        answer = b""
        while chunk := peer.recv(65_536):
            answer += chunk
            if _is_whole(answer):
                return answer
    return b""


def _is_whole(message: bytes) -> bool:
    head, found, body = message.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return not (b"chunked" in head.lower() and not body.endswith(b"0\r\n\r\n"))
