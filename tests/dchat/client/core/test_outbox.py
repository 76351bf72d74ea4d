from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.client.core import outbox
from dchat.client.core.conversation import Delivery, Fault, Signal
from dchat.client.core.outbox import Action, Outgoing, Sealed
from dchat.kernel.ids import AccountId, EpochMs

NOW = EpochMs(5_000)
SEALED = Sealed(b"e" * 32, EpochMs(9_000), b"ciphertext")
FRESH = Outgoing(b"i" * 32, AccountId(b"b" * 32), b"plain", EpochMs(9_000))


def test_a_fresh_message_is_sealed() -> None:
    assert outbox.next_action(FRESH, NOW) is Action.SEAL


def test_a_sealed_message_is_deposited() -> None:
    assert outbox.next_action(replace(FRESH, sealed=SEALED), NOW) is Action.DEPOSIT


def test_a_message_tried_in_vain_waits() -> None:
    tried = outbox.tried_in_vain(FRESH, NOW, jitter=0)

    assert outbox.next_action(tried, NOW) is Action.WAIT


def test_a_message_tried_in_vain_is_tried_again_after_its_pause() -> None:
    tried = outbox.tried_in_vain(FRESH, NOW, jitter=0)

    assert outbox.next_action(tried, EpochMs(NOW + outbox.FIRST_RETRY_MS)) is Action.SEAL


@pytest.mark.parametrize("state", [Delivery.QUEUED, Delivery.SENT])
def test_a_message_on_its_way_expires(state: Delivery) -> None:
    late = replace(FRESH, state=state)

    assert outbox.next_action(late, FRESH.expires_at_ms) is Action.EXPIRE


def test_a_message_with_a_relay_rests() -> None:
    assert outbox.next_action(replace(FRESH, state=Delivery.SENT), NOW) is Action.REST


@pytest.mark.parametrize("state", [Delivery.DELIVERED, Delivery.EXPIRED, Delivery.FAILED])
def test_an_ended_message_rests_for_ever(state: Delivery) -> None:
    assert outbox.next_action(replace(FRESH, state=state), EpochMs(2**60)) is Action.REST


@given(st.integers(0, 10_000), st.integers(0, 2**64))
def test_a_pause_is_never_longer_than_the_cap_and_its_jitter(tries: int, jitter: int) -> None:
    pause = outbox.retry_pause_ms(tries, jitter)

    assert outbox.FIRST_RETRY_MS <= pause <= outbox.LONGEST_RETRY_MS * 5 // 4


def test_pauses_double() -> None:
    pauses = [outbox.retry_pause_ms(tries, 0) for tries in range(9)]

    assert pauses == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


def test_a_nacked_message_is_sealed_anew_at_once() -> None:
    sent = replace(FRESH, sealed=SEALED, state=Delivery.SENT, next_try_ms=EpochMs(2**40))

    assert outbox.next_action(outbox.nacked(sent, Fault.RATCHET), NOW) is Action.SEAL


def test_a_message_nacked_too_often_fails_with_the_reason() -> None:
    sent = replace(FRESH, sealed=SEALED, state=Delivery.SENT, reseals=outbox.MAX_RESEALS)

    failed = outbox.nacked(sent, Fault.RATCHET)

    assert (failed.state, failed.fault) == (Delivery.FAILED, Fault.RATCHET)


def test_a_nack_for_a_delivered_message_changes_nothing() -> None:
    delivered = replace(FRESH, state=Delivery.DELIVERED)

    assert outbox.nacked(delivered, Fault.RATCHET) == delivered


def test_a_late_receipt_takes_the_fault_back() -> None:
    failed = replace(FRESH, state=Delivery.FAILED, fault=Fault.REFUSED)

    delivered = outbox.signalled(failed, Signal.RECEIPT)

    assert (delivered.state, delivered.fault) == (Delivery.DELIVERED, Fault.NONE)
