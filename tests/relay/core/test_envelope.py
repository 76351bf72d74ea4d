from __future__ import annotations

from dataclasses import replace

import pytest

from dchat.kernel import signing
from dchat.kernel.errors import RemoteProtocolError
from dchat.kernel.ids import EpochMs
from relay.core.envelope import (
    SIZE_CLASSES,
    Envelope,
    Receipt,
    check_receipt,
    ciphertext_hash,
    has_its_size,
    sign_receipt,
    size_class_for,
)

SEED = b"r" * 32
KEY = signing.public_key(SEED)
ENVELOPE = Envelope(b"m" * 32, b"i" * 32, EpochMs(99), 0, bytes(SIZE_CLASSES[0]))


def receipt(envelope: Envelope = ENVELOPE) -> Receipt:
    unsigned = Receipt(
        envelope.mailbox_id,
        envelope.message_id,
        ciphertext_hash(envelope.ciphertext),
        envelope.size_class,
        envelope.expires_at_ms,
        EpochMs(5),
        b"",
    )
    return sign_receipt(unsigned, SEED)


def test_the_relays_receipt_for_the_envelope_is_good() -> None:
    check_receipt(receipt(), ENVELOPE, KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"mailbox_id": b"M" * 32},
        {"message_id": b"I" * 32},
        {"expires_at_ms": EpochMs(100)},
        {"size_class": 1},
        {"ciphertext": b"\x01" * SIZE_CLASSES[0]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_receipt_for_anything_else_is_refused(changes: dict[str, object]) -> None:
    other = replace(ENVELOPE, **changes)

    with pytest.raises(RemoteProtocolError, match="another envelope"):
        check_receipt(receipt(), other, KEY)


def test_a_receipt_of_another_relay_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed"):
        check_receipt(receipt(), ENVELOPE, signing.public_key(b"o" * 32))


def test_a_receipt_with_another_time_of_acceptance_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed"):
        check_receipt(replace(receipt(), accepted_at_ms=EpochMs(6)), ENVELOPE, KEY)


@pytest.mark.parametrize(
    ("size", "size_class"), [(0, 0), (2048, 0), (2049, 1), (16_385, 3), (65_536, 3), (65_537, None)]
)
def test_the_smallest_class_that_fits_is_chosen(size: int, size_class: int | None) -> None:
    assert size_class_for(size) == size_class


@pytest.mark.parametrize("size_class", range(len(SIZE_CLASSES)))
def test_a_ciphertext_of_its_class_has_its_size(size_class: int) -> None:
    room = SIZE_CLASSES[size_class]
    envelope = replace(ENVELOPE, size_class=size_class, ciphertext=bytes(room))

    assert has_its_size(envelope)
    assert not has_its_size(replace(envelope, ciphertext=bytes(room - 1)))
    assert not has_its_size(replace(envelope, ciphertext=bytes(room + 1)))


def test_a_class_that_is_not_has_no_size() -> None:
    assert not has_its_size(replace(ENVELOPE, size_class=len(SIZE_CLASSES)))


def test_no_repr_shows_the_ciphertext() -> None:
    assert "ciphertext" not in repr(ENVELOPE)
