from __future__ import annotations

from itertools import product

import pytest

from dchat.client.core.conversation import EXPLANATIONS, STEPS, Delivery, Fault, Signal, step

PAIRS = list(product(Delivery, Signal))


def test_the_table_answers_every_pair_and_no_other() -> None:
    assert set(STEPS) == set(PAIRS)


@pytest.mark.parametrize("state", list(Delivery))
def test_a_receipt_always_means_delivered(state: Delivery) -> None:
    assert step(state, Signal.RECEIPT) is Delivery.DELIVERED


@pytest.mark.parametrize(("state", "signal"), PAIRS)
def test_nothing_but_a_receipt_means_delivered(state: Delivery, signal: Signal) -> None:
    told = signal is Signal.RECEIPT or state is Delivery.DELIVERED

    assert (step(state, signal) is Delivery.DELIVERED) == told


@pytest.mark.parametrize("signal", list(Signal))
def test_delivered_is_final(signal: Signal) -> None:
    assert step(Delivery.DELIVERED, signal) is Delivery.DELIVERED


@pytest.mark.parametrize(
    ("state", "signal"),
    [
        p
        for p in PAIRS
        if p[0] in (Delivery.EXPIRED, Delivery.FAILED) and p[1] is not Signal.RECEIPT
    ],
)
def test_an_ending_stays_unless_a_receipt_comes_late(state: Delivery, signal: Signal) -> None:
    assert step(state, signal) is state


@pytest.mark.parametrize(
    ("state", "signal", "after"),
    [
        (Delivery.QUEUED, Signal.CUSTODY, Delivery.SENT),
        (Delivery.QUEUED, Signal.NACK, Delivery.QUEUED),
        (Delivery.QUEUED, Signal.GIVE_UP, Delivery.FAILED),
        (Delivery.QUEUED, Signal.EXPIRY, Delivery.EXPIRED),
        (Delivery.SENT, Signal.CUSTODY, Delivery.SENT),
        (Delivery.SENT, Signal.NACK, Delivery.QUEUED),
        (Delivery.SENT, Signal.GIVE_UP, Delivery.FAILED),
        (Delivery.SENT, Signal.EXPIRY, Delivery.EXPIRED),
    ],
)
def test_a_message_on_its_way_follows_the_table(
    state: Delivery, signal: Signal, after: Delivery
) -> None:
    assert step(state, signal) is after


def test_every_fault_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Fault)
