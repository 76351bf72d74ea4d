"""The paths, data and heights of queries, which reach the application as a stranger wrote them."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from google.protobuf.message import DecodeError

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from dchat.kernel import accounts, codec
from dchat.kernel.machine import Machine
from dchat.kernel.merkle.proof import Proof, verify
from dchat.node import queries
from dchat.node.app import Node
from dchat.node.proto import abci_pb2 as pb
from dchat.node.queries import QueryCode
from dchat.node.storage import Storage
from tests.fakes.consensus import Consensus
from tests.fakes.memory import ALICE
from tests.fakes.memory_store import MemoryStore
from tests.fuzz.mutate import EDGES, change_bytes, change_text, change_values
from tests.fuzz.target import REFUSED, Target

KEPT: Final = 3
MOST_SAID: Final = 2000
"""Characters of any answer's log."""


def serving(machine: Machine) -> tuple[Machine, Storage]:
    """A chain of six blocks of which the last three can be read."""
    storage = Storage.over(MemoryStore({}), keep=KEPT)
    consensus = Consensus(Node(machine, storage))
    consensus.init()
    [consensus.block() for _ in range(6)]
    return machine, storage


CHAINS: Final = (serving(CURRENCY), serving(CHAT))


def judge(data: bytes) -> str:
    """Every query has an answer with a code; a value that comes with a proof is proved by it."""
    machine, storage = CHAINS[int.from_bytes(data[:1], "big") % len(CHAINS)]
    try:
        request = pb.RequestQuery.FromString(data[1:])
    except DecodeError:
        return f"{REFUSED}no query"
    response = queries.answer(machine, storage, request)
    response.SerializeToString()
    assert response.code in {0, *(code.value for code in QueryCode)}
    assert len(response.log) <= MOST_SAID
    assert bool(response.code) == bool(response.log)
    if response.code == 0 and request.prove:
        _check_proof(storage, request, response)
    if response.code:
        return f"{REFUSED}{response.code}"
    return f"{machine.name} {request.path.decode(errors='replace')[:12]} {bool(response.value)}"


def _check_proof(storage: Storage, request: pb.RequestQuery, response: pb.ResponseQuery) -> None:
    (op,) = response.proof_ops.ops
    view = storage.at(response.height)
    proof = Proof.decode(op.data)
    assert (op.key, response.key) == (request.data, request.data)
    assert response.value == (view.get(request.data) or b"")
    verify(view.app_hash, request.data, response.value or None, proof)


def _seeds() -> tuple[bytes, ...]:
    key = accounts.key(ALICE.id)
    paths = sorted({path for machine, _ in CHAINS for path in machine.queries})
    asked = (
        *[
            pb.RequestQuery(path=path.encode())
            for path in ("", "/", "/store/x", "/nothing", *paths)
        ],
        *[pb.RequestQuery(path=b"/store", data=key, height=height) for height in (0, 4, 6, 7, -1)],
        pb.RequestQuery(path=b"/store", data=key, prove=True),
        pb.RequestQuery(path=b"/store", data=codec.pack(("nobody",)), height=5, prove=True),
        pb.RequestQuery(path=b"/store", data=bytes(queries.MAX_KEY_BYTES + 1)),
        pb.RequestQuery(path=b"/params", prove=True),
        pb.RequestQuery(path=b"\xff\xfe"),
    )
    return tuple(bytes([n]) + each.SerializeToString() for n in (0, 1) for each in asked)


def _change_field(rng: Random, data: bytes) -> bytes:
    """One field of the query exchanged, so that the others still fit."""
    query = pb.RequestQuery()
    try:
        query.MergeFromString(data[1:])
    except DecodeError:
        return change_bytes(rng, data)
    changes: dict[int, tuple[str, Any]] = {
        0: ("path", change_text(rng, query.path)),
        1: ("data", change_values(rng, query.data)),
        2: ("height", rng.choice([edge for edge in EDGES if -(2**63) <= edge < 2**63])),
        3: ("prove", not query.prove),
        4: ("data", change_bytes(rng, query.data)),
    }
    name, value = changes[rng.randrange(len(changes))]
    setattr(query, name, value)
    return bytes([rng.randrange(2)]) + query.SerializeToString()


TARGET: Final = Target(
    "rpc",
    "every path, data and height is answered with a code; what is proved is so under the app hash",
    judge,
    _seeds(),
    (_change_field, _change_field, change_bytes),
)
