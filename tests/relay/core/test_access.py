from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from dchat.kernel import signing
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core.access import (
    EPOCH_MS,
    MAX_EPOCH,
    Purpose,
    SessionId,
    epoch_at,
    epochs_to_pull,
    grant,
    is_granted,
    mailbox_id,
    peer_id_of,
    relay_key,
    subject_of,
)

SEED = b"i" * 32
RELAY = peer_id_of(signing.public_key(b"r" * 32))
HERE = SessionId(RELAY, b"c" * 32)


def test_an_owners_grant_opens_what_it_names() -> None:
    assert is_granted(grant(SEED, HERE, Purpose.PULL, 7), HERE, Purpose.PULL)


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.PULL])
def test_a_grant_opens_no_other_purpose(purpose: Purpose) -> None:
    assert not is_granted(grant(SEED, HERE, Purpose.PULL, 7), HERE, purpose)


def test_a_grant_is_worth_nothing_at_another_relay() -> None:
    elsewhere = SessionId(peer_id_of(signing.public_key(b"o" * 32)), HERE.challenge)

    assert not is_granted(grant(SEED, HERE, Purpose.PULL, 7), elsewhere, Purpose.PULL)


def test_a_grant_is_worth_nothing_in_another_session() -> None:
    later = SessionId(RELAY, b"d" * 32)

    assert not is_granted(grant(SEED, HERE, Purpose.PULL, 7), later, Purpose.PULL)


def test_a_grant_opens_no_other_epoch() -> None:
    access = replace(grant(SEED, HERE, Purpose.PULL, 7), epoch=8)

    assert not is_granted(access, HERE, Purpose.PULL)


def test_a_grant_opens_nobody_elses_mailbox() -> None:
    access = replace(grant(SEED, HERE, Purpose.PULL, 7), inbox_key=signing.public_key(b"o" * 32))

    assert not is_granted(access, HERE, Purpose.PULL)


def test_a_put_is_granted_for_its_content_only() -> None:
    access = grant(SEED, HERE, Purpose.PUT_PREKEYS, 0, subject_of((b"mine",)))

    assert is_granted(access, HERE, Purpose.PUT_PREKEYS, subject_of((b"mine",)))
    assert not is_granted(access, HERE, Purpose.PUT_PREKEYS, subject_of((b"theirs",)))


def test_an_epoch_far_beyond_use_is_not_granted() -> None:
    access = grant(SEED, HERE, Purpose.PULL, MAX_EPOCH + 1)

    assert not is_granted(access, HERE, Purpose.PULL)


def test_content_cut_differently_has_another_subject() -> None:
    assert subject_of((b"ab", b"c")) != subject_of((b"a", b"bc"))


def test_a_mailbox_id_is_the_hash_of_tag_key_and_epoch() -> None:
    expected = hashlib.sha256(b"dchat/mailbox/v1" + b"k" * 32 + (7).to_bytes(8, "big")).digest()

    assert mailbox_id(b"k" * 32, 7) == expected


def test_an_epoch_is_seven_days_from_1970() -> None:
    assert EPOCH_MS == 604_800_000
    assert [epoch_at(EpochMs(at)) for at in (0, EPOCH_MS - 1, EPOCH_MS)] == [0, 0, 1]


def test_the_epochs_before_and_after_are_pulled_too() -> None:
    assert epochs_to_pull(EpochMs(5 * EPOCH_MS)) == (4, 5, 6)
    assert epochs_to_pull(EpochMs(0)) == (0, 1)


def test_a_peer_id_holds_the_relays_key() -> None:
    assert relay_key(RELAY) == signing.public_key(b"r" * 32)


@pytest.mark.parametrize("peer_id", [b"", RELAY[:-1], RELAY + b"x", b"\x01" + RELAY[1:]])
def test_a_peer_id_of_another_kind_is_refused(peer_id: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        relay_key(peer_id)
