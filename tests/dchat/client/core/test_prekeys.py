from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import prekeys
from dchat.client.core.prekeys import BadPrekeys, Bundle, OneTimeKey
from dchat.kernel import signing
from dchat.kernel.ids import AccountId, EpochMs

SEED = b"s" * 32
DEVICE_SEED = b"d" * 32
KEY = signing.public_key(SEED)
ALICE = AccountId(b"a" * 32)
UNSIGNED = Bundle(
    version=1,
    identity=ALICE,
    identity_key=KEY,
    device_key=signing.public_key(DEVICE_SEED),
    ratchet_key=b"r" * 32,
    fallback_key=b"f" * 32,
    sealing_key=b"x" * prekeys.SEALING_KEY_BYTES,
    made_at_ms=EpochMs(7),
    signature=bytes(64),
)
BUNDLE = prekeys.sign_bundle(UNSIGNED, SEED)
SERVED = prekeys.encode_bundle(BUNDLE)
HASH = prekeys.commitment(SERVED)


def one_time_key(seed: bytes, identity: AccountId) -> bytes:
    statement = prekeys.one_time_statement(identity, b"o" * 32)
    signature = signing.sign(seed, prekeys.ONE_TIME_DOMAIN, statement)
    return prekeys.encode_one_time_key(OneTimeKey(b"o" * 32, signature))


def test_a_committed_and_signed_bundle_opens() -> None:
    assert prekeys.open_bundle(SERVED, ALICE, KEY, HASH) == BUNDLE


def test_a_bundle_other_than_the_committed_one_is_refused() -> None:
    newer = prekeys.sign_bundle(replace(UNSIGNED, made_at_ms=EpochMs(8)), SEED)

    with pytest.raises(BadPrekeys, match="committed"):
        prekeys.open_bundle(prekeys.encode_bundle(newer), ALICE, KEY, HASH)


@pytest.mark.parametrize(
    "altered",
    [
        replace(BUNDLE, device_key=b"m" * 32),
        replace(BUNDLE, ratchet_key=b"m" * 32),
        replace(BUNDLE, fallback_key=b"m" * 32),
        replace(BUNDLE, sealing_key=b"m" * prekeys.SEALING_KEY_BYTES),
        replace(BUNDLE, made_at_ms=EpochMs(8)),
        replace(BUNDLE, signature=bytes(64)),
    ],
)
def test_a_bundle_altered_in_any_field_is_refused(altered: Bundle) -> None:
    served = prekeys.encode_bundle(altered)

    with pytest.raises(BadPrekeys, match="signature"):
        prekeys.open_bundle(served, ALICE, KEY, prekeys.commitment(served))


def test_a_bundle_of_another_account_is_refused() -> None:
    with pytest.raises(BadPrekeys, match="another account"):
        prekeys.open_bundle(SERVED, AccountId(b"b" * 32), KEY, HASH)


def test_a_bundle_under_a_replaced_account_key_is_refused() -> None:
    with pytest.raises(BadPrekeys, match="another account or key"):
        prekeys.open_bundle(SERVED, ALICE, signing.public_key(b"n" * 32), HASH)


def test_a_bundle_of_an_unknown_version_is_refused() -> None:
    served = prekeys.encode_bundle(prekeys.sign_bundle(replace(UNSIGNED, version=2), SEED))

    with pytest.raises(BadPrekeys, match="version 2"):
        prekeys.open_bundle(served, ALICE, KEY, prekeys.commitment(served))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_a_bundle(served: bytes) -> None:
    with pytest.raises(BadPrekeys):
        prekeys.open_bundle(served, ALICE, KEY, prekeys.commitment(served))


def test_a_bundle_is_renewed_for_another_account_key_and_keeps_its_keys() -> None:
    seed = b"n" * 32
    key = signing.public_key(seed)

    renewed = prekeys.renew_bundle(SERVED, key, seed)

    opened = prekeys.open_bundle(renewed, ALICE, key, prekeys.commitment(renewed))
    assert replace(opened, identity_key=KEY, signature=BUNDLE.signature) == BUNDLE


def test_a_bundle_of_the_present_account_key_stays_as_it_is() -> None:
    assert prekeys.renew_bundle(SERVED, KEY, SEED) is SERVED


def test_a_one_time_key_signed_by_the_device_opens() -> None:
    assert prekeys.open_one_time_key(one_time_key(DEVICE_SEED, ALICE), BUNDLE) == b"o" * 32


def test_a_one_time_key_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(BadPrekeys):
        prekeys.open_one_time_key(one_time_key(SEED, ALICE), BUNDLE)


def test_a_one_time_key_of_another_account_is_refused() -> None:
    served = one_time_key(DEVICE_SEED, AccountId(b"b" * 32))

    with pytest.raises(BadPrekeys):
        prekeys.open_one_time_key(served, BUNDLE)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_a_one_time_key(served: bytes) -> None:
    with pytest.raises(BadPrekeys):
        prekeys.open_one_time_key(served, BUNDLE)
