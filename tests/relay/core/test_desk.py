from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dchat.kernel.errors import LocalProtocolError
from dchat.kernel.ids import EpochMs
from relay.core.access import relay_key
from relay.core.desk import No, answer, judge, refused
from relay.core.envelope import SIZE_CLASSES, check_receipt
from relay.core.jobs import (
    AddKeys,
    Cleared,
    Failed,
    Found,
    GetBundle,
    IdTaken,
    Keep,
    Kept,
    KeysHeld,
    NoRoom,
    NotThere,
    PutBundle,
    TakeKey,
)
from relay.core.limits import Limits, Rate
from relay.core.messages import (
    Custody,
    Deposit,
    GetPrekeys,
    OneTimeKey,
    Prekeys,
    Refused,
    Stored,
    TakeOneTimeKey,
)
from relay.core.refusals import EXPLANATIONS, Refusal
from tests.fakes.desk import NOW, caller, envelope, new_desk, put_keys, put_prekeys

KEY = b"k" * 32


def test_a_good_deposit_becomes_a_job_and_holds_its_place() -> None:
    desk = new_desk()
    kept = envelope(desk)

    job = judge(desk, caller(desk), Deposit(1, kept), NOW)

    assert isinstance(job, Keep)
    assert (job.envelope, job.accepted_at_ms, job.is_reserved) == (kept, NOW, True)
    assert len(desk.queue) == 1


def test_a_repeated_deposit_reserves_nothing_more() -> None:
    desk = new_desk()
    judge(desk, caller(desk), Deposit(1, envelope(desk)), NOW)

    job = judge(desk, caller(desk), Deposit(2, envelope(desk)), NOW)

    assert isinstance(job, Keep)
    assert (job.is_reserved, len(desk.queue)) == (False, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ciphertext": bytes(2047)}, Refusal.BAD_SIZE),
        ({"size_class": 1}, Refusal.BAD_SIZE),
        ({"size_class": 2**64 - 1}, Refusal.BAD_SIZE),
        ({"postage": b"x"}, Refusal.POSTAGE_NOT_ACCEPTED),
        ({"expires_at_ms": NOW}, Refusal.EXPIRED),
        ({"expires_at_ms": 0}, Refusal.EXPIRED),
        ({"expires_at_ms": NOW + 7 * 24 * 3600 * 1000 + 1}, Refusal.EXPIRY_TOO_FAR),
        ({"expires_at_ms": 2**64 - 1}, Refusal.EXPIRY_TOO_FAR),
    ],
)
def test_a_bad_envelope_is_refused_and_takes_no_place(changes: Any, reason: Refusal) -> None:
    desk = new_desk()
    deposit = Deposit(1, replace(envelope(desk), **changes))

    assert judge(desk, caller(desk), deposit, NOW) == No(reason)
    assert len(desk.queue) == 0


def test_the_furthest_expiry_is_accepted() -> None:
    desk = new_desk(Limits(max_message_age_ms=60_000))
    deposit = Deposit(1, replace(envelope(desk), expires_at_ms=EpochMs(NOW + 60_000)))

    assert isinstance(judge(desk, caller(desk), deposit, NOW), Keep)


@pytest.mark.parametrize(("held", "reason"), [(1, Refusal.QUEUE_FULL), (8, Refusal.MAILBOX_FULL)])
def test_a_deposit_over_a_share_is_refused(held: int, reason: Refusal) -> None:
    desk = new_desk(Limits(max_queue_size=held))
    judge(desk, caller(desk), Deposit(1, envelope(desk, b"1" * 32)), NOW)

    assert judge(desk, caller(desk), Deposit(2, envelope(desk, b"2" * 32)), NOW) == No(reason)


def test_a_sender_over_his_share_is_refused() -> None:
    desk = new_desk(Limits(max_queue_size=8))
    judge(desk, caller(desk), Deposit(1, envelope(desk)), NOW)
    other = replace(envelope(desk), mailbox_id=b"o" * 32)

    assert judge(desk, caller(desk), Deposit(2, other), NOW) == No(Refusal.SENDER_FULL)


def test_prekeys_put_by_their_owner_become_a_job() -> None:
    desk = new_desk()
    request = put_prekeys(desk)

    job = judge(desk, caller(desk), request, NOW)

    assert job == PutBundle(request.access.inbox_key, b"bundle", NOW)


def test_one_time_keys_put_by_their_owner_become_a_job() -> None:
    desk = new_desk()
    request = put_keys(desk, b"one", b"two")

    job = judge(desk, caller(desk), request, NOW)

    assert job == AddKeys(request.access.inbox_key, (b"one", b"two"), NOW)


def test_content_the_owner_did_not_sign_is_refused() -> None:
    desk = new_desk()
    forged = replace(put_prekeys(desk), bundle=b"other")
    swapped = replace(put_keys(desk, b"one"), keys=(b"other",))

    assert judge(desk, caller(desk), forged, NOW) == No(Refusal.BAD_SIGNATURE)
    assert judge(desk, caller(desk), swapped, NOW) == No(Refusal.BAD_SIGNATURE)


def test_putting_too_often_must_wait() -> None:
    desk = new_desk(Limits(puts=Rate(per_minute=60, burst=1)))
    judge(desk, caller(desk), put_prekeys(desk), NOW)

    assert judge(desk, caller(desk), put_prekeys(desk), NOW) == No(Refusal.RATE_LIMITED, 1000)


def test_anybody_may_read_a_bundle() -> None:
    desk = new_desk()

    assert judge(desk, caller(desk), GetPrekeys(1, KEY), NOW) == GetBundle(KEY)


def test_an_inbox_is_not_drained_of_keys_at_once() -> None:
    desk = new_desk(Limits(takes=Rate(per_minute=60, burst=1)))

    first = judge(desk, caller(desk), TakeOneTimeKey(1, KEY), NOW)
    second = judge(desk, caller(desk), TakeOneTimeKey(2, KEY), NOW)
    other = judge(desk, caller(desk), TakeOneTimeKey(3, b"o" * 32), NOW)

    assert (first, second) == (TakeKey(KEY, NOW), No(Refusal.RATE_LIMITED, 1000))
    assert other == TakeKey(b"o" * 32, NOW)


def test_custody_carries_a_receipt_for_the_time_of_first_acceptance() -> None:
    desk = new_desk()
    kept = envelope(desk)
    request = Deposit(7, kept)
    job = judge(desk, caller(desk), request, NOW)
    assert isinstance(job, Keep)

    custody = answer(desk, request, job, Kept(EpochMs(5), is_new=False, is_present=True))

    assert isinstance(custody, Custody)
    assert (custody.request_id, custody.receipt.accepted_at_ms) == (7, 5)
    check_receipt(custody.receipt, kept, relay_key(desk.peer_id))


DEPOSIT = Deposit(1, envelope(new_desk()))


@pytest.mark.parametrize(
    ("request_", "outcome", "expected"),
    [
        (DEPOSIT, IdTaken(is_present=True), Refusal.MESSAGE_ID_TAKEN),
        (DEPOSIT, Failed(), Refusal.STORAGE_UNAVAILABLE),
        (put_prekeys(new_desk()), NoRoom(Refusal.TOO_MANY_INBOXES), Refusal.TOO_MANY_INBOXES),
        (put_keys(new_desk(), b"k"), NoRoom(Refusal.TOO_MANY_KEYS), Refusal.TOO_MANY_KEYS),
        (put_keys(new_desk(), b"k"), Failed(), Refusal.STORAGE_UNAVAILABLE),
        (GetPrekeys(1, KEY), NotThere(), Refusal.NO_PREKEYS),
        (GetPrekeys(1, KEY), Failed(), Refusal.STORAGE_UNAVAILABLE),
        (TakeOneTimeKey(1, KEY), NotThere(), Refusal.NO_ONE_TIME_KEY),
        (TakeOneTimeKey(1, KEY), Failed(), Refusal.STORAGE_UNAVAILABLE),
    ],
)
def test_what_the_disk_refuses_is_refused_by_its_code(
    request_: Any, outcome: Any, expected: Refusal
) -> None:
    reply = answer(new_desk(), request_, GetBundle(KEY), outcome)

    assert reply == Refused(1, expected.value, EXPLANATIONS[expected], 0)


@pytest.mark.parametrize(
    ("request_", "outcome", "expected"),
    [
        (put_prekeys(new_desk()), KeysHeld(3), Stored(1, 3)),
        (put_keys(new_desk(), b"k"), KeysHeld(4), Stored(1, 4)),
        (GetPrekeys(1, KEY), Found(b"bundle"), Prekeys(1, b"bundle")),
        (TakeOneTimeKey(1, KEY), Found(b"key"), OneTimeKey(1, b"key")),
    ],
)
def test_what_the_disk_did_is_said(request_: Any, outcome: Any, expected: Any) -> None:
    assert answer(new_desk(), request_, GetBundle(KEY), outcome) == expected


def test_an_outcome_of_another_job_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="Cleared answers no GetPrekeys"):
        answer(new_desk(), GetPrekeys(1, KEY), GetBundle(KEY), Cleared(1, 0))


@pytest.mark.parametrize("reason", Refusal)
def test_every_refusal_can_be_said(reason: Refusal) -> None:
    assert refused(1, No(reason, 5)) == Refused(1, reason.value, EXPLANATIONS[reason], 5)


def test_the_largest_size_class_is_accepted() -> None:
    desk = new_desk()
    large = replace(envelope(desk), size_class=3, ciphertext=bytes(SIZE_CLASSES[3]))

    assert isinstance(judge(desk, caller(desk), Deposit(1, large), NOW), Keep)
