from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import signing
from dchat.kernel.signing import SignatureInvalid

SEED = bytes(range(32))
KEY = signing.public_key(SEED)
SMALL_ORDER = [
    bytes(32),
    bytes([1, *[0] * 31]),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
NOT_CANONICAL = bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_rfc_8032_section_7_1(seed: str, public: str, message: str, signature: str) -> None:
    made = signing.sign(bytes.fromhex(seed), b"", bytes.fromhex(message))

    assert (signing.public_key(bytes.fromhex(seed)).hex(), made.hex()) == (public, signature)


@given(st.binary(max_size=64))
def test_what_was_signed_verifies(message: bytes) -> None:
    signing.verify(KEY, b"tag", message, signing.sign(SEED, b"tag", message))


def test_another_domain_does_not_verify() -> None:
    made = signing.sign(SEED, b"tag/1", b"message")

    with pytest.raises(SignatureInvalid):
        signing.verify(KEY, b"tag/2", b"message", made)


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_arbitrary_bytes_are_no_signature(signature: bytes, key: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        signing.verify(key, b"tag", b"message", signature)


@given(st.integers(0, 511))
def test_one_flipped_bit_is_noticed(bit: int) -> None:
    made = int.from_bytes(signing.sign(SEED, b"tag", b"message"), "big") ^ (1 << bit)

    with pytest.raises(SignatureInvalid):
        signing.verify(KEY, b"tag", b"message", made.to_bytes(64, "big"))


@pytest.mark.parametrize("key", [*SMALL_ORDER, NOT_CANONICAL])
def test_a_key_that_anybody_could_sign_for_is_refused(key: bytes) -> None:
    forged = bytes([1, *[0] * 31]) + bytes(32)

    with pytest.raises(SignatureInvalid):
        signing.verify(key, b"tag", b"message", forged)


@pytest.mark.parametrize("key", [*SMALL_ORDER, NOT_CANONICAL, b"", KEY[:31], KEY + b"\0"])
def test_weak_keys_are_told_from_strong_ones(key: bytes) -> None:
    assert signing.is_strong(KEY)
    assert not signing.is_strong(key)
