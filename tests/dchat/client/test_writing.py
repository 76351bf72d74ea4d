from __future__ import annotations

from dataclasses import replace

import pytest

from dchat.client import writing
from dchat.client.core import content as contents
from dchat.client.core.content import Receipt, Undecryptable
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.outbox import Outgoing
from dchat.client.core.prekeys import BadPrekeys
from dchat.client.ratchet import Unusable
from dchat.client.store import Owed
from dchat.kernel.codec import CodecError
from dchat.kernel.ids import EpochMs
from relay.core.envelope import SIZE_CLASSES
from tests.fakes.people import NOW, Person, person


def queued(alice: Person, bob: Person) -> Outgoing:
    letter = writing.queue_text(alice.store, alice.id, bob.id, "hello", NOW)
    message = alice.store.outgoing(letter.id)
    assert message is not None
    return message


def test_a_queued_text_is_in_history_and_outbox(alice: Person, bob: Person) -> None:
    letter = writing.queue_text(alice.store, alice.id, bob.id, "hello", NOW)

    assert alice.store.history(bob.id, 9) == (letter,)
    assert [message.id for message in alice.store.due(NOW, 9)] == [letter.id]


def test_a_text_over_16_kib_is_refused_and_nothing_is_kept(alice: Person, bob: Person) -> None:
    with pytest.raises(CodecError):
        writing.queue_text(alice.store, alice.id, bob.id, "x" * 16_385, NOW)

    assert (alice.store.history(bob.id, 9), alice.store.due(NOW, 9)) == ((), ())


@pytest.mark.parametrize(("length", "size_class"), [(1, 0), (500, 0), (600, 1), (16_384, 3)])
def test_a_ciphertext_is_as_long_as_its_size_class(
    alice: Person, bob: Person, length: int, size_class: int
) -> None:
    sealed = alice.write(bob, "x" * length).sealed

    assert sealed is not None
    assert len(sealed.ciphertext) == SIZE_CLASSES[size_class]


def test_step_and_ciphertext_are_on_disk_before_anybody_has_the_ciphertext(
    alice: Person, bob: Person
) -> None:
    ready = alice.write(bob, "hello")

    alice.restart()

    assert alice.store.outgoing(ready.id) == ready
    assert len(alice.store.sessions(bob.id)) == 1


def test_the_first_message_needs_a_key_and_the_next_does_not(alice: Person, bob: Person) -> None:
    before = writing.needs_key(alice.store, queued(alice, bob))
    alice.write(bob, "hello")

    assert (before, writing.needs_key(alice.store, queued(alice, bob))) == (True, False)


def test_a_message_cannot_be_sealed_without_session_or_key(alice: Person, bob: Person) -> None:
    with pytest.raises(Unusable):
        writing.seal(alice.store, alice.id, queued(alice, bob), bob.contact, None)


def test_altered_keys_of_a_contact_are_refused_and_spend_no_step(
    alice: Person, bob: Person
) -> None:
    mallory_in_the_middle = replace(bob.contact, bundle=alice.contact.bundle)

    with pytest.raises(BadPrekeys):
        writing.seal(
            alice.store, alice.id, queued(alice, bob), mallory_in_the_middle, bob.give_key()
        )

    assert alice.store.sessions(bob.id) == ()


def test_many_receipts_travel_in_one_message(alice: Person, bob: Person) -> None:
    alice.store.owe(Owed(b"1" * 32, bob.id, Fault.NONE))
    alice.store.owe(Owed(b"2" * 32, bob.id, Fault.NONE))

    writing.queue_answers(alice.store, alice.id, NOW)

    kinds = [contents.decode(m.plaintext).kind for m in alice.store.due(NOW, 9)]
    assert kinds == [Receipt((b"1" * 32, b"2" * 32))]
    assert alice.store.owed() == ()


def test_a_complaint_names_its_reason(alice: Person, bob: Person) -> None:
    alice.store.owe(Owed(b"1" * 32, bob.id, Fault.WRONG_DATE))

    writing.queue_answers(alice.store, alice.id, NOW)

    kinds = [contents.decode(m.plaintext).kind for m in alice.store.due(NOW, 9)]
    assert kinds == [Undecryptable((b"1" * 32,), Fault.WRONG_DATE)]


def test_a_complaint_of_a_broken_session_goes_out_in_a_new_one(alice: Person, bob: Person) -> None:
    alice.write(bob, "hello")
    alice.store.owe(Owed(b"1" * 32, bob.id, Fault.RATCHET))

    writing.queue_answers(alice.store, alice.id, NOW)

    complaint = alice.store.due(NOW, 9)[-1]
    assert writing.needs_key(alice.store, complaint)


def test_a_second_new_session_waits_and_its_complaint_is_not_lost(
    alice: Person, bob: Person
) -> None:
    alice.store.owe(Owed(b"1" * 32, bob.id, Fault.RATCHET))
    writing.queue_answers(alice.store, alice.id, NOW)
    alice.store.owe(Owed(b"2" * 32, bob.id, Fault.RATCHET))

    writing.queue_answers(alice.store, alice.id, NOW)
    waiting = alice.store.owed_to(bob.id)
    writing.queue_answers(alice.store, alice.id, EpochMs(NOW + writing.REKEY_PAUSE_MS))

    assert (waiting, alice.store.owed_to(bob.id)) == (1, 0)


def test_a_receipt_does_not_wait_for_a_new_session(alice: Person, bob: Person) -> None:
    alice.store.save_rekey(bob.id, 9, EpochMs(NOW + 1))
    alice.store.owe(Owed(b"1" * 32, bob.id, Fault.NONE))

    writing.queue_answers(alice.store, alice.id, NOW)

    assert alice.store.owed() == ()


def test_a_reissued_envelope_keeps_its_ciphertext_under_another_id(
    alice: Person, bob: Person
) -> None:
    ready = alice.write(bob, "hello")

    again = writing.reissue(alice.store, ready, EpochMs(NOW + 5))

    assert ready.sealed is not None
    assert again.sealed is not None
    assert again.sealed.ciphertext == ready.sealed.ciphertext
    assert again.sealed.envelope_id != ready.sealed.envelope_id
    assert again.sealed.expires_at_ms == NOW + 5
    assert alice.store.outgoing(ready.id) == again


def test_what_is_not_sealed_is_not_reissued(alice: Person, bob: Person) -> None:
    message = queued(alice, bob)

    assert writing.reissue(alice.store, message, NOW) == message


def test_after_a_change_of_device_everything_unconfirmed_is_written_anew(
    alice: Person, bob: Person
) -> None:
    sent = replace(alice.write(bob, "hello"), state=Delivery.SENT)
    alice.store.save_outgoing(sent)

    writing.write_anew(alice.store, bob.id)

    again = alice.store.outgoing(sent.id)
    assert again is not None
    assert (again.state, again.sealed) == (Delivery.QUEUED, None)
    assert alice.store.sessions(bob.id) == ()


def test_sealing_uses_the_recipients_own_key(alice: Person, bob: Person) -> None:
    mallory = person("mallory", alice.folder.parent / "mallory")
    ready = alice.write(bob, "hello")

    outcome = mallory.read(ready)

    assert outcome.fault is Fault.MALFORMED
    mallory.store.close()
