"""What has become of a message that was written, as one table.

A message is *delivered* on its recipient's word alone; a relay's custody receipt only makes it
*sent*. A late receipt wins over every other ending, because it is the one thing known for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, unique
from typing import Final


@unique
class Delivery(IntEnum):
    """Where a message stands. The numbers are kept on disk."""

    QUEUED = 0
    SENT = 1
    DELIVERED = 2
    EXPIRED = 3
    FAILED = 4


@unique
class Signal(Enum):
    """What can happen to a message after it was written."""

    CUSTODY = "a home relay of the recipient signed that it keeps the message"
    RECEIPT = "the recipient's device said that it has decrypted and stored the message"
    NACK = "the recipient's device could not open it and asks for it again"
    GIVE_UP = "no further try can help"
    EXPIRY = "its time is over"


@unique
class Fault(IntEnum):
    """Why a message failed or could not be opened. The numbers are kept on disk and sent."""

    NONE = 0
    NO_SESSION = 1
    RATCHET = 2
    MALFORMED = 3
    WRONG_DATE = 4
    UNPROVED_SENDER = 5
    REFUSED = 6
    NO_PREKEYS = 7


MENDED_BY_REKEY: Final = (Fault.NO_SESSION, Fault.RATCHET)
"""Faults after which the same words in a new session can be read."""

EXPLANATIONS: Final[Mapping[Fault, str]] = {
    Fault.NONE: "no fault",
    Fault.NO_SESSION: "the other device has no session for it, perhaps because it was set up anew",
    Fault.RATCHET: "the other device could not decrypt it in any session",
    Fault.MALFORMED: "it was not in any form that the other device knows",
    Fault.WRONG_DATE: "the clocks of the two devices are more than a day apart",
    Fault.UNPROVED_SENDER: "the writer's keys are not the ones committed to on chain",
    Fault.REFUSED: "every home relay of the recipient refused it for good",
    Fault.NO_PREKEYS: "the recipient's keys are not the ones committed to on chain",
}
"""For people, one sentence per fault."""

STEPS: Final[Mapping[tuple[Delivery, Signal], Delivery]] = {
    (Delivery.QUEUED, Signal.CUSTODY): Delivery.SENT,
    (Delivery.QUEUED, Signal.RECEIPT): Delivery.DELIVERED,
    (Delivery.QUEUED, Signal.NACK): Delivery.QUEUED,
    (Delivery.QUEUED, Signal.GIVE_UP): Delivery.FAILED,
    (Delivery.QUEUED, Signal.EXPIRY): Delivery.EXPIRED,
    (Delivery.SENT, Signal.CUSTODY): Delivery.SENT,
    (Delivery.SENT, Signal.RECEIPT): Delivery.DELIVERED,
    (Delivery.SENT, Signal.NACK): Delivery.QUEUED,
    (Delivery.SENT, Signal.GIVE_UP): Delivery.FAILED,
    (Delivery.SENT, Signal.EXPIRY): Delivery.EXPIRED,
    (Delivery.DELIVERED, Signal.CUSTODY): Delivery.DELIVERED,
    (Delivery.DELIVERED, Signal.RECEIPT): Delivery.DELIVERED,
    (Delivery.DELIVERED, Signal.NACK): Delivery.DELIVERED,
    (Delivery.DELIVERED, Signal.GIVE_UP): Delivery.DELIVERED,
    (Delivery.DELIVERED, Signal.EXPIRY): Delivery.DELIVERED,
    (Delivery.EXPIRED, Signal.CUSTODY): Delivery.EXPIRED,
    (Delivery.EXPIRED, Signal.RECEIPT): Delivery.DELIVERED,
    (Delivery.EXPIRED, Signal.NACK): Delivery.EXPIRED,
    (Delivery.EXPIRED, Signal.GIVE_UP): Delivery.EXPIRED,
    (Delivery.EXPIRED, Signal.EXPIRY): Delivery.EXPIRED,
    (Delivery.FAILED, Signal.CUSTODY): Delivery.FAILED,
    (Delivery.FAILED, Signal.RECEIPT): Delivery.DELIVERED,
    (Delivery.FAILED, Signal.NACK): Delivery.FAILED,
    (Delivery.FAILED, Signal.GIVE_UP): Delivery.FAILED,
    (Delivery.FAILED, Signal.EXPIRY): Delivery.FAILED,
}


def fault_numbered(number: int) -> Fault:
    """Return the fault that another device reported; MALFORMED where we do not know it."""
    return Fault(number) if number in tuple(Fault) else Fault.MALFORMED


def step(state: Delivery, signal: Signal) -> Delivery:
    """Return where a message stands after the signal; every pair has an answer."""
    return STEPS[state, signal]
