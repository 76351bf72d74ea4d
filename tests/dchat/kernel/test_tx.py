from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import codec, signing, tx
from dchat.kernel.errors import (
    BadSignature,
    MalformedTransaction,
    TransactionTooLarge,
    TxRejected,
    UnknownKind,
    UnknownVersion,
)
from tests.fakes.memory import ALICE, BOB, envelope, signed

BODY: tuple[codec.Raw, ...] = (1, b"field", (2, "three"))
FIELDS: list[codec.Raw] = [0, 1, "test-1", ALICE.id, ALICE.public_key, 0, 2000, 2000, 100, [1]]


def wire(fields: codec.Raw) -> bytes:
    encoded = codec.pack(fields)
    return encoded + signing.sign(ALICE.seed, tx.DOMAIN, hashlib.sha256(encoded).digest())


def test_what_is_built_decodes_and_verifies() -> None:
    raw = signed(ALICE, BODY)

    decoded = tx.decode(raw)

    tx.verify(decoded)
    assert decoded.envelope == envelope(ALICE, BODY)
    assert decoded.size == len(raw)


def test_the_wire_form_is_the_array_then_the_signature() -> None:
    assert wire(FIELDS) == signed(ALICE, (1,))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_transaction_or_rejected(raw: bytes) -> None:
    with suppress(TxRejected):
        tx.decode(raw)


@given(st.integers(0, len(signed(ALICE, BODY)) * 8 - 1))
def test_no_flipped_bit_leaves_a_valid_transaction(bit: int) -> None:
    raw = signed(ALICE, BODY)
    flipped = (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")

    with pytest.raises(TxRejected):
        tx.verify(tx.decode(flipped))


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ([7, *FIELDS[1:]], UnknownKind),
        ([1, [b"bundle"]], UnknownKind),
        ([0, 2, *FIELDS[2:]], UnknownVersion),
        ([0], UnknownVersion),
        ([], UnknownKind),
        (["0", *FIELDS[1:]], MalformedTransaction),
        (FIELDS[:-1], MalformedTransaction),
        ([*FIELDS, 0], MalformedTransaction),
        ([*FIELDS[:2], "x" * 51, *FIELDS[3:]], MalformedTransaction),
        ([*FIELDS[:3], bytes(31), *FIELDS[4:]], MalformedTransaction),
        ([*FIELDS[:4], bytes(33), *FIELDS[5:]], MalformedTransaction),
        ([*FIELDS[:5], "0", *FIELDS[6:]], MalformedTransaction),
        ([*FIELDS[:9], []], MalformedTransaction),
        ([*FIELDS[:9], ["transfer"]], MalformedTransaction),
        ([*FIELDS[:9], b""], MalformedTransaction),
        ("text", MalformedTransaction),
    ],
)
def test_every_other_array_is_refused_by_its_code(
    fields: codec.Raw, refusal: type[TxRejected]
) -> None:
    with pytest.raises(refusal):
        tx.decode(wire(fields))


@pytest.mark.parametrize("raw", [b"", bytes(64), bytes(65), b"\x90" + bytes(10)])
def test_too_little_is_malformed(raw: bytes) -> None:
    with pytest.raises((MalformedTransaction, UnknownKind)):
        tx.decode(raw)


def test_a_transaction_over_the_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(TransactionTooLarge) as refusal:
        tx.decode(bytes(tx.MAX_TX_BYTES + 1))

    assert (refusal.value.size, refusal.value.limit) == (65537, 65536)


def test_a_longer_encoding_of_the_same_envelope_is_refused() -> None:
    encoded = codec.pack(FIELDS)
    longer = encoded.replace(b"\xcd\x07\xd0", b"\xce\x00\x00\x07\xd0", 1)

    with pytest.raises(MalformedTransaction):
        tx.decode(longer + bytes(64))


def test_somebody_elses_signature_is_refused() -> None:
    raw = tx.build(envelope(ALICE, BODY), BOB.seed)

    with pytest.raises(BadSignature):
        tx.verify(tx.decode(raw))


def test_the_hash_is_the_one_cometbft_indexes_by() -> None:
    assert tx.tx_hash(b"abc") == hashlib.sha256(b"abc").digest()
