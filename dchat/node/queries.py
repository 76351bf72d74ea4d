"""Answers to ABCI Query: a state key under `/store`, pages of keys under `/entries`, the modules'
fingerprints under `/roots`, a machine's own paths, a code for the rest.

An answer's height H is that of the block whose execution left the state; the app hash that a
proof leads to stands in the header of block H + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from dchat.kernel.codec import CodecError
from dchat.kernel.ids import Height
from dchat.kernel.machine import Machine
from dchat.kernel.merkle.proof import PROOF_TYPE
from dchat.kernel.queries import LISTING, MAX_KEY_BYTES, PAGE, QueryCode, page
from dchat.node.proto import abci_pb2 as pb
from dchat.node.proto import proof_pb2
from dchat.node.storage import HeightUnavailable, StateView, Storage
from dchat.node.stores.roots import ROOTS

CODESPACE: Final = "dchat"

MAX_DATA_BYTES: Final = 64 * 1024
MAX_PROVED_ENTRIES: Final = 25
"""In a page with proofs: each proof of an old height takes up to 3 ms."""
_NO_BLOCK: Final = "no block is committed yet"
_SHOWN: Final = 80
"""Characters of a foreign path that an answer repeats."""


class QueryRefused(Exception):
    """Carries the code and the sentence of the answer."""

    def __init__(self, code: QueryCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def answer(machine: Machine, storage: Storage, request: pb.RequestQuery) -> pb.ResponseQuery:
    """The value asked for, or the code that says why not; nothing an outsider sends can raise."""
    try:
        return _answer(machine, storage, request)
    except QueryRefused as refusal:
        return pb.ResponseQuery(code=refusal.code, log=str(refusal), codespace=CODESPACE)
    except CodecError as fault:
        return pb.ResponseQuery(code=QueryCode.BAD_DATA, log=str(fault), codespace=CODESPACE)


def _answer(machine: Machine, storage: Storage, request: pb.RequestQuery) -> pb.ResponseQuery:
    if len(request.data) > MAX_DATA_BYTES:
        raise QueryRefused(QueryCode.BAD_DATA, f"more than {MAX_DATA_BYTES} bytes of data")
    path = request.path.decode(errors="replace")
    own = _OWN.get("/store" if path.startswith("/store/") else path)
    return own(storage, request) if own else _computed(machine, storage, path, request)


def _stored(storage: Storage, request: pb.RequestQuery) -> pb.ResponseQuery:
    key = request.data
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise QueryRefused(
            QueryCode.BAD_DATA, f"a key has 1 to {MAX_KEY_BYTES} bytes, this has {len(key)}"
        )
    view = _view(storage, request.height)
    response = pb.ResponseQuery(key=key, value=view.get(key), height=view.height)
    if request.prove:
        response.proof_ops.ops.append(_proof(view, key))
    return response


def _listed(storage: Storage, request: pb.RequestQuery) -> pb.ResponseQuery:
    """A page of entries; with `prove` a proof of each, in the same order."""
    listing = LISTING.decode(request.data)
    if request.prove:
        listing = replace(listing, limit=min(listing.limit, MAX_PROVED_ENTRIES))
    view = _view(storage, request.height)
    found = page(view, listing)
    response = pb.ResponseQuery(value=PAGE.encode(found), height=view.height)
    if request.prove:
        response.proof_ops.ops.extend(_proof(view, entry.key) for entry in found.entries)
    return response


def _proof(view: StateView, key: bytes) -> proof_pb2.ProofOp:
    return proof_pb2.ProofOp(type=PROOF_TYPE, key=key, data=view.prove(key).encode())


def _roots(storage: Storage, request: pb.RequestQuery) -> pb.ResponseQuery:
    if request.prove:
        raise QueryRefused(QueryCode.NO_PROOF, "fingerprints are not part of the app hash")
    if request.data:
        raise QueryRefused(QueryCode.BAD_DATA, "/roots takes no data")
    try:
        height, found = storage.roots_at(request.height)
    except HeightUnavailable as fault:
        raise QueryRefused(QueryCode.HEIGHT_UNAVAILABLE, str(fault)) from None
    if not height:
        raise QueryRefused(QueryCode.HEIGHT_UNAVAILABLE, _NO_BLOCK)
    return pb.ResponseQuery(value=ROOTS.encode(found), height=height)


def _computed(
    machine: Machine, storage: Storage, path: str, request: pb.RequestQuery
) -> pb.ResponseQuery:
    query = machine.queries.get(path)
    if query is None:
        known = ", ".join((*_OWN, *sorted(machine.queries)))
        raise QueryRefused(QueryCode.UNKNOWN_PATH, f"no path {path[:_SHOWN]!r}; known are {known}")
    if request.prove:
        raise QueryRefused(QueryCode.NO_PROOF, "only /store and /entries answer with proofs")
    view = _view(storage, request.height)
    return pb.ResponseQuery(value=query(view, request.data), height=view.height)


def _view(storage: Storage, height: int) -> StateView:
    """The committed state after block `height`, the latest one for 0."""
    try:
        view = storage.at(Height(height)) if height else storage.latest()
    except HeightUnavailable as fault:
        raise QueryRefused(QueryCode.HEIGHT_UNAVAILABLE, str(fault)) from None
    if view.height == 0:
        raise QueryRefused(QueryCode.HEIGHT_UNAVAILABLE, _NO_BLOCK)
    return view


_OWN: Final[Mapping[str, Callable[[Storage, pb.RequestQuery], pb.ResponseQuery]]] = (
    MappingProxyType({"/store": _stored, "/entries": _listed, "/roots": _roots})
)
