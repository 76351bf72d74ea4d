from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dchat.client import store as stores
from dchat.client.core.contact import Contact
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.outbox import Outgoing, Sealed
from dchat.client.store import Held, Letter, Owed, Store
from dchat.kernel.ids import AccountId, EpochMs, Height

BOB = AccountId(b"b" * 32)
CAROL = AccountId(b"c" * 32)
NOW = EpochMs(1_000)
CONTACT = Contact(BOB, "bob", b"k" * 32, b"i" * 32, ("/a/p2p/b",), b"h" * 32, Height(7))
MESSAGE = Outgoing(b"m" * 32, BOB, b"plain", EpochMs(9_000))
SEALED = Sealed(b"e" * 32, EpochMs(9_000), b"ciphertext")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path, bytes(32))
    yield opened
    opened.close()


def test_a_contact_is_found_by_id_and_by_handle(store: Store) -> None:
    store.save_contact(CONTACT)

    assert (store.contact(BOB), store.contact_by_handle("bob")) == (CONTACT, CONTACT)


def test_a_contact_is_replaced(store: Store) -> None:
    store.save_contact(CONTACT)
    newer = replace(CONTACT, verified_height=Height(8), accepted=True)

    store.save_contact(newer)

    assert store.contacts() == (newer,)


def test_an_unknown_contact_is_none(store: Store) -> None:
    assert (store.contact(BOB), store.contact_by_handle("bob")) == (None, None)


def test_the_session_used_last_comes_first(store: Store) -> None:
    store.save_session(BOB, "1", "one")
    store.save_session(BOB, "2", "two")
    store.save_session(BOB, "1", "one later")

    assert store.sessions(BOB) == ("one later", "two")


def test_only_the_sessions_used_last_are_kept(store: Store) -> None:
    for number in range(stores.MAX_SESSIONS + 3):
        store.save_session(BOB, str(number), f"s{number}")

    assert store.sessions(BOB) == ("s7", "s6", "s5", "s4", "s3")


def test_sessions_of_others_stay_when_one_accounts_are_dropped(store: Store) -> None:
    store.save_session(BOB, "1", "bob's")
    store.save_session(CAROL, "1", "carol's")

    store.drop_sessions(BOB)

    assert (store.sessions(BOB), store.sessions(CAROL)) == ((), ("carol's",))


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        replace(MESSAGE, sealed=SEALED, tries=3, next_try_ms=EpochMs(5)),
        replace(MESSAGE, state=Delivery.SENT, sealed=SEALED, reseals=2),
    ],
)
def test_a_message_on_its_way_is_kept_whole(store: Store, message: Outgoing) -> None:
    store.save_outgoing(message)

    assert store.outgoing(message.id) == message


@pytest.mark.parametrize("state", [Delivery.DELIVERED, Delivery.EXPIRED, Delivery.FAILED])
def test_of_a_message_that_has_ended_only_the_ending_is_kept(store: Store, state: Delivery) -> None:
    store.save_outgoing(replace(MESSAGE, state=state, sealed=SEALED))

    assert store.outgoing(MESSAGE.id) == replace(MESSAGE, state=state, plaintext=b"")


def test_a_message_is_found_by_its_envelope(store: Store) -> None:
    sealed = replace(MESSAGE, sealed=SEALED)
    store.save_outgoing(sealed)

    assert store.outgoing_by_envelope(SEALED.envelope_id) == sealed


@pytest.mark.parametrize(
    ("message", "is_due"),
    [
        (MESSAGE, True),
        (replace(MESSAGE, next_try_ms=EpochMs(1_001)), False),
        (replace(MESSAGE, next_try_ms=EpochMs(1_001), expires_at_ms=NOW), True),
        (replace(MESSAGE, state=Delivery.SENT), False),
        (replace(MESSAGE, state=Delivery.SENT, expires_at_ms=NOW), True),
        (replace(MESSAGE, state=Delivery.DELIVERED, expires_at_ms=NOW), False),
    ],
)
def test_due_is_what_can_be_tried_or_has_expired(
    store: Store, message: Outgoing, is_due: bool
) -> None:
    store.save_outgoing(message)

    assert bool(store.due(NOW, 10)) == is_due


def test_due_messages_keep_the_order_they_were_written_in(store: Store) -> None:
    store.save_outgoing(replace(MESSAGE, id=b"2" * 32))
    store.save_outgoing(replace(MESSAGE, id=b"1" * 32))

    store.save_outgoing(replace(MESSAGE, id=b"2" * 32, tries=1))

    assert [message.id for message in store.due(NOW, 10)] == [b"2" * 32, b"1" * 32]


def test_the_next_try_is_the_earliest(store: Store) -> None:
    store.save_outgoing(replace(MESSAGE, next_try_ms=EpochMs(70)))
    store.save_outgoing(replace(MESSAGE, id=b"2" * 32, next_try_ms=EpochMs(60)))

    assert store.next_try() == 60


def test_an_empty_outbox_has_no_next_try(store: Store) -> None:
    assert store.next_try() is None


def test_a_woken_outbox_is_due_at_once(store: Store) -> None:
    store.save_outgoing(replace(MESSAGE, next_try_ms=EpochMs(70_000), tries=9))

    store.wake_outbox()

    assert [message.id for message in store.due(EpochMs(0), 10)] == [MESSAGE.id]


def test_unfinished_is_what_is_queued_or_sent(store: Store) -> None:
    sent = replace(MESSAGE, id=b"2" * 32, state=Delivery.SENT)
    for message in (MESSAGE, sent, replace(MESSAGE, id=b"3" * 32, state=Delivery.DELIVERED)):
        store.save_outgoing(message)

    assert store.unfinished(BOB) == (MESSAGE, sent)


def test_history_is_the_last_texts_oldest_first(store: Store) -> None:
    for number in range(5):
        letter = Letter(bytes([number] * 32), BOB, number % 2 == 0, f"text {number}", NOW)
        store.save_letter(letter, NOW)

    assert [letter.body for letter in store.history(BOB, 3)] == ["text 2", "text 3", "text 4"]


def test_a_letter_of_ours_shows_its_delivery(store: Store) -> None:
    store.save_letter(Letter(MESSAGE.id, BOB, True, "text", NOW), NOW)
    store.save_outgoing(replace(MESSAGE, state=Delivery.FAILED, fault=Fault.REFUSED))

    letter = store.letter(MESSAGE.id)

    assert letter is not None
    assert (letter.state, letter.fault) == (Delivery.FAILED, Fault.REFUSED)


def test_a_letter_of_theirs_under_the_id_of_ours_shows_no_state_of_ours(store: Store) -> None:
    store.save_letter(Letter(MESSAGE.id, BOB, True, "ours", NOW), NOW)
    store.save_outgoing(MESSAGE)

    store.save_letter(Letter(MESSAGE.id, BOB, False, "theirs", NOW), NOW)

    assert [one.state for one in store.history(BOB, 9)] == [Delivery.QUEUED, Delivery.DELIVERED]


def test_seen_is_remembered_until_its_time(store: Store) -> None:
    store.see(b"s" * 32, EpochMs(2_000))

    store.prune(EpochMs(2_000))
    before = store.is_seen(b"s" * 32)
    store.prune(EpochMs(2_001))

    assert (before, store.is_seen(b"s" * 32)) == (True, False)


def test_held_envelopes_come_back_in_order_and_stay_until_let_go(store: Store) -> None:
    first, second = (Held(bytes([n] * 32), BOB, b"c", EpochMs(9_000)) for n in (9, 1))
    store.hold(first)
    store.hold(second)

    store.let_go(first.envelope_id)

    assert (store.held_senders(), store.release(BOB)) == ((BOB,), (second,))


def test_no_more_than_so_many_envelopes_are_held(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MAX_HELD", 1)
    store.hold(Held(b"1" * 32, BOB, b"c", EpochMs(9_000)))

    assert not store.hold(Held(b"2" * 32, BOB, b"c", EpochMs(9_000)))


def test_expired_holds_are_forgotten(store: Store) -> None:
    store.hold(Held(b"1" * 32, BOB, b"c", EpochMs(9_000)))

    store.prune(EpochMs(9_001))

    assert store.held_senders() == ()


def test_what_is_owed_is_there_until_paid(store: Store) -> None:
    owed = Owed(b"1" * 32, BOB, Fault.RATCHET)
    store.owe(owed)
    store.owe(owed)
    before = (store.owed(), store.owed_to(BOB))

    store.pay_owed(owed.id)

    assert (before, store.owed()) == (((owed,), 1), ())


def test_rekeys_are_counted_until_forgotten(store: Store) -> None:
    store.save_rekey(BOB, 2, EpochMs(50))
    before = store.rekey(BOB)

    store.save_rekey(BOB, 0, NOW)

    assert (before, store.rekey(BOB)) == ((2, 50), (0, 0))


def test_the_newest_header_of_a_root_of_trust_is_kept(store: Store) -> None:
    store.save_header(b"chat", b"old")
    store.save_header(b"chat", b"new")

    assert (store.header(b"chat"), store.header(b"other")) == (b"new", None)


def test_dropped_messages_are_gone(store: Store) -> None:
    store.save_outgoing(MESSAGE)

    store.drop_outgoing(MESSAGE.id)

    assert store.outgoing(MESSAGE.id) is None
