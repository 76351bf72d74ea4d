from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat.client import reading, sealing, writing
from dchat.client.core import content as contents
from dchat.client.core import wrapping
from dchat.client.core.content import Content, Kind, Receipt, Text
from dchat.client.core.conversation import Delivery, Fault
from dchat.client.core.outbox import Outgoing, Sealed
from dchat.client.core.wrapping import Wrapped
from dchat.client.reading import Arrived, Verdict
from dchat.client.store import Owed, Store
from dchat.kernel.ids import AccountId, EpochMs
from tests.fakes.people import NOW, Person, altered, arrived, person

DAY_MS = 24 * 3600 * 1000


@pytest.fixture(autouse=True)
def acquainted(alice: Person, bob: Person) -> None:
    alice.knows(bob)
    bob.knows(alice)


def state_of(somebody: Person, message: Outgoing) -> tuple[Delivery, Fault]:
    kept = somebody.store.outgoing(message.id)
    assert kept is not None
    return kept.state, kept.fault


def forged(writer: Person, to: Person, content: Content, key: bytes) -> Outgoing:
    """Return a message in a proper session of `writer` that says what it should not."""
    message = Outgoing(os.urandom(32), to.id, contents.encode(content), contents.expires_at_ms(NOW))
    return writing.seal(writer.store, writer.id, message, to.contact, key)


def content(sender: AccountId, to: AccountId, kind: Kind | None = None) -> Content:
    text = Text(contents.conversation_id(sender, to), "forged")
    return Content(sender, to, b"i" * 32, NOW, kind or text)


def claiming(sender: Person, to: Person, olm_body: bytes) -> Outgoing:
    """Return garbage sealed to somebody in the name of somebody else, as anybody can make it."""
    claim = Wrapped(1, sender.id, sender.bundle.ratchet_key, wrapping.NORMAL, olm_body)
    inner = wrapping.wrap(claim, sealing.OVERHEAD)
    ciphertext = sealing.seal(inner, to.bundle.sealing_key, to.id)
    sealed = Sealed(os.urandom(32), contents.expires_at_ms(NOW), ciphertext)
    return Outgoing(os.urandom(32), to.id, b"", contents.expires_at_ms(NOW), sealed=sealed)


def test_a_message_is_read_kept_and_confirmed(alice: Person, bob: Person) -> None:
    message = alice.write(bob, "hello")

    outcome = bob.read(message)

    assert (outcome.verdict, outcome.sender) == (Verdict.TAKEN, alice.id)
    assert [letter.body for letter in bob.store.history(alice.id, 9)] == ["hello"]
    assert bob.store.owed() == (Owed(message.id, alice.id, Fault.NONE),)


def test_a_receipt_makes_a_message_delivered(alice: Person, bob: Person) -> None:
    message = alice.write(bob, "hello")
    bob.read(message)

    outcomes = [alice.read(answer) for answer in bob.answers(alice)]

    assert [changed.id for outcome in outcomes for changed in outcome.changed] == [message.id]
    assert state_of(alice, message) == (Delivery.DELIVERED, Fault.NONE)


def test_talk_goes_on_both_ways_after_both_restarted(alice: Person, bob: Person) -> None:
    bob.read(alice.write(bob, "one"))
    alice.restart()
    bob.restart()
    alice.read(bob.write(alice, "two"))
    alice.restart()
    bob.restart()

    bob.read(alice.write(bob, "three"))

    assert [letter.body for letter in bob.store.history(alice.id, 9)] == ["one", "two", "three"]


def test_both_may_begin_at_once(alice: Person, bob: Person) -> None:
    ours, theirs = alice.write(bob, "from alice"), bob.write(alice, "from bob")

    verdicts = {bob.read(ours).verdict, alice.read(theirs).verdict}
    again = {bob.read(alice.write(bob, "2")).verdict, alice.read(bob.write(alice, "2")).verdict}

    assert verdicts | again == {Verdict.TAKEN}


def test_the_same_envelope_twice_is_a_duplicate(alice: Person, bob: Person) -> None:
    message = alice.write(bob, "hello")
    bob.read(message)

    assert bob.read(message).verdict is Verdict.DUPLICATE
    assert len(bob.store.history(alice.id, 9)) == 1


def test_the_same_message_sealed_twice_is_kept_once_and_confirmed_again(
    alice: Person, bob: Person
) -> None:
    message = alice.write(bob, "hello")
    bob.read(message)
    bob.answers(alice)

    outcome = bob.read(alice.seal(bob, replace(message, sealed=None)))

    assert outcome.verdict is Verdict.DUPLICATE
    assert len(bob.store.history(alice.id, 9)) == 1
    assert bob.store.owed_to(alice.id) == 1


def test_a_first_message_to_the_fallback_key_replayed_opens_no_second_session(
    alice: Person, bob: Person
) -> None:
    queued = alice.store.outgoing(
        writing.queue_text(alice.store, alice.id, bob.id, "hello", NOW).id
    )
    assert queued is not None
    fallback = bob.bundle.fallback_key
    message = writing.seal(alice.store, alice.id, queued, bob.contact, fallback)
    bob.read(message)
    bob.store.drop_sessions(alice.id)
    inner = _opened(bob, message)

    outcome = bob.read(altered(message, sealing.seal(inner, bob.bundle.sealing_key, bob.id)))

    assert outcome.verdict is Verdict.DUPLICATE
    assert bob.store.sessions(alice.id) == ()


def _opened(owner: Person, message: Outgoing) -> bytes:
    kept = owner.store.device()
    assert kept is not None
    return sealing.open_sealed(arrived(message).ciphertext, kept.sealing_seed, owner.id)


def test_a_strangers_message_is_held_until_the_stranger_is_looked_up(
    alice: Person, bob: Person
) -> None:
    carol = person("carol", alice.folder.parent / "carol")
    carol.knows(bob)
    held = bob.read(carol.write(bob, "hello, you do not know me"))
    before = bob.store.history(carol.id, 9)

    bob.knows(carol)
    outcomes = reading.read_held(bob.store, bob.id, carol.id, NOW)

    assert (held.verdict, before) == (Verdict.HELD, ())
    assert [outcome.verdict for outcome in outcomes] == [Verdict.TAKEN]
    assert bob.store.held_senders() == ()
    carol.store.close()


def test_a_device_that_its_account_never_committed_to_is_refused(
    alice: Person, bob: Person
) -> None:
    mallory = person("mallory", alice.folder.parent / "mallory")
    mallory.knows(bob)
    message = mallory.write(bob, "I am alice, honestly")
    inner = wrapping.unwrap(_opened(bob, message))
    claim = wrapping.wrap(replace(inner, sender=alice.id), sealing.OVERHEAD)
    held = bob.read(altered(message, sealing.seal(claim, bob.bundle.sealing_key, bob.id)))

    outcomes = reading.read_held(bob.store, bob.id, alice.id, NOW)

    assert held.verdict is Verdict.HELD
    assert [outcome.fault for outcome in outcomes] == [Fault.UNPROVED_SENDER]
    assert bob.store.history(alice.id, 9) == ()
    assert bob.store.held_senders() == ()
    mallory.store.close()


def test_garbage_under_a_friends_name_is_complained_about_and_breaks_nothing(
    alice: Person, bob: Person
) -> None:
    bob.read(alice.write(bob, "one"))
    outcome = bob.read(claiming(alice, bob, os.urandom(100)))

    bob.read(alice.write(bob, "two"))

    assert (outcome.verdict, outcome.fault) == (Verdict.REFUSED, Fault.RATCHET)
    assert [letter.body for letter in bob.store.history(alice.id, 9)] == ["one", "two"]


def test_a_complaint_about_an_envelope_we_never_sent_changes_nothing(
    alice: Person, bob: Person
) -> None:
    message = alice.write(bob, "hello")
    bob.read(message)
    bob.read(claiming(alice, bob, os.urandom(100)))

    outcomes = [alice.read(answer) for answer in bob.answers(alice)]

    assert state_of(alice, message) == (Delivery.DELIVERED, Fault.NONE)
    assert [one.id for outcome in outcomes for one in outcome.changed] == [message.id]


def test_complaints_owed_to_one_account_are_bounded(alice: Person, bob: Person) -> None:
    for number in range(contents.MAX_IDS):
        bob.store.owe(Owed(number.to_bytes(32, "big"), alice.id, Fault.RATCHET))

    bob.read(claiming(alice, bob, b"garbage"))

    assert bob.store.owed_to(alice.id) == contents.MAX_IDS


def test_a_lost_ratchet_is_mended_and_the_message_arrives(alice: Person, bob: Person) -> None:
    bob.read(alice.write(bob, "one"))
    alice.read(bob.write(alice, "back"))
    bob.store.drop_sessions(alice.id)
    lost = replace(alice.write(bob, "two"), state=Delivery.SENT)
    alice.store.save_outgoing(lost)

    outcome = bob.read(lost)
    for answer in bob.answers(alice):
        alice.read(answer)
    again = alice.store.outgoing(lost.id)

    assert outcome.fault is Fault.NO_SESSION
    assert again is not None
    assert (again.state, again.sealed) == (Delivery.QUEUED, None)
    assert bob.read(alice.seal(bob, again)).verdict is Verdict.TAKEN
    assert [letter.body for letter in bob.store.history(alice.id, 1)] == ["two"]


@pytest.mark.parametrize("shift_ms", [2 * DAY_MS, -9 * DAY_MS])
def test_a_message_of_a_wrong_date_is_refused_and_its_writer_told(
    alice: Person, bob: Person, shift_ms: int
) -> None:
    alice.now = EpochMs(NOW + shift_ms)
    message = alice.write(bob, "when?")

    outcome = bob.read(message)
    alice.now = NOW
    for answer in bob.answers(alice):
        alice.read(answer)

    assert outcome.fault is Fault.WRONG_DATE
    assert state_of(alice, message) == (Delivery.FAILED, Fault.WRONG_DATE)


def test_a_message_written_to_somebody_else_is_refused(alice: Person, bob: Person) -> None:
    other = AccountId(b"o" * 32)

    outcome = bob.read(forged(alice, bob, content(alice.id, other), bob.give_key()))

    assert (outcome.verdict, outcome.fault) == (Verdict.REFUSED, Fault.MALFORMED)


@pytest.mark.parametrize("writes_as_bob", [True, False])
def test_a_receipt_in_another_name_or_for_another_is_refused(
    alice: Person, bob: Person, writes_as_bob: bool
) -> None:
    """Inside a proper session of Alice's, so that nothing but the names is wrong."""
    message = bob.write(alice, "hello")
    names = (bob.id, bob.id) if writes_as_bob else (alice.id, AccountId(b"o" * 32))

    outcome = bob.read(forged(alice, bob, content(*names, Receipt((message.id,))), bob.give_key()))

    assert (outcome.verdict, outcome.fault) == (Verdict.REFUSED, Fault.MALFORMED)
    assert state_of(bob, message) == (Delivery.QUEUED, Fault.NONE)


def test_a_message_in_another_conversation_is_refused(alice: Person, bob: Person) -> None:
    misplaced = content(alice.id, bob.id, Text(b"c" * 32, "misplaced"))

    outcome = bob.read(forged(alice, bob, misplaced, bob.give_key()))

    assert outcome.fault is Fault.MALFORMED


def test_nobody_but_the_recipient_confirms_a_message(alice: Person, bob: Person) -> None:
    carol = person("carol", alice.folder.parent / "carol")
    carol.knows(alice)
    alice.knows(carol)
    message = alice.write(bob, "hello")
    lie = content(carol.id, alice.id, Receipt((message.id,)))

    outcome = alice.read(forged(carol, alice, lie, alice.give_key()))

    assert (outcome.verdict, outcome.changed) == (Verdict.TAKEN, ())
    assert state_of(alice, message) == (Delivery.QUEUED, Fault.NONE)
    carol.store.close()


def test_a_message_from_oneself_is_refused(alice: Person) -> None:
    outcome = alice.read(claiming(alice, alice, b"x"))

    assert (outcome.verdict, outcome.fault) == (Verdict.REFUSED, Fault.MALFORMED)


def test_a_store_without_room_for_strangers_refuses_them(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dchat.client.store.MAX_HELD", 0)
    carol = person("carol", alice.folder.parent / "carol")

    outcome = bob.read(claiming(carol, bob, b"x"))

    assert outcome.verdict is Verdict.REFUSED
    carol.store.close()


@given(st.binary(max_size=2_100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_refused(bob: Person, data: bytes) -> None:
    outcome = reading.read(bob.store, bob.id, Arrived(b"e" * 32, EpochMs(NOW), data), NOW)

    assert outcome.verdict is Verdict.REFUSED


def test_a_device_without_keys_reads_nothing(alice: Person, bob: Person) -> None:
    blank = Store.open(bob.folder.parent / "blank", bytes(32))
    message = arrived(alice.write(bob, "hello"))

    assert reading.read(blank, bob.id, message, NOW).verdict is Verdict.DUPLICATE
    blank.close()


def test_a_failure_while_keeping_a_message_undoes_the_ratchets_step(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = alice.write(bob, "hello")
    monkeypatch.setattr(Store, "save_letter", _disk_is_full)
    with pytest.raises(OSError, match="disk"):
        bob.read(message)
    monkeypatch.undo()
    bob.restart()

    assert bob.read(message).verdict is Verdict.TAKEN


def _disk_is_full(*_: object) -> None:
    raise OSError("disk is full")


@given(st.permutations(list(range(8))), st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_text_is_kept_once_whatever_is_lost_repeated_or_out_of_order(
    alice: Person, bob: Person, order: list[int], lost: set[int], repeated: set[int]
) -> None:
    known = len(bob.store.history(alice.id, 1_000))
    written = [alice.write(bob, str(n)) for n in range(8)]
    arriving = [n for n in order if n not in lost]

    for n in [*arriving, *[n for n in arriving if n in repeated]]:
        bob.read(written[n])

    texts = bob.store.history(alice.id, 1_000)[known:]
    assert [letter.body for letter in texts] == [str(n) for n in arriving]


def test_a_relay_cannot_stop_a_reader_with_an_expiry_beyond_all_time(
    alice: Person, bob: Person
) -> None:
    lied = replace(arrived(alice.write(bob, "hello")), expires_at_ms=EpochMs(2**64 - 1))

    outcome = reading.read(bob.store, bob.id, lied, NOW)

    assert outcome.verdict is Verdict.TAKEN


def test_a_strangers_envelope_is_held_whatever_its_expiry(alice: Person, bob: Person) -> None:
    carol = person("carol", alice.folder.parent / "carol")
    carol.knows(bob)
    lied = replace(arrived(carol.write(bob, "hello")), expires_at_ms=EpochMs(2**64 - 1))

    outcome = reading.read(bob.store, bob.id, lied, NOW)

    assert outcome.verdict is Verdict.HELD


def test_a_message_kept_before_is_a_duplicate_even_when_its_id_is_forgotten(
    alice: Person, bob: Person
) -> None:
    first = content(alice.id, bob.id)
    bob.read(forged(alice, bob, first, bob.give_key()))
    later = EpochMs(NOW + 30 * DAY_MS)
    bob.store.prune(later)
    again = forged(alice, bob, replace(first, sent_at_ms=later), bob.give_key())

    outcome = reading.read(bob.store, bob.id, arrived(again), later)

    assert outcome.verdict is Verdict.DUPLICATE
    assert [letter.body for letter in bob.store.history(alice.id, 9)] == ["forged"]
