from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dchat.kernel.codec import CodecError
from dchat.kernel.errors import InvariantBroken
from dchat.kernel.merkle.hashing import EMPTY_ROOT, digest
from dchat.kernel.merkle.page import ROOT_KEY
from dchat.kernel.merkle.proof import BadProof, Proof, prove, verify
from dchat.kernel.merkle.tree import root, update

ENTRIES = {b"key %d" % number: b"value %d" % number for number in range(500)}
PAGES = {key: page for key, page in update({}, ENTRIES).pages.items() if page is not None}
ROOT = root(PAGES)
KEY, VALUE = b"key 7", b"value 7"
PROOF = prove(PAGES, KEY)
ABSENT = next(key for key in (b"no %d" % number for number in range(99)) if prove(PAGES, key).leaf)
EMPTY = next(key for key in (b"no %d" % n for n in range(999)) if not prove(PAGES, key).leaf)
keys = st.integers(0, 60).map(lambda number: b"key %d" % number)
hashes = st.binary(min_size=32, max_size=32)


@given(st.dictionaries(keys, st.binary(max_size=3)), keys)
def test_every_key_is_proved_present_or_absent(entries: dict[bytes, bytes], key: bytes) -> None:
    changed = update({}, entries)
    pages = {name: page for name, page in changed.pages.items() if page is not None}

    proof = Proof.decode(prove(pages, key).encode())

    verify(changed.root, key, entries.get(key), proof)


@given(st.sampled_from(sorted(ENTRIES)))
@settings(max_examples=40)
def test_a_present_key_is_never_proved_absent(key: bytes) -> None:
    with pytest.raises(BadProof, match="the key is present"):
        verify(ROOT, key, None, prove(PAGES, key))


def test_an_absent_key_is_never_proved_present() -> None:
    with pytest.raises(BadProof):
        verify(ROOT, ABSENT, b"value", prove(PAGES, ABSENT))


def test_an_empty_end_proves_no_value() -> None:
    with pytest.raises(BadProof):
        verify(ROOT, EMPTY, b"value", prove(PAGES, EMPTY))


def test_another_value_is_refused() -> None:
    with pytest.raises(BadProof, match="the leaf is not that of the key and value"):
        verify(ROOT, KEY, b"value 8", PROOF)


def test_a_proof_serves_one_key_only() -> None:
    with pytest.raises(BadProof):
        verify(ROOT, b"key 8", VALUE, PROOF)


def test_a_leaf_of_another_path_proves_no_absence() -> None:
    with pytest.raises(BadProof, match="the leaf is not on the key's path"):
        verify(ROOT, ABSENT, None, PROOF)


@pytest.mark.parametrize("at", range(len(PROOF.siblings)))
def test_a_tampered_sibling_is_refused(at: int) -> None:
    tampered = (*PROOF.siblings[:at], digest(PROOF.siblings[at]), *PROOF.siblings[at + 1 :])

    with pytest.raises(BadProof, match="leads to root"):
        verify(ROOT, KEY, VALUE, Proof(PROOF.leaf, tampered))


@pytest.mark.parametrize(
    "siblings",
    [
        PROOF.siblings[::-1],
        PROOF.siblings[1:],
        PROOF.siblings[:-1],
        (*PROOF.siblings, EMPTY_ROOT),
        (EMPTY_ROOT, *PROOF.siblings),
        (),
    ],
    ids=["swapped", "topless", "shortened", "extended", "raised", "bare"],
)
def test_a_bent_path_is_refused(siblings: tuple[bytes, ...]) -> None:
    with pytest.raises(BadProof, match="leads to root"):
        verify(ROOT, KEY, VALUE, Proof(PROOF.leaf, siblings))


@pytest.mark.parametrize(
    "proof",
    [
        Proof((), ()),
        Proof((), PROOF.siblings),
        Proof((), PROOF.siblings[:3]),
        Proof((), (EMPTY_ROOT,) * 256),
        Proof((digest(b"other"), digest(b"value")), ()),
        Proof((digest(b"other"),), ()),
        Proof((digest(b"other"), b"short"), ()),
        Proof((digest(KEY), digest(VALUE), digest(VALUE)), ()),
    ],
)
def test_a_forged_absence_of_a_present_key_is_refused(proof: Proof) -> None:
    with pytest.raises(BadProof):
        verify(ROOT, KEY, None, proof)


def test_a_path_longer_than_a_hash_is_refused_before_any_hashing() -> None:
    with pytest.raises(BadProof, match="257 levels, limit 256"):
        verify(ROOT, KEY, VALUE, Proof(PROOF.leaf, (EMPTY_ROOT,) * 257))


@given(st.lists(hashes, max_size=2).map(tuple), st.lists(hashes, max_size=20).map(tuple))
def test_made_up_proofs_prove_nothing(leaf: tuple[bytes, ...], siblings: tuple[bytes, ...]) -> None:
    with pytest.raises(BadProof):
        verify(ROOT, KEY, None, Proof(leaf, siblings))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_proof_or_are_refused(data: bytes) -> None:
    try:
        proof = Proof.decode(data)
    except CodecError:
        return

    assert proof.encode() == data


@given(st.data())
def test_every_bent_byte_of_a_proof_is_refused(data: st.DataObject) -> None:
    sent = bytearray(PROOF.encode())
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises((BadProof, CodecError)):
        verify(ROOT, KEY, VALUE, Proof.decode(bytes(sent)))


@pytest.mark.parametrize(
    "proof",
    [
        Proof((digest(b"alone"),), ()),
        Proof((b"short", b"shorter"), ()),
        Proof((), (b"short",)),
        Proof((), (EMPTY_ROOT,) * 257),
        Proof((EMPTY_ROOT,) * 3, ()),
    ],
)
def test_a_proof_out_of_bounds_has_no_encoding_that_is_accepted(proof: Proof) -> None:
    with pytest.raises(CodecError):
        Proof.decode(proof.encode())


def test_a_proof_over_the_byte_bound_is_refused_unread() -> None:
    with pytest.raises(CodecError, match="limit 16384"):
        Proof.decode(bytes(20_000))


def test_a_missing_page_is_no_proof_of_absence() -> None:
    pages = {name: page for name, page in PAGES.items() if name == ROOT_KEY}

    with pytest.raises(InvariantBroken, match="missing"):
        prove(pages, KEY)
