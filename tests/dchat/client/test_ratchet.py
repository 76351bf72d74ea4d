from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import prekeys
from dchat.client.core.wrapping import NORMAL, PREKEY
from dchat.client.ratchet import Account, OlmMessage, Session, Unreadable, Unusable
from dchat.kernel import signing
from dchat.kernel.ids import AccountId

PICKLE_KEY = b"p" * 32
BOB = AccountId(b"b" * 32)


def raw_key(account: Account) -> bytes:
    """Return one of the account's unpublished one-time keys, without its signature."""
    return account.one_time_keys(BOB, 1)[0][3:35]


def sessions() -> tuple[Session, Session]:
    """Return two ends of one session that has gone there and back."""
    alice, bob = Account.create(), Account.create()
    ours = alice.start(bob.ratchet_key, raw_key(bob))
    theirs, _ = bob.accept(alice.ratchet_key, ours.write(b"first"))
    ours.read(theirs.write(b"back"))
    return ours, theirs


def test_a_first_message_opens_a_session_on_the_other_side() -> None:
    alice, bob = Account.create(), Account.create()
    session = alice.start(bob.ratchet_key, raw_key(bob))

    theirs, plaintext = bob.accept(alice.ratchet_key, session.write(b"first"))

    assert (plaintext, theirs.id) == (b"first", session.id)


def test_a_first_message_under_another_device_is_refused() -> None:
    alice, bob, mallory = Account.create(), Account.create(), Account.create()
    message = alice.start(bob.ratchet_key, raw_key(bob)).write(b"first")

    with pytest.raises(Unreadable):
        bob.accept(mallory.ratchet_key, message)


def test_a_one_time_key_opens_one_session_only() -> None:
    alice, bob = Account.create(), Account.create()
    message = alice.start(bob.ratchet_key, raw_key(bob)).write(b"first")
    bob.accept(alice.ratchet_key, message)

    with pytest.raises(Unreadable):
        bob.accept(alice.ratchet_key, message)


def test_the_fallback_key_opens_sessions_after_it_was_published() -> None:
    alice, bob = Account.create(), Account.create()
    fallback = bob.fallback_key
    assert fallback is not None
    bob.mark_published()

    _, plaintext = bob.accept(
        alice.ratchet_key, alice.start(bob.ratchet_key, fallback).write(b"first")
    )

    assert plaintext == b"first"


def test_messages_change_type_once_the_other_side_has_answered() -> None:
    alice, bob = Account.create(), Account.create()
    ours = alice.start(bob.ratchet_key, raw_key(bob))
    before = ours.write(b"1")
    theirs, _ = bob.accept(alice.ratchet_key, before)

    ours.read(theirs.write(b"2"))

    assert (before.type, ours.write(b"3").type) == (PREKEY, NORMAL)


def test_a_message_belongs_to_the_session_it_began() -> None:
    alice, bob = Account.create(), Account.create()
    ours = alice.start(bob.ratchet_key, raw_key(bob))
    theirs, _ = bob.accept(alice.ratchet_key, ours.write(b"1"))

    assert theirs.began_with(ours.write(b"2"))


def test_a_replay_is_refused() -> None:
    ours, theirs = sessions()
    message = ours.write(b"once")
    theirs.read(message)

    with pytest.raises(Unreadable):
        theirs.read(message)


def test_a_failed_read_leaves_the_session_as_it_was() -> None:
    ours, theirs = sessions()
    message = ours.write(b"words")
    broken = OlmMessage(message.type, message.body[:-1] + bytes([message.body[-1] ^ 1]))

    with pytest.raises(Unreadable):
        theirs.read(broken)

    assert theirs.read(message) == b"words"


def test_a_session_goes_on_after_thawing() -> None:
    ours, theirs = sessions()

    thawed = Session.thaw(ours.freeze(PICKLE_KEY), PICKLE_KEY)

    assert theirs.read(thawed.write(b"words")) == b"words"


def test_a_session_does_not_thaw_under_another_key() -> None:
    ours, _ = sessions()

    with pytest.raises(Unusable):
        Session.thaw(ours.freeze(PICKLE_KEY), b"q" * 32)


def test_an_account_goes_on_after_thawing() -> None:
    alice, bob = Account.create(), Account.create()
    key = raw_key(bob)

    thawed = Account.thaw(bob.freeze(PICKLE_KEY), PICKLE_KEY)

    message = alice.start(bob.ratchet_key, key).write(b"first")
    assert thawed.accept(alice.ratchet_key, message)[1] == b"first"


def test_an_account_does_not_thaw_under_another_key() -> None:
    with pytest.raises(Unusable):
        Account.thaw(Account.create().freeze(PICKLE_KEY), b"q" * 32)


def test_one_time_keys_are_signed_by_the_device() -> None:
    account = Account.create()
    served = account.one_time_keys(BOB, 1)[0]
    key, signature = served[3:35], served[37:]

    statement = prekeys.one_time_statement(BOB, key)

    signing.verify(account.device_key, prekeys.ONE_TIME_DOMAIN, statement, signature)


def test_one_time_keys_come_again_until_they_are_published() -> None:
    account = Account.create()

    assert account.one_time_keys(BOB, 50) == account.one_time_keys(BOB, 50)


def test_published_keys_do_not_come_again() -> None:
    account = Account.create()
    first = account.one_time_keys(BOB, 50)

    account.mark_published()

    assert set(first).isdisjoint(account.one_time_keys(BOB, 50))


def test_no_more_than_fifty_keys_are_made_at_once() -> None:
    assert len(Account.create().one_time_keys(BOB, 1_000)) == 50


@given(st.integers(0, 2), st.binary(max_size=300))
def test_arbitrary_bytes_are_unreadable(olm_type: int, body: bytes) -> None:
    _, theirs = sessions()

    with pytest.raises(Unreadable):
        theirs.read(OlmMessage(olm_type, body))


@given(st.integers(0, 2**70), st.binary(max_size=300))
def test_arbitrary_bytes_begin_no_session(olm_type: int, body: bytes) -> None:
    with pytest.raises(Unreadable):
        Account.create().accept(bytes(32), OlmMessage(olm_type, body))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_arbitrary_keys_start_a_session_or_are_refused(ratchet_key: bytes, key: bytes) -> None:
    try:
        session = Account.create().start(ratchet_key, key)
    except Unusable:
        return
    assert session.write(b"x").type == PREKEY


@given(st.permutations(list(range(12))), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_each_message_is_read_once_whatever_is_lost_repeated_or_out_of_order(
    order: list[int], lost: set[int], repeated: set[int]
) -> None:
    ours, theirs = sessions()
    written = [ours.write(bytes([n])) for n in range(12)]
    arriving = [n for n in order if n not in lost]
    arriving += [n for n in arriving if n in repeated]

    read = [_read(theirs, written[n]) for n in arriving]

    assert sorted(n for n in read if n is not None) == sorted(set(arriving))


def _read(session: Session, message: OlmMessage) -> int | None:
    try:
        return session.read(message)[0]
    except Unreadable:
        return None
