"""The frozen table of reasons a relay gives for refusing a request.

A number is never reused and never changes its meaning; clients of other versions read them. Numbers
below 16 say the request itself is wrong, 16 to 31 that it may succeed later, from 32 on that what
it names is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final


@unique
class Refusal(IntEnum):
    """Why a relay did not do what a request asked; the request changed nothing."""

    BAD_SIZE = 1
    EXPIRED = 2
    EXPIRY_TOO_FAR = 3
    POSTAGE_NOT_ACCEPTED = 4
    MESSAGE_ID_TAKEN = 5
    BAD_SIGNATURE = 6
    BAD_LIMIT = 7
    PAGE_OUTSTANDING = 8
    NO_SUCH_PAGE = 9
    PAGE_NOT_COVERED = 10

    QUEUE_FULL = 16
    MAILBOX_FULL = 17
    SENDER_FULL = 18
    RATE_LIMITED = 19
    BUSY = 20
    DRAINING = 21
    STORAGE_UNAVAILABLE = 22
    TOO_MANY_MAILBOXES = 23
    TOO_MANY_WATCHES = 24
    TOO_MANY_KEYS = 25
    TOO_MANY_INBOXES = 26

    NO_PREKEYS = 32
    NO_ONE_TIME_KEY = 33


EXPLANATIONS: Final[Mapping[Refusal, str]] = {
    Refusal.BAD_SIZE: "ciphertext is not as long as its size class; pad it to 2, 4, 16 or 64 KiB",
    Refusal.EXPIRED: "the envelope has expired; seal it again with a later expiry",
    Refusal.EXPIRY_TOO_FAR: "expiry is beyond the maximum message age; choose it sooner",
    Refusal.POSTAGE_NOT_ACCEPTED: "this relay takes no postage; leave the field empty",
    Refusal.MESSAGE_ID_TAKEN: "another envelope has that id in this mailbox; use a fresh id",
    Refusal.BAD_SIGNATURE: "the signature does not fit key, purpose, relay and session; sign anew",
    Refusal.BAD_LIMIT: "a page holds 1 to 64 items; ask for a number in that range",
    Refusal.PAGE_OUTSTANDING: "the last page of this mailbox is not acknowledged; do that first",
    Refusal.NO_SUCH_PAGE: "no such page is outstanding in this session; pull again",
    Refusal.PAGE_NOT_COVERED: "name every item of the page once, as acked or as nacked",
    Refusal.QUEUE_FULL: "the relay's queue is full; try later or use another home relay",
    Refusal.MAILBOX_FULL: "the mailbox has its fair share of the queue; its owner must pull first",
    Refusal.SENDER_FULL: "you have your fair share of the queue; wait until some are pulled",
    Refusal.RATE_LIMITED: "too many requests; wait for the time given, or use a fallback key",
    Refusal.BUSY: "too many requests of this session are unanswered; wait for answers",
    Refusal.DRAINING: "the relay is shutting down; connect again later or use another home relay",
    Refusal.STORAGE_UNAVAILABLE: "the relay cannot write to its disk; use another home relay",
    Refusal.TOO_MANY_MAILBOXES: "too many mailboxes have open pages; acknowledge some first",
    Refusal.TOO_MANY_WATCHES: "this session watches as many mailboxes as it may",
    Refusal.TOO_MANY_KEYS: "as many one-time keys as allowed are stored; wait until some are taken",
    Refusal.TOO_MANY_INBOXES: "the relay holds keys for as many inboxes as it may; use another",
    Refusal.NO_PREKEYS: "no prekey bundle is stored for that inbox key; try another home relay",
    Refusal.NO_ONE_TIME_KEY: "no one-time key is left for that inbox key; use the fallback key",
}
"""For people: what the number means and what to do next."""
