"""A node's RPC over real HTTP: a real application, under headers signed by keys the test holds."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dchat.kernel import bundle
from dchat.kernel.headers import BlockId, Commit, Header, ValidatorSet, merkle_root
from dchat.kernel.machine import Machine
from dchat.kernel.tx import tx_hash
from dchat.node.app import Node
from dchat.node.network import ChainEntry
from dchat.node.proto import abci_pb2 as pb
from dchat.node.rfc3339 import show_time
from dchat.node.storage import Storage
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.consensus import Consensus
from tests.fakes.memory import CHAIN

Json = dict[str, Any]
ANN = Signer("ann", 30)
BEN = Signer("ben", 10)
PERIOD_S = 3600


def recent() -> FakeChain:
    """A chain that began two minutes ago, by the clock that commands read."""
    return FakeChain((ANN, BEN), chain_id=CHAIN, genesis_ns=time.time_ns() - 120 * 10**9)


@dataclass
class RpcNode:
    """One node; `headers` may be those of another, whose state it does not share."""

    machine: Machine
    folder: Path
    headers: FakeChain = field(default_factory=recent)
    shown: int | None = None
    """Height that it says it is at; that of its application when None."""

    def __post_init__(self) -> None:
        self.storage = Storage.open(self.folder)
        self.app = Node(self.machine, self.storage)
        self.consensus = Consensus(self.app)
        self.consensus.init()
        self.blocks: dict[int, tuple[tuple[bytes, ...], list[pb.ExecTxResult]]] = {}

    @property
    def height(self) -> int:
        return self.storage.height if self.shown is None else self.shown

    def block(self, *txs: bytes) -> None:
        """Make a block; its app hash stands in the header of the next one."""
        done = self.consensus.block(*txs)
        height, headers = self.storage.height, self.headers
        self.blocks[height] = txs, list(done.tx_results)
        self.headers = replace(
            headers, app_hashes={**headers.app_hashes, height + 1: done.app_hash}
        )
        if txs:
            leaves = [sha256(tx).digest() for tx in txs]
            hashed = merkle_root([_hashed(each) for each in done.tx_results])
            self.headers = replace(
                self.headers,
                data_hashes={**headers.data_hashes, height: merkle_root(leaves)},
                results_hashes={**headers.results_hashes, height + 1: hashed},
            )

    def entry(self, *urls: str) -> ChainEntry:
        """What a network file says of the chain."""
        return ChainEntry(Path("genesis.json"), bytes(32), urls, (), self.headers.root, PERIOD_S)

    def answer(self, method: str, params: Json) -> Json:
        """Return a call's result. Raises: LookupError for what is not there."""
        if method == "status":
            return self._status()
        if method == "abci_query":
            return self._query(params)
        if method in {"tx", "tx_search"}:
            return self._found(params)
        height = int(params["height"])
        if method == "block_results":
            return {"txs_results": [_result(each) for each in self.blocks[height][1]] or None}
        if method not in {"commit", "validators"} or height > self.height + (method != "commit"):
            raise LookupError(f"height {height} must be less than or equal to {self.height}")
        block = self.headers.block(height)
        if method == "validators":
            return _validators(block.validators)
        header, commit = _header(block.header), _commit(block.commit)
        return {"signed_header": {"header": header, "commit": commit}, "canonical": True}

    def _status(self) -> Json:
        return {
            "node_info": {"network": self.headers.chain_id},
            "sync_info": {
                "latest_block_height": str(self.height),
                "latest_block_time": show_time(self.headers.time_ns(self.height)),
                "catching_up": False,
            },
        }

    def _found(self, params: Json) -> Json:
        if "query" in params:
            return self._search(params["query"])
        return self._tx(base64.b64decode(params["hash"]))

    def _tx(self, wanted: bytes) -> Json:
        for height, (txs, results) in self.blocks.items():
            for index, tx in enumerate(txs):
                if sha256(tx).digest() == wanted:
                    aunts = [
                        _b64(aunt) for aunt in path([sha256(each).digest() for each in txs], index)
                    ]
                    proof = {"total": str(len(txs)), "index": str(index), "aunts": aunts}
                    return {
                        "hash": wanted.hex().upper(),
                        "height": str(height),
                        "tx_result": _result(results[index]),
                        "proof": {"proof": proof},
                    }
        raise LookupError(f"tx ({wanted.hex().upper()}) not found")

    def _search(self, query: str) -> Json:
        """As CometBFT's index finds them: by an attribute of an event."""
        wanted = bytes.fromhex(query.removeprefix("Carried.tx_hash='").removesuffix("'"))
        raws = [raw for txs, _ in self.blocks.values() for raw in txs]
        found = [raw for raw in raws if wanted in [tx_hash(each) for each in bundle.carried(raw)]]
        return {"txs": [{**self._tx(tx_hash(raw)), "tx": _b64(raw)} for raw in found]}

    def _query(self, params: Json) -> Json:
        said = self.app.query(
            pb.RequestQuery(
                path=params["path"].encode(),
                data=bytes.fromhex(params["data"]),
                height=int(params["height"]),
                prove=params["prove"],
            )
        )
        ops = [
            {"type": op.type, "key": _b64(op.key), "data": _b64(op.data)}
            for op in said.proof_ops.ops
        ]
        response = {"code": said.code, "log": said.log, "value": _b64(said.value)}
        return {"response": {**response, "height": str(said.height), "proofOps": {"ops": ops}}}


@contextmanager
def serving(node: RpcNode) -> Generator[str]:
    """Give the address of a server that answers for the node."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said: Json = {"jsonrpc": "2.0", "id": 1}
            try:
                said["result"] = node.answer(asked["method"], asked["params"])
            except LookupError as fault:
                said["error"] = {"code": -32603, "message": "Internal error", "data": str(fault)}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        node.storage.close()


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root of an RFC 6962 tree, lowest first."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return [*path(left, index), merkle_root(right)]
    return [*path(right, index - split), merkle_root(left)]


def _hashed(result: pb.ExecTxResult) -> bytes:
    """What CometBFT hashes of a result, by the generated messages."""
    return pb.ExecTxResult(
        code=result.code, data=result.data, gas_wanted=result.gas_wanted, gas_used=result.gas_used
    ).SerializeToString()


def _result(result: pb.ExecTxResult) -> Json:
    gas = {"gas_wanted": str(result.gas_wanted), "gas_used": str(result.gas_used)}
    return {"code": result.code, "data": _b64(result.data), "log": result.log, **gas}


def _header(header: Header) -> Json:
    named = {
        name: getattr(header, name).hex().upper()
        for name in (
            *("last_commit_hash", "data_hash", "validators_hash", "next_validators_hash"),
            *("consensus_hash", "app_hash", "last_results_hash", "evidence_hash"),
            "proposer_address",
        )
    }
    return {
        "version": {"block": str(header.block_version), "app": str(header.app_version)},
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": show_time(header.time_ns),
        "last_block_id": _block_id(header.last_block_id),
        **named,
    }


def _commit(commit: Commit) -> Json:
    votes = [
        {
            "block_id_flag": int(vote.flag),
            "validator_address": vote.validator_address.hex().upper(),
            "timestamp": show_time(vote.time_ns),
            "signature": _b64(vote.signature),
        }
        for vote in commit.signatures
    ]
    block_id = _block_id(commit.block_id)
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id,
        "signatures": votes,
    }


def _block_id(block_id: BlockId) -> Json:
    parts = {"total": block_id.parts_total, "hash": block_id.parts_hash.hex().upper()}
    return {"hash": block_id.hash.hex().upper(), "parts": parts}


def _validators(members: ValidatorSet) -> Json:
    listed = [
        {
            "address": member.address.hex().upper(),
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _b64(member.public_key)},
            "voting_power": str(member.power),
        }
        for member in members.validators
    ]
    return {"validators": listed, "total": str(len(listed))}


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
