"""Transactions and their results under two headers, and what does not follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import bundle
from dchat.kernel.headers import Header, merkle_root
from dchat.kernel.ids import Cost, TxHash
from dchat.kernel.inclusion import (
    NotProved,
    Path,
    TxResult,
    carried_result,
    path_of,
    result_of,
    results_hash,
    root_by,
)
from dchat.kernel.tx import tx_hash
from dchat.node.proto import abci_pb2 as pb
from tests.fakes.chain import FakeChain, Signer
from tests.fakes.memory import ALICE, BOB, signed
from tests.fakes.rpc_node import path

RESULTS = tuple(TxResult(code, b"d", 70, 60 + code) for code in range(5))
HASHES = tuple(TxHash(sha256(b"%d" % number).digest()) for number in range(5))


def headers(hashes: Sequence[bytes], results: Sequence[TxResult]) -> tuple[Header, Header]:
    """The header of a block with these transactions, and the next one."""
    chain = FakeChain(
        (Signer("ann"),),
        data_hashes={7: merkle_root(hashes)},
        results_hashes={8: results_hash(results)},
    )
    return chain.header(7), chain.header(8)


def path_to(index: int, count: int = 5) -> Path:
    return Path(index, count, tuple(path(HASHES[:count], index)))


@given(st.integers(1, 5), st.data())
def test_every_transaction_of_a_block_has_its_own_result(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    pair = headers(HASHES[:count], RESULTS[:count])

    found = result_of(HASHES[index], path_to(index, count), RESULTS[:count], *pair)

    assert found == RESULTS[index]


@given(st.integers(1, 40), st.data())
def test_the_path_of_every_leaf_leads_to_the_root(count: int, data: st.DataObject) -> None:
    leaves = [b"%d" % number for number in range(count)]
    index = data.draw(st.integers(0, count - 1))

    found = path_of(index, leaves)

    assert found == Path(index, count, tuple(path(leaves, index)))
    assert root_by(found, leaves[index]) == merkle_root(leaves)


@pytest.mark.parametrize("index", [-1, 5])
def test_a_place_outside_leads_nowhere(index: int) -> None:
    with pytest.raises(NotProved, match="a place that is none"):
        root_by(replace(path_to(4), index=index), HASHES[4])


@given(
    st.integers(0, 2**32 - 1),
    st.binary(max_size=9),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
)
def test_a_result_is_hashed_as_its_protobuf_message(
    code: int, data: bytes, wanted: int, used: int
) -> None:
    message = pb.ExecTxResult(code=code, data=data, gas_wanted=wanted, gas_used=used)

    assert results_hash([TxResult(code, data, wanted, used)]) == merkle_root(
        [message.SerializeToString()]
    )


RIGHT = path_to(4)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(RIGHT, index=3),
        replace(RIGHT, index=5),
        replace(RIGHT, index=-1),
        Path(1, 2, RIGHT.aunts),
        replace(RIGHT, aunts=()),
        replace(RIGHT, aunts=(*RIGHT.aunts, bytes(32))),
        replace(RIGHT, aunts=(bytes(31),)),
        replace(RIGHT, aunts=(bytes(32),)),
    ],
    ids=["place", "behind", "before", "total", "short", "long", "size", "aunt"],
)
def test_a_path_that_leads_elsewhere_is_refused(wrong: Path) -> None:
    """With `total` the path is right, and says that the last of five is the second of two."""
    with pytest.raises(NotProved):
        result_of(HASHES[4], wrong, RESULTS, *headers(HASHES, RESULTS))


def test_another_transaction_is_refused() -> None:
    with pytest.raises(NotProved, match="not in the block"):
        result_of(HASHES[3], RIGHT, RESULTS, *headers(HASHES, RESULTS))


@pytest.mark.parametrize("results", [RESULTS[::-1], RESULTS[:4], ()])
def test_results_of_another_block_are_refused(results: tuple[TxResult, ...]) -> None:
    with pytest.raises(NotProved, match="results"):
        result_of(HASHES[4], RIGHT, results, *headers(HASHES, RESULTS))


def test_a_header_that_the_next_one_does_not_name_is_refused() -> None:
    block, following = headers(HASHES, RESULTS)

    with pytest.raises(NotProved, match="not the one before"):
        result_of(HASHES[4], RIGHT, RESULTS, replace(block, app_hash=bytes(31) + b"x"), following)


def test_headers_apart_are_refused() -> None:
    block, _ = headers(HASHES, RESULTS)

    with pytest.raises(NotProved, match="do not follow"):
        result_of(HASHES[4], RIGHT, RESULTS, block, block)


PAY, AGAIN = signed(ALICE, (1,)), signed(BOB, (1,))
CARRIER = bundle.build([PAY, AGAIN, PAY])


def did(*results: tuple[int, int]) -> TxResult:
    data = bundle.encode_results([bundle.Did(code, Cost(used)) for code, used in results])
    return TxResult(0, data, 6000, 150)


def test_what_a_bundle_carried_did_what_its_result_says() -> None:
    whole = did((0, 80), (17, 2000), (9, 0))

    assert carried_result(CARRIER, whole, tx_hash(PAY)) == TxResult(0, b"", 2000, 80)
    assert carried_result(CARRIER, whole, tx_hash(AGAIN)) == TxResult(17, b"", 2000, 2000)


def test_what_was_refused_for_nothing_wanted_nothing() -> None:
    assert carried_result(CARRIER, did((9, 0), (8, 0), (9, 0)), tx_hash(PAY)).cost_wanted == 0


@pytest.mark.parametrize(
    ("carrier", "whole", "raw"),
    [
        (CARRIER, did((0, 80), (0, 80)), PAY),
        (CARRIER, TxResult(0, b"", 1, 1), PAY),
        (CARRIER, TxResult(0, b"\x91\x90", 1, 1), PAY),
        (CARRIER, did((0, 80), (0, 80), (0, 80)), signed(ALICE, (2,))),
        (b"junk", did((0, 80)), PAY),
        (bundle.build([b"junk"]), did((0, 80)), b"junk"),
    ],
    ids=["too few results", "no results", "no such", "not carried", "no bundle", "cannot run"],
)
def test_what_does_not_follow_from_a_bundles_result_is_refused(
    carrier: bytes, whole: TxResult, raw: bytes
) -> None:
    with pytest.raises(NotProved):
        carried_result(carrier, whole, tx_hash(raw))
