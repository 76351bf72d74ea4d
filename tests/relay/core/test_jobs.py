from __future__ import annotations

from dchat.kernel.ids import EpochMs
from relay.core.envelope import Envelope
from relay.core.jobs import Keep

ENVELOPE = Envelope(b"m" * 32, b"i" * 32, EpochMs(9), 0, b"sealed")
KEEP = Keep(ENVELOPE, b"h" * 32, EpochMs(1), b"who sends", is_reserved=True)


def test_an_envelope_lies_by_mailbox_and_message() -> None:
    assert KEEP.place == (b"m" * 32, b"i" * 32)


def test_no_log_of_a_job_shows_sender_or_ciphertext() -> None:
    assert "who sends" not in repr(KEEP)
    assert "sealed" not in repr(KEEP)
