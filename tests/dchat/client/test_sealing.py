from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client import sealing
from dchat.client.core.prekeys import SEALING_KEY_BYTES
from dchat.client.sealing import BadSealingKey, CannotOpen
from dchat.kernel.ids import AccountId

SEED = b"s" * 32
KEY = sealing.public_key(SEED)
BOB = AccountId(b"b" * 32)


def test_a_public_key_has_the_size_that_bundles_carry() -> None:
    assert len(KEY) == SEALING_KEY_BYTES


@given(st.binary(max_size=3_000))
def test_what_is_sealed_is_opened_and_longer_by_the_overhead(plaintext: bytes) -> None:
    sealed = sealing.seal(plaintext, KEY, BOB)

    assert sealing.open_sealed(sealed, SEED, BOB) == plaintext
    assert len(sealed) == len(plaintext) + sealing.OVERHEAD


def test_the_same_plaintext_never_looks_the_same() -> None:
    assert sealing.seal(b"x", KEY, BOB) != sealing.seal(b"x", KEY, BOB)


def test_a_seal_to_another_account_does_not_open() -> None:
    sealed = sealing.seal(b"x", KEY, AccountId(b"m" * 32))

    with pytest.raises(CannotOpen):
        sealing.open_sealed(sealed, SEED, BOB)


def test_a_seal_to_another_key_does_not_open() -> None:
    sealed = sealing.seal(b"x", sealing.public_key(b"m" * 32), BOB)

    with pytest.raises(CannotOpen):
        sealing.open_sealed(sealed, SEED, BOB)


@pytest.mark.parametrize("at", [0, 1087, 1088, 1119, 1120, -1])
def test_a_seal_altered_anywhere_does_not_open(at: int) -> None:
    sealed = bytearray(sealing.seal(b"words", KEY, BOB))
    sealed[at] ^= 1

    with pytest.raises(CannotOpen):
        sealing.open_sealed(bytes(sealed), SEED, BOB)


@given(st.binary(max_size=2_048))
def test_arbitrary_bytes_do_not_open(data: bytes) -> None:
    with pytest.raises(CannotOpen):
        sealing.open_sealed(data, SEED, BOB)


@given(st.one_of(st.binary(max_size=100), st.binary(min_size=1216, max_size=1217)))
def test_arbitrary_bytes_as_a_key_seal_or_are_refused(key: bytes) -> None:
    try:
        sealed = sealing.seal(b"x", key, BOB)
    except BadSealingKey:
        return
    assert len(sealed) == 1 + sealing.OVERHEAD


def test_an_all_zero_exchange_key_is_refused() -> None:
    with pytest.raises(BadSealingKey):
        sealing.seal(b"x", KEY[:1184] + bytes(32), BOB)
