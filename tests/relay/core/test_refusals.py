from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.refusals import EXPLANATIONS, Refusal

HOUSE = Path(__file__).parents[3]
FROZEN = {
    "BAD_SIZE": 1,
    "EXPIRED": 2,
    "EXPIRY_TOO_FAR": 3,
    "POSTAGE_NOT_ACCEPTED": 4,
    "MESSAGE_ID_TAKEN": 5,
    "BAD_SIGNATURE": 6,
    "BAD_LIMIT": 7,
    "PAGE_OUTSTANDING": 8,
    "NO_SUCH_PAGE": 9,
    "PAGE_NOT_COVERED": 10,
    "QUEUE_FULL": 16,
    "MAILBOX_FULL": 17,
    "SENDER_FULL": 18,
    "RATE_LIMITED": 19,
    "BUSY": 20,
    "DRAINING": 21,
    "STORAGE_UNAVAILABLE": 22,
    "TOO_MANY_MAILBOXES": 23,
    "TOO_MANY_WATCHES": 24,
    "TOO_MANY_KEYS": 25,
    "TOO_MANY_INBOXES": 26,
    "NO_PREKEYS": 32,
    "NO_ONE_TIME_KEY": 33,
}


def test_no_code_ever_changes() -> None:
    assert {refusal.name: refusal.value for refusal in Refusal} == FROZEN


def test_every_code_is_explained_with_what_to_do_next() -> None:
    assert list(EXPLANATIONS) == list(Refusal)
    assert [text for text in EXPLANATIONS.values() if not 20 <= len(text.encode()) <= 200] == []


@pytest.mark.parametrize("refusal", Refusal)
def test_every_code_stands_in_the_docs_as_the_relay_says_it(refusal: Refusal) -> None:
    row = f"| {refusal.value} | {refusal.name.lower()} | {EXPLANATIONS[refusal]} |"

    assert row in (HOUSE / "docs" / "relays.md").read_text().splitlines()
