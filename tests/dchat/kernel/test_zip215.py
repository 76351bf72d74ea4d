"""Votes are judged by ZIP-215, whatever libsodium thinks of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from dchat.kernel.signing import is_strong
from dchat.kernel.zip215 import verify_vote

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
HIGH_BIT = 2**255

# The y coordinate shared by two of the four points of order 8, and its negative.
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

LOW_ORDER = tuple(
    (y | sign).to_bytes(32, "little")
    for y, sign in itertools.product(
        (0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y, P, P + 1), (0, HIGH_BIT)
    )
)
CANONICAL_LOW_ORDER = frozenset(
    (y | sign).to_bytes(32, "little")
    for y, sign in (
        (0, 0),
        (0, HIGH_BIT),
        (1, 0),
        (P - 1, 0),
        *itertools.product((ORDER_8_Y, P - ORDER_8_Y), (0, HIGH_BIT)),
    )
)

# Message, key, signature and what ZIP-215 says, in the order of cases.json of
# novifinancial/ed25519-speccheck ("Taming the many EdDSAs", eprint 2020/1244). The verdicts are
# those of CometBFT v0.40.0 crypto/ed25519.
SPECCHECK = (
    (
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
        "0000000000000000000000000000000000000000000000000000000000000000",
        True,
    ),
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        True,
    ),
    (
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
        "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        True,
    ),
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f"
        "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        True,
    ),
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
        "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        True,
    ),
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7"
        "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        True,
    ),
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e"
        "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        False,
    ),
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942"
        "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        False,
    ),
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        False,
    ),
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        True,
    ),
    (
        "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        True,
    ),
    (
        "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        True,
    ),
)

# RFC 8032 section 7.1, tests 1 to 3: key, message, signature.
RFC8032 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


def test_there_are_fourteen_encodings_of_low_order_points_and_eight_are_canonical() -> None:
    assert (len(frozenset(LOW_ORDER)), len(CANONICAL_LOW_ORDER)) == (14, 8)


@pytest.mark.parametrize(("key", "commitment"), list(itertools.product(LOW_ORDER, LOW_ORDER)))
def test_every_pair_of_low_order_points_is_accepted(key: bytes, commitment: bytes) -> None:
    assert verify_vote(key, b"Zcash", commitment + bytes(32))


@pytest.mark.parametrize("key", LOW_ORDER)
def test_libsodium_refuses_what_the_fallback_accepts(key: bytes) -> None:
    with pytest.raises(BadSignatureError):
        VerifyKey(key).verify(b"Zcash", key + bytes(32))


@pytest.mark.parametrize(("message", "key", "signature", "verdict"), SPECCHECK)
def test_published_edge_case_gets_the_verdict_of_cometbft(
    message: str, key: str, signature: str, verdict: bool
) -> None:
    judged = verify_vote(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))

    assert judged is verdict


@pytest.mark.parametrize(("key", "message", "signature"), RFC8032)
def test_published_signature_is_accepted(key: str, message: str, signature: str) -> None:
    assert verify_vote(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=64))
def test_own_signature_is_accepted_and_one_for_another_message_refused(
    seed: bytes, message: bytes
) -> None:
    signer = SigningKey(seed)
    key, signature = bytes(signer.verify_key), signer.sign(message).signature

    assert verify_vote(key, message, signature)
    assert not verify_vote(key, message + b"!", signature)


@given(seed=st.binary(min_size=32, max_size=32), at=st.integers(0, 511))
def test_signature_with_a_flipped_bit_is_refused(seed: bytes, at: int) -> None:
    signer = SigningKey(seed)
    signature = int.from_bytes(signer.sign(b"vote").signature, "little")

    flipped = (signature ^ 1 << at).to_bytes(64, "little")

    assert not verify_vote(bytes(signer.verify_key), b"vote", flipped)


def test_scalar_beyond_the_group_order_is_refused() -> None:
    signer = SigningKey(bytes(32))
    signature = signer.sign(b"vote").signature
    scalar = int.from_bytes(signature[32:], "little") + ORDER

    malleated = signature[:32] + scalar.to_bytes(32, "little")

    assert not verify_vote(bytes(signer.verify_key), b"vote", malleated)


@given(key=st.binary(max_size=40), message=st.binary(max_size=40), signature=st.binary(max_size=80))
def test_arbitrary_bytes_are_judged_without_raising(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert verify_vote(key, message, signature) is False


@pytest.mark.parametrize("key", LOW_ORDER)
def test_low_order_key_is_weak(key: bytes) -> None:
    assert not is_strong(key)


@pytest.mark.parametrize("case", [SPECCHECK[3], SPECCHECK[4]])
def test_key_with_a_low_order_part_is_weak(case: tuple[str, str, str, bool]) -> None:
    assert not is_strong(bytes.fromhex(case[1]))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\2" + bytes(31)])
def test_bytes_that_are_no_point_are_a_weak_key(key: bytes) -> None:
    assert not is_strong(key)


@given(seed=st.binary(min_size=32, max_size=32))
def test_generated_key_is_not_weak(seed: bytes) -> None:
    assert is_strong(bytes(SigningKey(seed).verify_key))
