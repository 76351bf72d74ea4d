"""Answers are bounded, typed, and asked of another node when one fails."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import bundle
from dchat.kernel.bundle import Did
from dchat.kernel.errors import OperatorError, ProtocolError
from dchat.kernel.headers import header_hash
from dchat.kernel.ids import Cost, Height
from dchat.kernel.inclusion import NotProved, TxResult
from dchat.kernel.tx import tx_hash
from dchat.node import rpc
from dchat.node.answers import MalformedAnswer
from dchat.node.rpc import (
    MAX_ANSWER_BYTES,
    Included,
    NodeUnreachable,
    NotIncluded,
    Question,
    RpcClient,
    RpcRefused,
)

Json = dict[str, Any]
Use = Callable[[RpcClient], Awaitable[object]]

ONE, TWO = "http://one.example.org", "http://two.example.org"
RECORDED = json.loads(
    (Path(__file__).parents[2] / "vectors" / "comet_light_blocks" / "blocks.json").read_text()
)
STATUS = {
    "node_info": {"network": "devnet"},
    "sync_info": {
        "latest_block_height": "7",
        "latest_block_time": "2026-01-31T12:00:00.000000001Z",
        "catching_up": False,
    },
}
RAW = b"a transaction"
DID = Did(9, Cost(0))


def raw(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(body))


def ok(result: object) -> httpx.Response:
    return raw(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode())


def failed(reason: str, status: int = 500) -> httpx.Response:
    error = {"code": -32603, "message": "Internal error", "data": reason}
    return raw(status, json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode())


def not_found() -> httpx.Response:
    return failed("tx (AB) not found")


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Server:
    """Answers each call by the function given, and remembers who was asked for what."""

    def __init__(self, answer: Callable[[str, Json], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        question = json.loads(request.content)
        self.asked.append(f"{request.url.host.partition('.')[0]} {question['method']}")
        return self.answer(request.url.host, question)


def use(server: Server, task: Use, urls: tuple[str, ...] = (ONE,)) -> Any:
    async def main() -> object:
        transport = httpx.MockTransport(server.handle)
        async with httpx.AsyncClient(transport=transport) as http:
            return await task(RpcClient(urls, http))

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def answering(result: object) -> Server:
    return Server(lambda host, question: ok(result))


async def status(client: RpcClient) -> object:
    return await client.status()


async def query(client: RpcClient) -> object:
    return await client.abci_query(Question("/store", b"\x01\x02", Height(5), prove=True))


async def wait(client: RpcClient) -> object:
    return await client.wait_for(tx_hash(RAW), 5)


async def results(client: RpcClient) -> object:
    return await client.results(Height(71))


async def submit(client: RpcClient) -> object:
    return await client.broadcast_sync(RAW)


async def block(client: RpcClient) -> object:
    return await client.light_block(Height(71))


def test_status_is_read_to_the_nanosecond() -> None:
    said = use(answering(STATUS), status)

    assert (said.chain_id, said.height, said.catching_up) == ("devnet", 7, False)
    assert said.time_ns == 1_769_860_800_000_000_001


def chain(host: str, question: Json) -> httpx.Response:
    """Answer from the recorded chain."""
    height = question["params"]["height"]
    found = {each["signed_header"]["header"]["height"]: each for each in RECORDED}
    following = {str(int(at) + 1): each["next_validators"] for at, each in found.items()}
    own = {at: each["validators"] for at, each in found.items()}
    if question["method"] == "commit":
        return ok({"signed_header": found[height]["signed_header"], "canonical": True})
    return ok({**following, **own}[height])


@pytest.mark.parametrize(("height", "calls"), [(2, 2), (70, 3)])
def test_light_block_comes_with_both_sets(height: int, calls: int) -> None:
    server = Server(chain)

    block = use(server, lambda client: client.light_block(Height(height)))

    assert header_hash(block.header) == block.commit.block_id.hash
    assert len(server.asked) == calls


def test_large_validator_set_is_fetched_page_by_page() -> None:
    members = [
        {
            "pub_key": {
                "type": "tendermint/PubKeyEd25519",
                "value": base64.b64encode(n.to_bytes(32, "big")).decode(),
            },
            "voting_power": "1",
        }
        for n in range(250)
    ]

    def answer(host: str, question: Json) -> httpx.Response:
        if question["method"] == "commit":
            return chain(host, {"method": "commit", "params": {"height": "2"}})
        page = int(question["params"]["page"])
        part = members[(page - 1) * 100 : page * 100]
        return ok({"validators": part, "count": str(len(part)), "total": "250"})

    server = Server(answer)

    block = use(server, lambda client: client.light_block(Height(2)))

    assert (len(block.validators.validators), len(server.asked)) == (250, 4)


def test_query_sends_path_key_height_and_returns_value_and_proof() -> None:
    questions: list[Json] = []

    def answer(host: str, question: Json) -> httpx.Response:
        questions.append(question)
        ops = [{"type": "dchat:jmt:1", "key": "AQI=", "data": "cHJvb2Y="}]
        response = {"code": 0, "value": "dg==", "height": "5", "proofOps": {"ops": ops}}
        return ok({"response": response})

    said = use(Server(answer), query)

    assert questions[0]["params"] == {
        "path": "/store",
        "data": "0102",
        "height": "5",
        "prove": True,
    }
    assert (said.value, said.height, said.proofs) == (b"v", 5, (("dchat:jmt:1", b"proof"),))


def test_query_without_value_or_proof_is_read_as_empty() -> None:
    said = use(answering({"response": {"value": None, "proofOps": None, "height": "5"}}), query)

    assert (said.code, said.value, said.proofs) == (0, b"", ())


def test_refused_transaction_keeps_its_code_and_log() -> None:
    said = use(answering({"code": 21, "log": "holds 3", "hash": "AB"}), submit)

    assert (said.code, said.log, said.tx_hash) == (21, "holds 3", tx_hash(RAW))


def test_transaction_the_pool_has_already_counts_as_accepted() -> None:
    server = Server(lambda host, question: failed("tx already exists in cache"))

    assert use(server, submit).code == 0


def test_inclusion_is_waited_for() -> None:
    answers = iter([not_found(), ok({"txs": []}), not_found(), ok({"txs": None})])
    found = {
        "hash": tx_hash(RAW).hex().upper(),
        "height": "9",
        "tx_result": {"code": 0, "log": "", "gas_wanted": "70", "gas_used": "66"},
    }
    server = Server(lambda host, question: next(answers, ok(found)))

    said = use(server, wait)

    assert (said.height, said.code, said.cost_used, said.cost_wanted) == (9, 0, 66, 70)
    assert len(server.asked) == 5


def found_in(txs: list[Json] | None) -> Server:
    def answer(_host: str, question: Json) -> httpx.Response:
        if question["method"] == "tx":
            return not_found()
        assert question["params"]["query"] == f"Carried.tx_hash='{tx_hash(RAW).hex()}'"
        return ok({"txs": txs})

    return Server(answer)


async def find(client: RpcClient) -> object:
    return await client.find(tx_hash(RAW))


def test_what_is_in_no_block_by_itself_is_looked_for_in_bundles() -> None:
    carrier, data = bundle.build([b"another", RAW]), bundle.encode_results([DID, DID])
    said = {"tx": b64(carrier), "tx_result": {"data": b64(data), "gas_used": "5"}}

    found = use(found_in([{"hash": "AB", "height": "7", **said}]), find)

    assert found.carrier == carrier
    assert found.included == Included(tx_hash(RAW), Height(7), 9, "", 0, 0)


def test_a_bundle_that_does_not_carry_it_is_refused() -> None:
    said = {"hash": "AB", "height": "7", "tx": b64(RAW), "tx_result": {}}

    with pytest.raises(NotProved):
        use(found_in([said]), find)


@pytest.mark.parametrize("nothing", [None, []])
def test_what_is_in_no_bundle_either_is_not_found(nothing: list[Json] | None) -> None:
    assert use(found_in(nothing), find) is None


def test_wait_for_inclusion_ends_at_the_deadline() -> None:
    with pytest.raises(NotIncluded, match="after 5 s"):
        use(found_in(None), wait)


def test_answer_about_another_transaction_is_malformed() -> None:
    with pytest.raises(MalformedAnswer, match="another transaction"):
        use(answering({"hash": "AB", "height": "9", "tx_result": {}}), wait)


def test_error_answer_is_typed_and_not_asked_again() -> None:
    server = Server(lambda host, question: failed("height 9 is not available"))

    with pytest.raises(RpcRefused) as caught:
        use(server, status, (ONE, TWO))

    assert (caught.value.code, caught.value.reason) == (-32603, "height 9 is not available")
    assert server.asked == ["one status"]


def broken(kind: str) -> httpx.Response:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await trio.lowlevel.checkpoint()
            yield b" " * 65536

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await trio.sleep_forever()

    bodies: dict[str, httpx.Response] = {
        "html": raw(502, b"<html>bad gateway</html>"),
        "empty": raw(200, b""),
        "deep": raw(200, b"[" * 100_000),
        "result of another form": ok({"node_info": 5}),
        "endless": httpx.Response(200, content=endless()),
        "stalled": httpx.Response(200, content=stalled()),
        "not utf-8": raw(200, b'{"result":"\xff"}'),
    }
    return bodies[kind]


KINDS = (
    "html",
    "empty",
    "deep",
    "result of another form",
    "endless",
    "stalled",
    "not utf-8",
)


@pytest.mark.parametrize("kind", KINDS)
def test_useless_answer_makes_the_next_node_be_asked(kind: str) -> None:
    server = Server(lambda host, question: broken(kind) if host.startswith("one.") else ok(STATUS))

    said = use(server, status, (ONE, TWO))

    assert (said.height, server.asked) == (7, ["one status", "two status"])


@pytest.mark.parametrize("kind", KINDS)
def test_useless_answers_of_all_nodes_are_told(kind: str) -> None:
    with pytest.raises(NodeUnreachable, match=f"no node answered status: {ONE}"):
        use(Server(lambda host, question: broken(kind)), status)


def test_endless_answer_is_cut_at_the_bound() -> None:
    with pytest.raises(NodeUnreachable, match=str(MAX_ANSWER_BYTES)):
        use(Server(lambda host, question: broken("endless")), status)


def test_node_that_works_is_kept() -> None:
    server = Server(
        lambda host, question: broken("html") if host.startswith("one.") else ok(STATUS)
    )

    async def twice(client: RpcClient) -> object:
        await client.status()
        return await client.status()

    use(server, twice, (ONE, TWO))

    assert server.asked == ["one status", "two status", "two status"]


def test_node_that_misled_is_left() -> None:
    server = answering(STATUS)

    async def leave(client: RpcClient) -> object:
        client.use_next()
        return await client.status()

    use(server, leave, (ONE, TWO))

    assert server.asked == ["two status"]


def test_nothing_listening_is_told_with_the_address() -> None:
    async def main() -> None:
        async with rpc.connect(["http://127.0.0.1:9"]) as client:
            await client.status()

    with pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:9"):
        trio.run(main)


def test_network_file_without_nodes_is_told() -> None:
    async def main() -> None:
        async with rpc.connect([]):
            pass

    with pytest.raises(NodeUnreachable, match="names no node"):
        trio.run(main)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
TASKS: tuple[Use, ...] = (status, query, wait, submit, block)


def outcome(server: Server, task: Use) -> str:
    try:
        use(server, task)
    except (ProtocolError, OperatorError):
        return "typed"
    return "fine"


@pytest.mark.parametrize("task", TASKS)
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_typed_errors(task: Use, body: bytes) -> None:
    server = Server(lambda host, question: raw(200, body))

    assert outcome(server, task) == "typed"


@pytest.mark.parametrize("task", TASKS)
@given(result=JSON)
def test_arbitrary_result_raises_only_typed_errors(task: Use, result: object) -> None:
    assert outcome(answering(result), task) == "typed"


def replaced(value: object, path: list[int], other: object) -> object:
    """Return value with the part that path leads to replaced, wherever path ends."""
    if not path or not isinstance(value, dict | list) or not value:
        return other
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    copy: Any = value.copy()
    copy[key] = replaced(copy[key], path[1:], other)
    return copy


@given(
    path=st.lists(st.integers(0, 30), min_size=1, max_size=7),
    other=JSON | st.just("2026-13-45T99:99:99Z") | st.just("-1") | st.just("99999999999999999999"),
)
def test_damaged_light_block_is_read_or_refused_with_a_typed_error(
    path: list[int], other: object
) -> None:
    damaged = replaced(RECORDED[4], path, other)

    def answer(host: str, question: Json) -> httpx.Response:
        part = {"commit": "signed_header"}.get(question["method"], "validators")
        held = damaged.get(part) if isinstance(damaged, dict) else damaged
        return ok({"signed_header": held} if part == "signed_header" else held)

    assert outcome(Server(answer), block) in {"typed", "fine"}


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("result", "task", "log"),
    [
        ({"code": 9, "log": LONG, "hash": "AB"}, "submit", 500),
        ({"response": {"code": 9, "log": LONG}}, "query", 500),
    ],
)
def test_long_words_of_a_node_are_cut(result: object, task: str, log: int) -> None:
    tasks: dict[str, Use] = {"submit": submit, "query": query}

    assert len(use(answering(result), tasks[task]).log) == log


def test_long_reason_of_a_refusal_is_cut() -> None:
    with pytest.raises(RpcRefused) as caught:
        use(Server(lambda host, question: failed(LONG)), status)

    assert len(caught.value.reason) == 500


def test_results_of_a_block_are_those_that_consensus_hashes() -> None:
    done = {"code": 21, "data": "AQI=", "log": "no", "gas_wanted": "70", "gas_used": "66"}

    said = use(answering({"height": "71", "txs_results": [done], "app_hash": "x"}), results)

    assert said == (TxResult(21, b"\1\2", 70, 66),)


@pytest.mark.parametrize("nothing", [{}, {"txs_results": None}, {"txs_results": []}])
def test_a_block_without_transactions_has_no_results(nothing: Json) -> None:
    assert use(answering(nothing), results) == ()


@pytest.mark.parametrize("field", ["code", "gas_wanted", "gas_used"])
def test_a_result_that_would_be_hashed_as_another_is_refused(field: str) -> None:
    done = {"code": 0, "gas_wanted": 0, "gas_used": 0, field: 2**64 + 5}

    with pytest.raises(NotProved):
        use(answering({"txs_results": [done]}), results)
