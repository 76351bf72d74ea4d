"""Handles: the families that commit to one, claim it, give it up and pass it on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from abci_chat.state import handles, identities, work
from abci_chat.state.handles import Handle
from abci_chat.state.identities import Identity
from abci_chat.state.work import Proof
from dchat.kernel import codec, signing
from dchat.kernel.accounts import ACCOUNT_ID
from dchat.kernel.errors import TxRejected
from dchat.kernel.family import Event, Family, TxContext
from dchat.kernel.ids import AccountId, Cost, EpochMs, Height
from dchat.kernel.store import Draft, State


class HasHandle(TxRejected):
    """The identity has a handle already, and nobody has two. Attributes: handle."""

    code = 211

    def __init__(self, handle: str) -> None:
        super().__init__(f"it is {handle!r}")
        self.handle = handle


class NoHandle(TxRejected):
    """The sender has no handle to give up or pass on."""

    code = 212


class BadConsent(TxRejected):
    """Whoever is to get the handle has not signed for it as it is now."""

    code = 213


class ConsentExpired(TxRejected):
    """The consent to get the handle is too old. Attributes: last, height."""

    code = 214

    def __init__(self, last: int, height: int) -> None:
        super().__init__(f"good until height {last}, this is {height}")
        self.last = last
        self.height = height


@dataclass(frozen=True, slots=True)
class CommitHandle:
    """Promise to reveal a handle in a later block, in place of what was promised before."""

    commitment: bytes
    work: Proof = work.NONE


@dataclass(frozen=True, slots=True)
class ClaimHandle:
    """Give the sender's identity, which has none, the handle that it committed to."""

    handle: str
    salt: bytes


@dataclass(frozen=True, slots=True)
class ReleaseHandle:
    """Give up the sender's handle."""


@dataclass(frozen=True, slots=True)
class TransferHandle:
    """Pass the sender's handle on to an identity that has none and has signed for it."""

    to: AccountId
    until: Height
    """The last height at which the consent is good."""
    consent: bytes
    """See handles.consent."""


@dataclass(frozen=True, slots=True)
class HandleCommitted(Event):
    """An account has committed to a handle that nobody knows yet."""

    owner: AccountId


@dataclass(frozen=True, slots=True)
class HandleClaimed(Event):
    """An identity has a handle."""

    owner: AccountId
    handle: str


@dataclass(frozen=True, slots=True)
class HandleReleased(Event):
    """An identity has no handle any more; somebody else can claim it from then on."""

    owner: AccountId
    handle: str
    free_from_ms: EpochMs


@dataclass(frozen=True, slots=True)
class HandleTransferred(Event):
    """A handle names another identity."""

    owner: AccountId
    to: AccountId
    handle: str


def check_commit(tx: CommitHandle) -> None:
    """Accept every commitment: only its owner can open it."""


def check_claim(tx: ClaimHandle) -> None:
    """Apply the rules that need no state. Raises: BadHandle, HandleReserved."""
    handles.check(tx.handle)


def check_nothing(tx: ReleaseHandle | TransferHandle) -> None:
    """Accept every form: all that is wrong with it depends on the state."""


def committing(tx: CommitHandle) -> bytes:
    """Return the order without its work: what the work is bound to."""
    return COMMIT.shape.encode(replace(tx, work=work.NONE))


def work_for_committing(state: State, tx: CommitHandle, ctx: TxContext) -> int:
    """Return what was worked for a commitment by somebody who has no handle.

    Raises: NoWork, UnknownAnchor, TooLittleWork, HasHandle, Deactivated.
    """
    worked = work.check(state, tx.work, committing(tx), ctx)
    _check_can_commit(state, ctx.sender)
    return worked


def _check_can_commit(state: State, account: AccountId) -> None:
    if identities.load(state, account) is not None:
        _without_handle(state, account)


def _without_handle(state: State, account: AccountId) -> Identity:
    record = identities.active(state, account)
    if record.handle:
        raise HasHandle(record.handle)
    return record


def commit(draft: Draft, tx: CommitHandle, ctx: TxContext) -> tuple[Event, ...]:
    """Remember what the sender, who has no handle, promised to reveal.

    Raises: HasHandle, Deactivated, UnknownAnchor, TooLittleWork.
    """
    _check_can_commit(draft, ctx.sender)
    work.use(draft, tx.work, committing(tx), ctx)
    handles.commit(draft, ctx.sender, tx.commitment, ctx.height)
    return (HandleCommitted(ctx.sender),)


def claim(draft: Draft, tx: ClaimHandle, ctx: TxContext) -> tuple[Event, ...]:
    """Give the sender's identity its handle.

    Raises: NotRegistered, Deactivated, HasHandle, HandleTaken, HandleResting, HandleNotCommitted,
    CommitmentExpired.
    """
    record = _without_handle(draft, ctx.sender)
    handles.check_claim(draft, tx.handle, tx.salt, ctx)
    handles.claim(draft, tx.handle, ctx.sender)
    identities.save(draft, ctx.sender, replace(record, handle=tx.handle))
    return (HandleClaimed(ctx.sender, tx.handle),)


def _held(state: State, account: AccountId) -> tuple[Identity, Handle]:
    record = identities.active(state, account)
    held = handles.load(state, record.handle) if record.handle else None
    if held is None:
        raise NoHandle("the identity has none")
    return record, held


def release(draft: Draft, _: ReleaseHandle, ctx: TxContext) -> tuple[Event, ...]:
    """Take the sender's handle from it. Raises: NotRegistered, Deactivated, NoHandle."""
    record, held = _held(draft, ctx.sender)
    free_from = handles.release(draft, held.name, ctx.block_time_ms)
    identities.save(draft, ctx.sender, replace(record, handle=""))
    return (HandleReleased(ctx.sender, held.name, free_from),)


def transfer(draft: Draft, tx: TransferHandle, ctx: TxContext) -> tuple[Event, ...]:
    """Make the sender's handle somebody else's, who has signed for it.

    Raises: NotRegistered, Deactivated, NoHandle, HasHandle, ConsentExpired, BadConsent.
    """
    record, held = _held(draft, ctx.sender)
    receiver = _without_handle(draft, tx.to)
    if ctx.height > tx.until:
        raise ConsentExpired(tx.until, ctx.height)
    statement = handles.consent(ctx.chain_id, held, tx.to, tx.until)
    try:
        signing.verify(receiver.public_key, handles.ACCEPT_DOMAIN, statement, tx.consent)
    except signing.SignatureInvalid:
        raise BadConsent("not the receiver's signature over this handle as it is") from None
    handles.pass_on(draft, held, tx.to)
    identities.save(draft, ctx.sender, replace(record, handle=""))
    identities.save(draft, tx.to, replace(receiver, handle=held.name))
    return (HandleTransferred(ctx.sender, tx.to, held.name),)


COMMIT: Final = Family(
    type=5,
    name="commit_handle",
    shape=codec.Record(
        CommitHandle, commitment=codec.Fixed(handles.COMMITMENT_BYTES), work=work.PROOF
    ),
    cost=Cost(90),
    check=check_commit,
    apply=commit,
    waive=work_for_committing,
)

CLAIM: Final = Family(
    type=6,
    name="claim_handle",
    shape=codec.Record(ClaimHandle, handle=identities.HANDLE, salt=codec.Fixed(handles.SALT_BYTES)),
    cost=Cost(120),
    check=check_claim,
    apply=claim,
)

RELEASE: Final = Family(
    type=7,
    name="release_handle",
    shape=codec.Record(ReleaseHandle),
    cost=Cost(90),
    check=check_nothing,
    apply=release,
)

TRANSFER: Final = Family(
    type=8,
    name="transfer_handle",
    shape=codec.Record(
        TransferHandle,
        to=ACCOUNT_ID,
        until=codec.U64,
        consent=codec.Fixed(signing.SIGNATURE_BYTES),
    ),
    cost=Cost(200),
    check=check_nothing,
    apply=transfer,
)
