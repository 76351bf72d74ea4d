"""When a message that was written is sealed, deposited, tried again or given up.

Times are milliseconds since 1970. A ciphertext is made once and deposited unchanged until a relay
has it, so that a retry never spends a second ratchet step and relays can drop duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, unique
from typing import Final

from dchat.client.core.conversation import MENDED_BY_REKEY, Delivery, Fault, Signal, step
from dchat.kernel.ids import AccountId, EpochMs

FIRST_RETRY_MS: Final = 500
LONGEST_RETRY_MS: Final = 60_000
MAX_RESEALS: Final = 3
"""How often a message is written anew because the other side could not open it."""
_NOW: Final = EpochMs(0)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext ready for relays under the id and the expiry that all its retries keep."""

    envelope_id: bytes
    expires_at_ms: EpochMs
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way: its plaintext, how far it is and what was tried."""

    id: bytes
    recipient: AccountId
    plaintext: bytes = field(repr=False)
    expires_at_ms: EpochMs
    state: Delivery = Delivery.QUEUED
    fault: Fault = Fault.NONE
    reseals: int = 0
    tries: int = 0
    next_try_ms: EpochMs = _NOW
    sealed: Sealed | None = None


@unique
class Action(Enum):
    """What the shell does next with a message."""

    REST = "nothing: it is with a relay or has ended"
    WAIT = "nothing until its next try"
    SEAL = "encrypt it"
    DEPOSIT = "hand its ciphertext to the recipient's relays"
    EXPIRE = "end it: its time is over"


def next_action(message: Outgoing, now_ms: EpochMs) -> Action:
    """Return what to do now; only a queued or sent message is ever acted on."""
    if message.state not in (Delivery.QUEUED, Delivery.SENT):
        return Action.REST
    if now_ms >= message.expires_at_ms:
        return Action.EXPIRE
    if message.state is Delivery.SENT:
        return Action.REST
    if now_ms < message.next_try_ms:
        return Action.WAIT
    return Action.SEAL if message.sealed is None else Action.DEPOSIT


def signalled(message: Outgoing, signal: Signal, fault: Fault = Fault.NONE) -> Outgoing:
    """Return the message after the signal; `fault` is kept where it explains an ending."""
    state = step(message.state, signal)
    if state is message.state:
        return message
    return replace(message, state=state, fault=fault if state is Delivery.FAILED else Fault.NONE)


def tried_in_vain(message: Outgoing, now_ms: EpochMs, jitter: int) -> Outgoing:
    """Return the message with its next try put off: twice as long each time, up to a minute.

    `jitter` is any random number; up to a quarter is added so that clients do not knock together.
    """
    pause = retry_pause_ms(message.tries, jitter)
    return replace(message, tries=message.tries + 1, next_try_ms=EpochMs(now_ms + pause))


def retry_pause_ms(tries: int, jitter: int) -> int:
    """Return the pause after that many failed tries, with up to a quarter of jitter added."""
    pause = min(LONGEST_RETRY_MS, FIRST_RETRY_MS << min(tries, 16))
    return pause + jitter % (pause // 4 + 1)


def nacked(message: Outgoing, fault: Fault) -> Outgoing:
    """Return the message to be sealed anew, or given up where that has not or will not help."""
    if message.reseals >= MAX_RESEALS or fault not in MENDED_BY_REKEY:
        return signalled(message, Signal.GIVE_UP, fault)
    again = signalled(message, Signal.NACK)
    if again.state is not Delivery.QUEUED:
        return again
    return replace(again, sealed=None, reseals=again.reseals + 1, tries=0, next_try_ms=_NOW)
