"""A relay's desk for tests, and the words of its clients, without disk or network."""

from __future__ import annotations

from dchat.kernel.ids import EpochMs
from relay.core.access import Access, Purpose, SessionId, grant, mailbox_id, subject_of
from relay.core.desk import Caller, Desk
from relay.core.envelope import SIZE_CLASSES, Envelope
from relay.core.limits import Limits
from relay.core.messages import Pull, PutOneTimeKeys, PutPrekeys, Watch
from relay.core.queue import Queue

RELAY_SEED = b"r" * 32
INBOX_SEED = b"i" * 32
CHALLENGE = b"c" * 32
PEER = b"peer"
NOW = EpochMs(1_800_000_000_000)
EPOCH = 2_976


def new_desk(limits: Limits | None = None) -> Desk:
    chosen = limits or Limits()
    return Desk(RELAY_SEED, chosen, Queue(chosen))


def caller(desk: Desk) -> Caller:
    return Caller(PEER, SessionId(desk.peer_id, CHALLENGE))


def access(desk: Desk, purpose: Purpose, subject: bytes = b"", seed: bytes = INBOX_SEED) -> Access:
    return grant(seed, SessionId(desk.peer_id, CHALLENGE), purpose, EPOCH, subject)


def mailbox(desk: Desk, seed: bytes = INBOX_SEED) -> bytes:
    return mailbox_id(access(desk, Purpose.PULL, seed=seed).inbox_key, EPOCH)


def envelope(desk: Desk, name: bytes = b"1" * 32) -> Envelope:
    return Envelope(mailbox(desk), name, EpochMs(NOW + 1_000), 0, bytes(SIZE_CLASSES[0]))


def pull(desk: Desk, request_id: int = 1, cursor: int = 0, seed: bytes = INBOX_SEED) -> Pull:
    return Pull(request_id, access(desk, Purpose.PULL, seed=seed), cursor, 64)


def watch(desk: Desk, request_id: int = 1, seed: bytes = INBOX_SEED) -> Watch:
    return Watch(request_id, access(desk, Purpose.WATCH, seed=seed))


def put_prekeys(desk: Desk, bundle: bytes = b"bundle") -> PutPrekeys:
    return PutPrekeys(1, access(desk, Purpose.PUT_PREKEYS, subject_of((bundle,))), bundle)


def put_keys(desk: Desk, *keys: bytes) -> PutOneTimeKeys:
    return PutOneTimeKeys(1, access(desk, Purpose.PUT_ONE_TIME_KEYS, subject_of(keys)), keys)
