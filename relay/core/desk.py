"""What all sessions of a relay share, and its judgement of requests that need nothing else.

judge() turns a request into a job for the disk or into the reason why not; answer() turns the job's
outcome into the reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dchat.kernel import signing
from dchat.kernel.errors import LocalProtocolError
from dchat.kernel.ids import EpochMs
from relay.core import access
from relay.core.access import Purpose, SessionId
from relay.core.envelope import Envelope, Receipt, ciphertext_hash, has_its_size, sign_receipt
from relay.core.jobs import (
    AddKeys,
    Failed,
    Found,
    GetBundle,
    IdTaken,
    Job,
    Keep,
    Kept,
    KeysHeld,
    NoRoom,
    NotThere,
    Outcome,
    PutBundle,
    TakeKey,
)
from relay.core.limits import Limits, Meters
from relay.core.messages import (
    Answer,
    Custody,
    Deposit,
    GetPrekeys,
    OneTimeKey,
    Prekeys,
    PutOneTimeKeys,
    PutPrekeys,
    Refused,
    Stored,
    TakeOneTimeKey,
)
from relay.core.queue import Queue
from relay.core.refusals import EXPLANATIONS, Refusal

Simple = Deposit | PutPrekeys | PutOneTimeKeys | GetPrekeys | TakeOneTimeKey
"""Requests that do not depend on what the session did before."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the peer's id, and the session that its signatures must name."""

    peer_id: bytes
    session: SessionId


@dataclass(frozen=True, slots=True)
class No:
    """A request is refused."""

    reason: Refusal
    retry_after_ms: int = 0


class Desk:
    """Limits, queue, rates and the receipt key of one relay."""

    def __init__(self, seed: bytes, limits: Limits, queue: Queue) -> None:
        self._seed: Final = seed
        self.peer_id: Final = access.peer_id_of(signing.public_key(seed))
        self.limits: Final = limits
        self.queue: Final = queue
        self.requests: Final = Meters(limits.requests, limits.max_meters)
        self.traffic: Final = Meters(limits.traffic, limits.max_meters)
        self.puts: Final = Meters(limits.puts, limits.max_meters)
        self.takes: Final = Meters(limits.takes, limits.max_meters)

    def sign(self, receipt: Receipt) -> Receipt:
        """Return the receipt with this relay's signature."""
        return sign_receipt(receipt, self._seed)


def refused(request_id: int, no: No) -> Refused:
    """Return the message for a refusal."""
    return Refused(request_id, no.reason.value, EXPLANATIONS[no.reason], no.retry_after_ms)


def judge(desk: Desk, caller: Caller, request: Simple, now: EpochMs) -> Job | No:
    """Return the job that the request deserves, or why it gets none."""
    match request:
        case Deposit():
            return _judge_deposit(desk, caller, request.envelope, now)
        case PutPrekeys() | PutOneTimeKeys():
            return _judge_put(desk, caller, request, now)
        case GetPrekeys():
            return GetBundle(request.inbox_key)
        case TakeOneTimeKey():
            wait_ms = desk.takes.take(request.inbox_key, 1, now)
            return No(Refusal.RATE_LIMITED, wait_ms) if wait_ms else TakeKey(request.inbox_key, now)


def answer(desk: Desk, request: Simple, job: Job, outcome: Outcome) -> Answer:
    """Return the reply to a request whose job has ended. Raises: LocalProtocolError."""
    number = request.request_id
    match request, outcome:
        case _, Failed():
            return refused(number, No(Refusal.STORAGE_UNAVAILABLE))
        case Deposit(), Kept() if isinstance(job, Keep):
            return Custody(number, _receipt(desk, job, outcome))
        case Deposit(), IdTaken():
            return refused(number, No(Refusal.MESSAGE_ID_TAKEN))
        case _:
            return _answer_about_keys(request, outcome)


def _answer_about_keys(request: Simple, outcome: Outcome) -> Answer:
    number = request.request_id
    match request, outcome:
        case PutPrekeys() | PutOneTimeKeys(), KeysHeld():
            return Stored(number, outcome.one_time_keys)
        case PutPrekeys() | PutOneTimeKeys(), NoRoom():
            return refused(number, No(outcome.reason))
        case GetPrekeys(), Found():
            return Prekeys(number, outcome.blob)
        case GetPrekeys(), NotThere():
            return refused(number, No(Refusal.NO_PREKEYS))
        case TakeOneTimeKey(), Found():
            return OneTimeKey(number, outcome.blob)
        case TakeOneTimeKey(), NotThere():
            return refused(number, No(Refusal.NO_ONE_TIME_KEY))
        case _:
            raise LocalProtocolError(
                f"{type(outcome).__name__} answers no {type(request).__name__}"
            )


def _judge_deposit(desk: Desk, caller: Caller, envelope: Envelope, now: EpochMs) -> Keep | No:
    reason = _fault_of(envelope, desk.limits, now)
    if reason is not None:
        return No(reason)
    place = envelope.mailbox_id, envelope.message_id
    is_reserved = not desk.queue.holds(place)
    reason = desk.queue.admit(place, envelope.size_class, caller.peer_id)
    if reason is not None:
        return No(reason)
    return Keep(envelope, ciphertext_hash(envelope.ciphertext), now, caller.peer_id, is_reserved)


def _fault_of(envelope: Envelope, limits: Limits, now: EpochMs) -> Refusal | None:
    if not has_its_size(envelope):
        return Refusal.BAD_SIZE
    if envelope.postage:
        return Refusal.POSTAGE_NOT_ACCEPTED
    if envelope.expires_at_ms <= now:
        return Refusal.EXPIRED
    if envelope.expires_at_ms > now + limits.max_message_age_ms:
        return Refusal.EXPIRY_TOO_FAR
    return None


def _judge_put(
    desk: Desk, caller: Caller, request: PutPrekeys | PutOneTimeKeys, now: EpochMs
) -> Job | No:
    wait_ms = desk.puts.take(caller.peer_id, 1, now)
    if wait_ms:
        return No(Refusal.RATE_LIMITED, wait_ms)
    key = request.access.inbox_key
    if isinstance(request, PutPrekeys):
        purpose, blobs = Purpose.PUT_PREKEYS, (request.bundle,)
        job: Job = PutBundle(key, request.bundle, now)
    else:
        purpose, blobs = Purpose.PUT_ONE_TIME_KEYS, request.keys
        job = AddKeys(key, request.keys, now)
    if not access.is_granted(request.access, caller.session, purpose, access.subject_of(blobs)):
        return No(Refusal.BAD_SIGNATURE)
    return job


def _receipt(desk: Desk, job: Keep, kept: Kept) -> Receipt:
    envelope = job.envelope
    return desk.sign(
        Receipt(
            envelope.mailbox_id,
            envelope.message_id,
            job.ciphertext_hash,
            envelope.size_class,
            envelope.expires_at_ms,
            kept.accepted_at_ms,
            b"",
        )
    )
