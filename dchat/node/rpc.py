"""A CometBFT node's JSON-RPC: submit transactions, fetch light blocks, query state.

Nothing that comes back is believed here: answers are bounded in size and time and checked for
form. With several nodes in the list, the one in use is kept until it fails or misleads; then the
next one is asked, each at most once a call.

Source: CometBFT v0.40.0 rpc/openapi/openapi.yaml.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import httpx
import trio

from dchat.kernel.errors import OperatorError, RemoteProtocolError
from dchat.kernel.headers import MAX_VALIDATORS, ValidatorSet
from dchat.kernel.ids import ChainId, Height, TxHash
from dchat.kernel.inclusion import Path, TxResult, carried_result
from dchat.kernel.light import LightBlock
from dchat.kernel.tx import tx_hash as hash_tx
from dchat.node import answers
from dchat.node.answers import PAGE_SIZE, Answer, MalformedAnswer

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_RESULTS_BYTES: Final = 32 * 1024 * 1024
"""Of a block's results with their events: 10,000 transfers take 7 MiB."""
CALL_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.2
MAX_REASON: Final = 500
"""Characters of a node's own words that are kept and shown."""
LATEST: Final = Height(0)
MAX_PAGES: Final = MAX_VALIDATORS // PAGE_SIZE

_IN_CACHE: Final = "tx already exists in cache"
_NOT_FOUND: Final = "not found"

# No compression: a small answer must not unfold beyond the bound.
_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}

Param = str | int | bool
Model = TypeVar("Model", bound=Answer)


class ChainUnavailable(OperatorError):
    """The chain tells nothing new for now; what it proved before still holds."""


class NodeUnreachable(ChainUnavailable):
    """No node of the list gave an answer in time."""

    hint = "check that the node runs and that the network file's `rpc` addresses are right"


class NotIncluded(OperatorError):
    """The transaction was accepted but in no block before the deadline."""

    hint = "it may still get in: look the transaction up before you send it again"


class RpcRefused(RemoteProtocolError):
    """The node answered with a JSON-RPC error. Attributes: code, reason."""

    def __init__(self, method: str, code: int, reason: str) -> None:
        super().__init__(f"node refused {method}: {reason} ({code})")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Status:
    """How far a node says it is."""

    chain_id: ChainId
    height: Height
    time_ns: int
    catching_up: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    """What CheckTx said; code 0 means the transaction waits in the node's pool."""

    tx_hash: TxHash
    code: int
    log: str


@dataclass(frozen=True, slots=True)
class Included:
    """What a node says the transaction did in its block; code 0 means it was not refused."""

    tx_hash: TxHash
    height: Height
    code: int
    log: str
    cost_used: int
    cost_wanted: int


@dataclass(frozen=True, slots=True)
class Found:
    """Where a node says a transaction is, and the path that shall prove it."""

    included: Included
    path: Path
    """Of itself, or of the bundle that carries it."""
    carrier: bytes = b""
    """That bundle; empty where it is in the block by itself."""


@dataclass(frozen=True, slots=True)
class Queried:
    """The application's answer, unverified; `proofs` holds (type, bytes) pairs."""

    code: int
    log: str
    value: bytes
    height: Height
    proofs: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """An ABCI query; height 0 asks for the latest committed state."""

    path: str
    key: bytes
    height: Height = LATEST
    prove: bool = False


class Chain(Protocol):
    """What readers and senders need of a node; tests answer from a fake chain."""

    @property
    def url(self) -> str:
        """Return the address of the node in use."""
        ...

    async def status(self) -> Status:
        """Return how far the node is. Raises: NodeUnreachable, RemoteProtocolError."""
        ...

    async def light_block(self, height: Height) -> LightBlock:
        """Return an unverified block. Raises: InvalidHeader, and as status()."""
        ...

    async def results(self, height: Height) -> tuple[TxResult, ...]:
        """Return what the transactions of a block did, unverified. Raises: as status()."""
        ...

    async def find(self, tx_hash: TxHash) -> Found | None:
        """Return where a transaction is, None if the node knows of none. Raises: as status()."""
        ...

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        """Hand a transaction to the node's pool. Raises: as status()."""
        ...

    async def wait_for(self, tx_hash: TxHash, timeout_s: float) -> Included:
        """Return once the transaction is in a block. Raises: NotIncluded, and as status()."""
        ...

    async def abci_query(self, question: Question) -> Queried:
        """Ask the application. Raises: as status()."""
        ...

    def use_next(self) -> None:
        """Leave the node in use for the next of the list, because it misled us."""
        ...


class _Error(Answer):
    code: int = 0
    message: str = ""
    data: str = ""


class _Failed(Answer):
    error: _Error | None = None


class _Body(httpx.AsyncByteStream):
    """What to send, in one piece; httpx's own is a generator that a cancelled call leaves open."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class RpcClient:
    """A Chain over HTTP; made by `connect`."""

    def __init__(
        self, urls: Sequence[str], http: httpx.AsyncClient, call_timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        self._urls = tuple(urls)
        self._http = http
        self._call_timeout_s = call_timeout_s
        self._at = 0

    @property
    def url(self) -> str:
        """The node in use."""
        return self._urls[self._at]

    def only(self, urls: Sequence[str]) -> RpcClient:
        """Return a client for these nodes that shares this one's connections."""
        return RpcClient(urls, self._http, self._call_timeout_s)

    def each(self) -> tuple[RpcClient, ...]:
        """Return a client for every node of the list, each with that node only."""
        return tuple(self.only((url,)) for url in self._urls)

    def use_next(self) -> None:
        """Leave the node in use for the next of the list."""
        self._at = (self._at + 1) % len(self._urls)

    async def status(self) -> Status:
        """Return how far the node is. Raises: NodeUnreachable, RpcRefused, MalformedAnswer."""
        said = (await self._call("status", {}, answers.Result[answers.StatusAnswer])).result
        sync = said.sync_info
        return Status(
            chain_id=ChainId(said.node_info.network),
            height=Height(sync.latest_block_height),
            time_ns=sync.latest_block_time,
            catching_up=sync.catching_up,
        )

    async def light_block(self, height: Height) -> LightBlock:
        """Return the block at height with its validators and the next ones, unverified.

        Raises: InvalidHeader, and as status().
        """
        said = await self._call(
            "commit", {"height": str(height)}, answers.Result[answers.CommitAnswer]
        )
        header, commit = said.result.signed_header.build()
        own = await self._validators(height)
        same = header.next_validators_hash == header.validators_hash
        following = own if same else await self._validators(Height(height + 1))
        return LightBlock(header, commit, own, following)

    async def results(self, height: Height) -> tuple[TxResult, ...]:
        """Return what the transactions of a block did, unverified. Raises: as status()."""
        params = {"height": str(height)}
        model = answers.Result[answers.ResultsAnswer]
        said = await self._call("block_results", params, model, MAX_RESULTS_BYTES)
        return said.result.build()

    async def broadcast_sync(self, raw: bytes) -> Submitted:
        """Hand a transaction to the node's pool; one it has already counts as accepted.

        Raises: as status().
        """
        params = {"tx": base64.b64encode(raw).decode()}
        try:
            said = await self._call(
                "broadcast_tx_sync", params, answers.Result[answers.BroadcastAnswer]
            )
        except RpcRefused as refused:
            if _IN_CACHE not in refused.reason:
                raise
            return Submitted(hash_tx(raw), 0, "")
        return Submitted(hash_tx(raw), said.result.code, said.result.log[:MAX_REASON])

    async def wait_for(self, tx_hash: TxHash, timeout_s: float) -> Included:
        """Return once the transaction is in a block. Raises: NotIncluded, and as status()."""
        with trio.move_on_after(timeout_s):
            while True:
                found = await self.find(tx_hash)
                if found is not None:
                    return found.included
                await trio.sleep(POLL_S)
        raise NotIncluded(f"transaction {tx_hash.hex()} is in no block after {timeout_s:g} s")

    async def abci_query(self, question: Question) -> Queried:
        """Ask the application. Raises: as status()."""
        params: dict[str, Param] = {
            "path": question.path,
            "data": question.key.hex(),
            "height": str(question.height),
            "prove": question.prove,
        }
        said = await self._call("abci_query", params, answers.Result[answers.QueryAnswer])
        response = said.result.response
        return Queried(
            code=response.code,
            log=response.log[:MAX_REASON],
            value=response.value,
            height=Height(response.height),
            proofs=tuple((op.type, op.data) for op in response.proof_ops.ops),
        )

    async def find(self, tx_hash: TxHash) -> Found | None:
        """Return where a transaction is, by itself or in a bundle, None if the node knows of none.

        Raises: as status().
        """
        return await self._find_alone(tx_hash) or await self._find_carried(tx_hash)

    async def _find_alone(self, tx_hash: TxHash) -> Found | None:
        params: dict[str, Param] = {"hash": base64.b64encode(tx_hash).decode(), "prove": True}
        try:
            said = (await self._call("tx", params, answers.Result[answers.TxAnswer])).result
        except RpcRefused as refused:
            if _NOT_FOUND not in refused.reason:
                raise
            return None
        if said.hash != tx_hash:
            raise MalformedAnswer("the node answered with another transaction")
        return Found(_included(said, tx_hash, said.tx_result.build()), said.proof.proof.build())

    async def _find_carried(self, tx_hash: TxHash) -> Found | None:
        """Return the first bundle that carries it: what is carried twice is charged once."""
        wanted = f"Carried.tx_hash='{tx_hash.hex()}'"
        params: dict[str, Param] = {"query": wanted, "prove": True, "order_by": "asc"}
        said = (await self._call("tx_search", params, answers.Result[answers.SearchAnswer])).result
        for each in said.txs:
            did = carried_result(each.tx, each.tx_result.build(), tx_hash)
            return Found(_included(each, tx_hash, did), each.proof.proof.build(), each.tx)
        return None

    async def _validators(self, height: Height) -> ValidatorSet:
        """Return the whole set at height; the pages are bounded by the largest set allowed."""
        pages: list[answers.ValidatorPage] = []
        for page in range(1, MAX_PAGES + 1):
            params = {"height": str(height), "page": str(page), "per_page": str(PAGE_SIZE)}
            said = await self._call("validators", params, answers.Result[answers.ValidatorPage])
            pages.append(said.result)
            if page * PAGE_SIZE >= said.result.total:
                break
        return answers.build_validator_set(tuple(pages))

    async def _call(
        self,
        method: str,
        params: Mapping[str, Param],
        model: type[answers.Result[Model]],
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> answers.Result[Model]:
        """Ask the node in use, and the others in turn where it gives no usable answer."""
        faults: list[str] = []
        for _ in self._urls:
            try:
                body = await self._post(method, params, max_bytes)
                failed = answers.parse(_Failed, body)
                if failed.error is None:
                    return answers.parse(model, body)
            except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError, MalformedAnswer) as fault:
                faults.append(f"{self.url}: {fault or type(fault).__name__}")
                self.use_next()
            else:
                reason = (failed.error.data or failed.error.message)[:MAX_REASON]
                raise RpcRefused(method, failed.error.code, reason)
        raise NodeUnreachable(f"no node answered {method}: {'; '.join(faults)}")

    async def _post(self, method: str, params: Mapping[str, Param], max_bytes: int) -> bytes:
        """Return the raw answer. Raises: TooSlowError, httpx.HTTPError, MalformedAnswer."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        body = bytearray()
        with trio.fail_after(self._call_timeout_s), trio.CancelScope() as enough:
            body_out = json.dumps(question).encode()
            url = httpx.URL(self.url)
            framing = {"host": url.netloc.decode(), "content-length": str(len(body_out))}
            request = httpx.Request(
                "POST", url, headers={**framing, **_HEADERS}, stream=_Body(body_out)
            )
            async with aclosing(await self._http.send(request, stream=True)) as response:
                async for chunk in response.aiter_raw():
                    if len(body) + len(chunk) <= max_bytes:
                        body += chunk
                    else:
                        enough.cancel()  # unwinds httpx from the inside; leaving early would leak
        if enough.cancel_called:
            raise MalformedAnswer(f"an answer over {max_bytes} bytes")
        return bytes(body)


def _included(said: answers.TxAnswer, tx_hash: TxHash, did: TxResult) -> Included:
    log = said.tx_result.log[:MAX_REASON]
    return Included(tx_hash, Height(said.height), did.code, log, did.cost_used, did.cost_wanted)


@asynccontextmanager
async def connect(urls: Sequence[str]) -> AsyncGenerator[RpcClient]:
    """Give a client for the nodes at urls, in order of preference; proxies are not used."""
    if not urls:
        raise NodeUnreachable("the network file names no node for this chain")
    async with httpx.AsyncClient(timeout=None, trust_env=False) as http:  # noqa: S113 -- _post has the deadline
        yield RpcClient(urls, http)
