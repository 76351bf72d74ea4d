"""One transaction in a block, and what it did there, under the headers of that block and the next.

    data_hash of its block             leaves: SHA-256(transaction)
    last_results_hash of the next one  leaves: ExecTxResult of code, data, gas_wanted, gas_used
                                       (fields 1, 2, 5, 6; log and events are not hashed)

A path alone does not prove at which place a leaf is: with another number of leaves it fits another
place. The results, which make up their hash only all together, say how many there are. A bundle's
result has as its data what became of each transaction in it.

Source: CometBFT v0.40.0 types/tx.go, types/results.go, crypto/merkle/proof.go; RFC 6962.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from dchat.kernel import bundle, tx, wire
from dchat.kernel.codec import CodecError
from dchat.kernel.errors import RemoteProtocolError, TxRejected
from dchat.kernel.headers import HASH_SIZE, Header, header_hash, merkle_root
from dchat.kernel.ids import TxHash


class NotProved(RemoteProtocolError):
    """What is said of a transaction does not follow from the headers."""


@dataclass(frozen=True, slots=True)
class TxResult:
    """What a block's execution left of one transaction, as far as consensus hashes it."""

    code: int
    data: bytes
    cost_wanted: int
    cost_used: int

    def __post_init__(self) -> None:
        """Refuse what would be encoded like another number. Raises: NotProved."""
        _require(0 <= self.code < 1 << 32, "a code that is none")
        for cost in (self.cost_wanted, self.cost_used):
            _require(0 <= cost < 1 << 63, "a cost that is none")


@dataclass(frozen=True, slots=True)
class Path:
    """The way from leaf `index` of `total` to the root: the other halves' hashes, lowest first."""

    index: int
    total: int
    aunts: tuple[bytes, ...]


def check_link(block: Header, following: Header) -> None:
    """Return if block is the one before the header `following`. Raises: NotProved."""
    _require(following.height == block.height + 1, "headers of heights that do not follow")
    _require(
        following.last_block_id.hash == header_hash(block), "a block that is not the one before"
    )


def result_of(
    tx_hash: TxHash, path: Path, results: Sequence[TxResult], block: Header, following: Header
) -> TxResult:
    """Return what a transaction in block did. Raises: NotProved."""
    check_link(block, following)
    _require(
        results_hash(results) == following.last_results_hash, "results that are not the block's"
    )
    _require(path.total == len(results) and 0 <= path.index < path.total, "a place that is none")
    _require(root_by(path, tx_hash) == block.data_hash, "not in the block")
    return results[path.index]


def carried_result(carrier: bytes, whole: TxResult, tx_hash: TxHash) -> TxResult:
    """Return what a transaction did that a bundle carried, by the bundle's proved result.

    Where it is in there twice, the one that was charged counts. Raises: NotProved.
    """
    carried = bundle.carried(carrier)
    try:
        results = bundle.decode_results(whole.data)
    except CodecError as fault:
        raise NotProved(f"the transaction is not proved: {fault}") from None
    _require(len(results) == len(carried), "results that are not the bundle's")
    copies = [(did, raw) for did, raw in zip(results, carried, strict=True) if _is(raw, tx_hash)]
    _require(bool(copies), "not in the bundle")
    did, raw = max(copies, key=lambda copy: copy[0].cost_used)
    return TxResult(did.code, b"", _declared(raw) if did.cost_used else 0, did.cost_used)


def _declared(raw: bytes) -> int:
    try:
        return tx.decode(raw).envelope.cost_limit
    except TxRejected as fault:
        raise NotProved(f"the transaction is not proved: it cannot have run: {fault}") from None


def _is(raw: bytes, tx_hash: TxHash) -> bool:
    return tx.tx_hash(raw) == tx_hash


def results_hash(results: Sequence[TxResult]) -> bytes:
    """Return the hash by which a header names the results of the block before."""
    return merkle_root([_encode(result) for result in results])


def root_by(path: Path, leaf: bytes) -> bytes:
    """Return the RFC 6962 root to which a path leads from a leaf.

    With another number of leaves it leads there too: whoever asks knows how many there are.
    Raises: NotProved.
    """
    _require(0 <= path.index < path.total, "a place that is none")
    return _root(path.index, path.total, sha256(b"\0" + leaf).digest(), path.aunts)


def path_of(index: int, leaves: Sequence[bytes]) -> Path:
    """Return the way from the leaf at index to the root of all leaves."""
    return Path(index, len(leaves), _aunts(index, leaves))


def _aunts(index: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    if len(leaves) == 1:
        return ()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return (*_aunts(index, left), merkle_root(right))
    return (*_aunts(index - split, right), merkle_root(left))


def _root(index: int, total: int, leaf: bytes, aunts: Sequence[bytes]) -> bytes:
    """Return the root to which the aunts lead. Raises: NotProved if that many lead nowhere."""
    _require((total == 1) == (not aunts), "a path of another length")
    if not aunts:
        return leaf
    aunt, below = aunts[-1], aunts[:-1]
    _require(len(aunt) == HASH_SIZE, "a path with a hash of another size")
    split = 1 << (total - 1).bit_length() - 1
    if index < split:
        return sha256(b"\1" + _root(index, split, leaf, below) + aunt).digest()
    return sha256(b"\1" + aunt + _root(index - split, total - split, leaf, below)).digest()


def _encode(result: TxResult) -> bytes:
    return (
        wire.varint_field(1, result.code)
        + wire.bytes_field(2, result.data)
        + wire.varint_field(5, result.cost_wanted)
        + wire.varint_field(6, result.cost_used)
    )


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as an assertion
    if not holds:
        raise NotProved(f"the transaction is not proved: {otherwise}")
