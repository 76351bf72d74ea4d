"""Both chains' RPC and peer ports: a stranger's nonsense has its code, and the chain lives on."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from dchat.kernel import bundle, codec, tx
from dchat.kernel.errors import CommitDue
from dchat.kernel.ids import Amount, ChainId, Height, Nonce
from tests.e2e.bad_requests import BAD, call, exchange, funded_genesis, get, post, submit
from tests.e2e.load import ORDERS
from tests.e2e.solo import PATIENCE_S, Json, Solo
from tests.fakes.memory import ALICE, BOB, envelope

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHAINS = ("currency", "chat")


@pytest.fixture(scope="module", params=CHAINS)
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Solo]:
    solo = Solo(tmp_path_factory.mktemp("n"), f"abci_{request.param}", funded_genesis())
    solo.start()
    solo.wait_for_height(2)
    yield solo
    solo.stop(signal.SIGKILL)


def asked(solo: Solo, request: bytes) -> tuple[int, bytes]:
    """HTTP status and body of the answer, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", solo.rpc_port), PATIENCE_S) as peer:
        answer = exchange(peer, request)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def bad(kind: str) -> bytes:
    return BAD[kind](7)


PARSE, INVALID, METHOD, PARAMS, INTERNAL = (
    b'"code":%d,' % code for code in (-32700, -32600, -32601, -32602, -32603)
)
CALLS: dict[str, tuple[bytes, int, bytes]] = {
    "no JSON": (bad("no JSON"), 500, PARSE),
    "a number": (bad("a number"), 500, PARSE),
    "JSON that nests deep": (bad("JSON that nests deep"), 500, PARSE),
    "an id of fields": (post(b'{"jsonrpc":"2.0","id":{},"method":"status"}'), 500, PARSE),
    "an array of nothing": (bad("an array of nothing"), 200, b""),
    "a batch over the bound": (bad("a batch over the bound"), 200, INVALID),
    "a body over the bound": (bad("a body over the bound"), 400, INVALID),
    "no method": (post(b'{"jsonrpc":"2.0","id":1}'), 200, METHOD),
    "no such method": (bad("no such method"), 200, METHOD),
    "emptying the mempool": (bad("a method that is off"), 200, METHOD),
    "choosing its peers": (call("dial_seeds", seeds=["a@127.0.0.1:1"]), 200, METHOD),
    "subscribing over HTTP": (call("subscribe", query="tm.event='Tx'"), 200, METHOD),
    "params of another type": (bad("params of another type"), 200, PARAMS),
    "too many params": (
        post(b'{"jsonrpc":"2.0","id":1,"method":"block","params":["1","2","3"]}'),
        200,
        PARAMS,
    ),
    "a transaction of no base64": (bad("no base64"), 200, PARAMS),
    "a transaction in the address": (get("/broadcast_tx_sync?tx=junk"), 500, PARAMS),
    "a path of no text": (call("abci_query", path=5), 200, PARAMS),
    "half a byte of data": (call("abci_query", path="/store", data="0"), 200, PARAMS),
    "a height of words": (call("abci_query", path="/store", data="00", height="x"), 200, PARAMS),
    "a height of 2^63": (
        call("abci_query", path="/store", data="00", height=str(2**63)),
        200,
        PARAMS,
    ),
    "evidence of another form": (call("broadcast_evidence", evidence={"a": 1}), 200, PARAMS),
    "no evidence": (call("broadcast_evidence"), 200, INTERNAL),
    "a block before the first": (bad("a block before"), 200, INTERNAL),
    "an unknown hash": (bad("an unknown hash"), 200, INTERNAL),
    "a search of nothing": (bad("a search of nothing"), 200, INTERNAL),
    "a page before the first": (call("validators", page="0"), 200, INTERNAL),
    "heights the wrong way round": (
        call("blockchain", minHeight="5", maxHeight="1"),
        200,
        INTERNAL,
    ),
    "no such page": (bad("no such page"), 404, b"not found"),
    "a very long path": (get("/" + "a" * 100_000), 404, b"not found"),
    "a path upwards": (get("/../../../etc/passwd"), 307, b"Redirect"),
    "no HTTP": (bad("no HTTP"), 400, b"Bad Request"),
    "two lengths": (
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        400,
        b"Bad Request",
    ),
    "headers over the bound": (
        b"GET /status HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 1_200_000 + b"\r\n\r\n",
        431,
        b"Too Large",
    ),
    "a socket without its handshake": (get("/websocket"), 400, b"Bad Request"),
}


@pytest.mark.parametrize(("request_bytes", "status", "said"), CALLS.values(), ids=CALLS)
def test_a_call_is_refused_by_its_code(
    chain: Solo, request_bytes: bytes, status: int, said: bytes
) -> None:
    answered, body = asked(chain, request_bytes)

    assert answered == status
    assert said in body


QUERIES: dict[str, tuple[bytes, int]] = {
    "a path of nothing": (bad("a path of nothing"), 900),
    "a path that is not UTF-8": (bad("a path of no text"), 900),
    "a path upwards": (call("abci_query", path="/../store", data="00"), 900),
    "a path of 100 KB": (call("abci_query", path="/" + "a" * 100_000), 900),
    "no key": (call("abci_query", path="/store", data=""), 902),
    "a long key": (bad("a long key"), 902),
    "a block to come": (bad("a block to come"), 901),
    "a negative height": (call("abci_query", path="/store", data="00", height="-1"), 901),
    "a proof of a list": (call("abci_query", path="/params", data="", prove=True), 903),
    "data where none is": (call("abci_query", path="/params", data="00"), 902),
}


@pytest.mark.parametrize(("request_bytes", "code"), QUERIES.values(), ids=QUERIES)
def test_a_query_is_refused_by_its_code(chain: Solo, request_bytes: bytes, code: int) -> None:
    status, body = asked(chain, request_bytes)

    assert status == 200
    assert b'"code":%d,' % code in body


# --- transactions, as far as both chains judge them alike


def signed(solo: Solo, **changes: object) -> bytes:
    """Bob's next order, with what the test changes in it."""
    nonce = solo.account(BOB).nonce
    good = replace(
        envelope(BOB, ORDERS[solo.module.removeprefix("abci_")](nonce), nonce),
        chain_id=ChainId(solo.chain_id),
        valid_until_height=Height(5_000),
    )
    return tx.build(replace(good, **changes), BOB.seed)


CHANGES: dict[str, tuple[dict[str, object], int]] = {
    "another chain's": ({"chain_id": ChainId("solo-2")}, 5),
    "of the other chain of the pair": ({"chain_id": ChainId("solo-1-currency")}, 5),
    "a name for a chain of 50 bytes": ({"chain_id": ChainId("s" * 50)}, 5),
    "another's sender": ({"sender": ALICE.id}, 8),
    "a nonce ahead": ({"nonce": Nonce(2**64 - 1)}, 9),
    "a fee nobody has": ({"fee": Amount(2**64 - 1)}, 11),
    "too low a fee": ({"fee": Amount(1)}, 10),
    "expired": ({"valid_until_height": Height(1)}, 12),
    "valid for too long": ({"valid_until_height": Height(2**64 - 1)}, 13),
    "no cost": ({"cost_limit": 0}, 14),
    "more cost than a block's": ({"cost_limit": 2**64 - 1, "fee": Amount(2**63)}, 15),
    "no family's": ({"body": (77,)}, 16),
    "half a body": ({"body": (1,)}, 17),
    "a body of bodies": ({"body": (1, [[[]]], [[], []])}, 17),
}


@pytest.mark.parametrize(("changes", "code"), CHANGES.values(), ids=CHANGES)
def test_a_transaction_is_refused_by_its_code_and_leaves_no_trace(
    chain: Solo, changes: dict[str, object], code: int
) -> None:
    before = chain.account(BOB)

    answer = chain.submit(signed(chain, **changes))

    assert (answer["code"], answer["codespace"]) == (code, "dchat")
    assert answer["log"]
    assert chain.account(BOB) == before


def judged(chain: Solo, raw: bytes) -> bytes:
    """What the node says of it, asked again while it takes no bundle because a commit is due."""
    deadline = time.monotonic() + PATIENCE_S
    body = asked(chain, submit(raw))[1]
    while b'"code":%d,' % CommitDue.code in body and time.monotonic() < deadline:
        body = asked(chain, submit(raw))[1]
    return body


SPELLINGS = {
    "cut short": lambda raw: raw[:-1],
    "a byte too many": lambda raw: raw + b"\0",
    "a signature of zeros": lambda raw: raw[:-64] + bytes(64),
    "a signature cut off": lambda raw: raw[:-64],
    "one bit of it": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "a longer head": lambda raw: b"\xdc\x00\x0a" + raw[1:],
    "another kind": lambda raw: raw[:1] + b"\x01" + raw[2:],
    "another version": lambda raw: raw[:2] + b"\x02" + raw[3:],
    "over the bound": lambda raw: raw + bytes(tx.MAX_TX_BYTES),
    "a bundle of nothing": lambda _: codec.pack([1, 1, []]),
    "a bundle with junk": lambda raw: bundle.build([raw, b"junk"]),
    "a bundle in a bundle": lambda raw: bundle.build([bundle.build([raw])]),
    "a bundle with a longer head": lambda raw: b"\x93\x01\x01\xdc\x00\x01" + codec.pack(raw),
    "a bundle of another version": lambda raw: codec.pack([1, 2, [raw]]),
    "a bundle over the bound": lambda raw: codec.pack([1, 1, [raw, bytes(tx.MAX_TX_BYTES)]]),
    "twice in a bundle": lambda raw: bundle.build([raw, raw]),
    "forged in a bundle": lambda raw: bundle.build([raw[:-64] + bytes(64)]),
}
CODES = {
    "a signature of zeros": 6,
    "one bit of it": 6,
    "another kind": 3,
    "another version": 4,
    "over the bound": 2,
    "a bundle of another version": 4,
    "a bundle over the bound": 2,
    "twice in a bundle": 9,
    "forged in a bundle": 6,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_is_refused_and_leaves_no_trace(chain: Solo, spelling: str) -> None:
    before = chain.account(BOB)

    body = judged(chain, SPELLINGS[spelling](signed(chain)))

    assert b'"code":%d,' % CODES.get(spelling, 1) in body
    assert chain.account(BOB) == before


def test_a_transaction_is_taken_once(chain: Solo) -> None:
    raw = signed(chain)

    first = chain.commit(raw)
    again = [answer_of(chain, raw, how) for how in ("sync", "commit")]

    assert (first["check_tx"]["code"], first["tx_result"]["code"]) == (0, 0)
    assert all("already exists in cache" in said for said in again)
    assert chain.account(BOB).nonce == tx.decode(raw).envelope.nonce + 1


def test_a_replay_that_the_cache_forgot_is_refused_by_its_nonce(chain: Solo) -> None:
    """The same order, signed for a longer time: other bytes, another hash, the same nonce."""
    raw = signed(chain)
    spent = tx.decode(raw).envelope
    chain.commit(raw)

    late = tx.build(replace(spent, valid_until_height=Height(6_000)), BOB.seed)
    answer = chain.submit(late)

    assert answer["code"] == 9
    assert f"nonce {spent.nonce}" in answer["log"]


def test_what_was_only_asked_about_can_still_be_sent(chain: Solo) -> None:
    """RPC's `check_tx` runs the application's check and puts nothing into the mempool."""
    raw = signed(chain)

    checked = chain.rpc("check_tx", tx="0x" + raw.hex())
    sent = chain.commit(raw)

    assert (checked["code"], sent["check_tx"]["code"], sent["tx_result"]["code"]) == (0, 0, 0)


def test_a_gap_is_refused_and_what_fills_it_is_taken(chain: Solo) -> None:
    now = chain.account(BOB).nonce

    ahead = chain.submit(signed(chain, nonce=Nonce(now + 1)))
    due = chain.commit(signed(chain, nonce=now))

    assert (ahead["code"], due["tx_result"]["code"]) == (9, 0)


def test_what_waits_cannot_be_spent_twice(chain: Solo) -> None:
    """The first order's fee is all that bob has: the second waits for nothing."""
    held = chain.account(BOB)
    most = Amount(held.balance - 10_000)

    first = chain.submit(signed(chain, nonce=held.nonce, fee=most))
    second = chain.submit(signed(chain, nonce=Nonce(held.nonce + 1), fee=Amount(20_000)))

    assert (first["code"], second["code"]) == (0, 11)


def answer_of(solo: Solo, raw: bytes, how: str) -> str:
    return asked(solo, submit(raw, how))[1].decode()


# --- the port for peers

GREETINGS = {
    "noise": os.urandom(4096),
    "zeros": bytes(65_536),
    "HTTP": b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 10,
    "a handshake of other length": b"\xff" * 10,
    "a key of zeros": b"\x22\x0a\x20" + bytes(32),
    "a key of small order": b"\x22\x0a\x20\x01" + bytes(31) + bytes(2048),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_peer_that_talks_nonsense_is_hung_up_on(chain: Solo, greeting: bytes) -> None:
    peer = socket.create_connection(("127.0.0.1", chain.p2p_port), PATIENCE_S)
    with peer, suppress(OSError):  # reset while we still talk
        peer.sendall(greeting)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65_536):
            pass

    assert chain.rpc("net_info")["n_peers"] == "0"


def test_peers_that_say_nothing_hold_up_no_block(chain: Solo) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", chain.p2p_port), PATIENCE_S) for _ in range(100)
    ]

    chain.wait_for_height(chain.height() + 3)

    assert chain.rpc("net_info")["n_peers"] == "0"
    [peer.close() for peer in silent]


def test_connections_that_say_nothing_hold_up_no_caller(chain: Solo) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", chain.rpc_port), PATIENCE_S) for _ in range(200)
    ]
    [peer.sendall(b"POST / HTTP/1.1\r\n") for peer in silent]

    answer: Json = chain.rpc("status")

    assert answer["sync_info"]["catching_up"] is False
    [peer.close() for peer in silent]


def test_every_door_still_stands(chain: Solo) -> None:
    result = chain.commit(signed(chain, fee=Amount(5_000)))

    assert (result["check_tx"]["code"], result["tx_result"]["code"]) == (0, 0)
