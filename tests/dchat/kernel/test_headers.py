"""Headers, commits and sets are well-formed or refused, and hash as CometBFT's do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import headers
from dchat.kernel.headers import (
    MAX_TIME_NS,
    MAX_TOTAL_POWER,
    MIN_TIME_NS,
    NO_BLOCK,
    BlockId,
    Commit,
    CommitSig,
    Flag,
    InvalidHeader,
    Validator,
    header_hash,
    merkle_root,
    validator_set,
    validators_hash,
    vote_sign_bytes,
)
from dchat.kernel.ids import ChainId, Height
from tests.fakes.chain import FakeChain, Signer

CHAIN = FakeChain((Signer("ann"),))
HASH = bytes(range(32))
ADDRESS = bytes(range(20))

# RFC 9162 section 2.1.5 and CometBFT crypto/merkle/tree_test.go.
RFC_LEAVES = tuple(
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)


@pytest.mark.parametrize(
    ("count", "root"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_merkle_root_is_that_of_the_certificate_transparency_tests(count: int, root: str) -> None:
    assert merkle_root(RFC_LEAVES[:count]).hex() == root


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40), st.data())
def test_merkle_root_changes_with_every_leaf(leaves: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves[:at], leaves[at] + b"!", *leaves[at + 1 :]]

    assert merkle_root(changed) != merkle_root(leaves)


def test_set_is_ordered_by_falling_power_then_rising_address() -> None:
    members = [Validator(bytes([n]) * 32, power) for n, power in ((1, 5), (2, 9), (3, 5), (4, 1))]

    ordered = validator_set(members).validators

    keys = [(-member.power, member.address) for member in ordered]
    assert keys == sorted(keys)


def test_set_does_not_depend_on_the_order_it_came_in() -> None:
    members = [Validator(bytes([n]) * 32, 5) for n in range(9)]

    assert validator_set(members) == validator_set(reversed(members))


def test_validator_named_twice_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="twice"):
        validator_set([Validator(HASH, 1), Validator(HASH, 2)])


def test_total_power_above_the_bound_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="too high"):
        validator_set([Validator(HASH, MAX_TOTAL_POWER), Validator(bytes(32), 1)])


def test_total_power_at_the_bound_is_allowed() -> None:
    assert validator_set([Validator(HASH, MAX_TOTAL_POWER)]).total_power == MAX_TOTAL_POWER


def test_set_beyond_the_bound_is_refused() -> None:
    members = [Validator(n.to_bytes(32, "big"), 1) for n in range(10_001)]

    with pytest.raises(InvalidHeader, match="10001 validators"):
        validator_set(members)


@pytest.mark.parametrize("change", [Validator(HASH, 2), Validator(bytes(32), 1)])
def test_validators_hash_covers_key_and_power(change: Validator) -> None:
    before = validators_hash(validator_set([Validator(HASH, 1)]))

    assert validators_hash(validator_set([change])) != before


@pytest.mark.parametrize(
    "change",
    [
        {"app_version": 2},
        {"chain_id": "fake-chaim"},
        {"height": 3},
        {"time_ns": CHAIN.time_ns(2) + 1},
        {"last_block_id": BlockId(HASH, 1, HASH)},
        {"last_commit_hash": HASH},
        {"data_hash": HASH},
        {"validators_hash": HASH},
        {"next_validators_hash": HASH},
        {"consensus_hash": HASH},
        {"app_hash": HASH},
        {"last_results_hash": HASH},
        {"evidence_hash": HASH},
        {"proposer_address": ADDRESS},
    ],
    ids=lambda change: next(iter(cast("Mapping[str, object]", change))),
)
def test_header_hash_covers(change: dict[str, object]) -> None:
    header = CHAIN.header(2)

    assert header_hash(replace(header, **change)) != header_hash(header)


@pytest.mark.parametrize(
    "change",
    [
        {"block_version": 10},
        {"app_version": -1},
        {"app_version": 2**64},
        {"chain_id": "x" * 51},
        {"chain_id": "é" * 26},
        {"chain_id": "\ud800"},
        {"height": 0},
        {"height": 2**63},
        {"time_ns": MIN_TIME_NS - 1},
        {"time_ns": MAX_TIME_NS + 1},
        {"validators_hash": b""},
        {"next_validators_hash": b""},
        {"validators_hash": bytes(31)},
        {"data_hash": bytes(33)},
        {"last_commit_hash": bytes(1)},
        {"consensus_hash": bytes(1)},
        {"last_results_hash": bytes(1)},
        {"evidence_hash": bytes(1)},
        {"app_hash": bytes(65)},
        {"proposer_address": bytes(19)},
    ],
)
def test_malformed_header_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidHeader):
        replace(CHAIN.header(2), **change)


@pytest.mark.parametrize("time_ns", [MIN_TIME_NS, -1, 0, MAX_TIME_NS])
def test_header_of_any_allowed_time_hashes(time_ns: int) -> None:
    assert len(header_hash(replace(CHAIN.header(2), time_ns=time_ns))) == 32


@pytest.mark.parametrize(
    ("flag", "address", "signature", "time_ns"),
    [
        (Flag.ABSENT, ADDRESS, b"", 0),
        (Flag.ABSENT, b"", bytes(64), 0),
        (Flag.COMMIT, b"", bytes(64), 0),
        (Flag.NIL, ADDRESS[:19], bytes(64), 0),
        (Flag.COMMIT, ADDRESS, b"", 0),
        (Flag.COMMIT, ADDRESS, bytes(3310), 0),
        (Flag.COMMIT, ADDRESS, bytes(64), MAX_TIME_NS + 1),
    ],
)
def test_malformed_vote_is_refused(
    flag: Flag, address: bytes, signature: bytes, time_ns: int
) -> None:
    with pytest.raises(InvalidHeader):
        CommitSig(flag, address, time_ns, signature)


VOTE = CommitSig(Flag.COMMIT, ADDRESS, 0, bytes(64))
COMMIT = Commit(Height(2), 0, BlockId(HASH, 1, HASH), (VOTE,))


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"round": -1},
        {"round": 2**31},
        {"block_id": NO_BLOCK},
        {"signatures": ()},
        {"signatures": (VOTE,) * 10_001},
    ],
)
def test_malformed_commit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidHeader):
        replace(COMMIT, **change)


@pytest.mark.parametrize(
    ("block_hash", "total", "parts_hash"),
    [(bytes(31), 1, HASH), (HASH, 1, bytes(31)), (HASH, -1, HASH), (HASH, 2**32, HASH)],
)
def test_malformed_block_id_is_refused(block_hash: bytes, total: int, parts_hash: bytes) -> None:
    with pytest.raises(InvalidHeader):
        BlockId(block_hash, total, parts_hash)


@pytest.mark.parametrize(
    ("key", "power"), [(bytes(31), 1), (HASH, -1), (HASH, MAX_TOTAL_POWER + 1)]
)
def test_malformed_validator_is_refused(key: bytes, power: int) -> None:
    with pytest.raises(InvalidHeader):
        Validator(key, power)


def test_address_is_the_start_of_the_keys_hash() -> None:
    assert Validator(HASH, 1).address == hashlib.sha256(HASH).digest()[:20]


@pytest.mark.parametrize(
    ("commit", "flag", "time_ns", "chain_id", "encoded"),
    [
        # CometBFT v0.40.0 types/vote_test.go, TestVoteSignBytesTestVectors: height 1, round 1,
        # precommit for nil at the zero time.
        (
            replace(COMMIT, height=Height(1), round=1),
            Flag.NIL,
            MIN_TIME_NS,
            "",
            "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01",
        ),
        # The same with a chain id.
        (
            replace(COMMIT, height=Height(1), round=1),
            Flag.NIL,
            MIN_TIME_NS,
            "test_chain_id",
            "3008021101000000000000001901000000000000002a0b088092b8c398feffffff01"
            "320d746573745f636861696e5f6964",
        ),
    ],
)
def test_sign_bytes_of_a_vote_for_nil_are_those_of_cometbft(
    commit: Commit, flag: Flag, time_ns: int, chain_id: str, encoded: str
) -> None:
    vote = CommitSig(flag, ADDRESS, time_ns, bytes(64))

    assert vote_sign_bytes(ChainId(chain_id), commit, vote).hex() == encoded


def test_round_zero_is_left_out_of_the_sign_bytes_and_the_block_is_in() -> None:
    signed = vote_sign_bytes(ChainId("c"), COMMIT, VOTE)

    block = "0a20" + HASH.hex() + "1224" + "0801" + "1220" + HASH.hex()
    expected = "0802" + "110200000000000000" + "2248" + block + "2a00" + "320163"
    assert signed.hex() == f"{len(bytes.fromhex(expected)):02x}" + expected


@given(st.binary(max_size=40), st.integers())
def test_arbitrary_validator_is_made_or_refused(key: bytes, power: int) -> None:
    made = _attempt(key, power)

    assert made is None or len(validators_hash(made)) == 32


def _attempt(key: bytes, power: int) -> headers.ValidatorSet | None:
    try:
        return validator_set([Validator(key, power)])
    except InvalidHeader:
        return None
